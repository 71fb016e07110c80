"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const show = (figure, isShown) => {
    figure.classList.toggle("no-outlines", !isShown);
    figure.setAttribute("aria-pressed", String(isShown));
  };
  const flip = (figure) => show(figure, figure.getAttribute("aria-pressed") !== "true");
  for (const button of document.querySelectorAll("button.outlines-switch")) {
    button.addEventListener("click", () => {
      const isShown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isShown));
      for (const figure of button.closest(".gallery").querySelectorAll(".outlined")) {
        show(figure, isShown);
      }
    });
  }
  for (const button of document.querySelectorAll("button.review-switch")) {
    button.addEventListener("click", () => {
      const isOnly = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isOnly));
      document.getElementById("slides").classList.toggle("only-review", isOnly);
    });
  }
  for (const figure of document.querySelectorAll(".outlined")) {
    figure.addEventListener("click", () => flip(figure));
    figure.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      flip(figure);
    });
  }
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = head.closest("table").tBodies[0];
      const column = head.cellIndex;
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        const isNumber = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return isNumber ? x - y : x.localeCompare(y, undefined, { numeric: true });
      };
      const rows = [...body.rows].sort(compare);
      if (falls) rows.reverse();
      body.append(...rows);
    });
  }
})();
