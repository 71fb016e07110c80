"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  // Text of a slide or a reader only ever becomes text.
  const make = (tag, { text, children = [], on = {}, ...attributes } = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    for (const [event, act] of Object.entries(on)) element.addEventListener(event, act);
    element.append(...children);
    return element;
  };
  const KEYS = { "0": "0", "u": "0+", "1": "1+", "2": "2+", "3": "3+", "n": "not_assessable" };

  let queue = null, shown = null;
  const slide = new SlideMap(byId("slide"), { onHint: (words) => { byId("hint").textContent = words; } });

  const ask = async (path, given) => {
    const answer = await fetch(path, given === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
    });
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    const detail = found.detail;
    throw new Error(typeof detail === "string" ? detail
      : detail?.[0]?.msg ?? "The server did not answer as expected.");
  };

  const chip = (score) => {
    const element = make("span", { class: "chip", text: queue.score_words[score] });
    element.style.background = queue.score_colors[score];
    // Of the colours only dark red and grey are dark.
    element.style.color = ["3+", "not_assessable"].includes(score) ? "#fff" : "inherit";
    return element;
  };

  const drawList = () => {
    const done = queue.cases.filter((one) => one.state !== "open").length;
    byId("progress").textContent = `${done} of ${queue.cases.length} read`;
    byId("cases").replaceChildren(...queue.cases.map((one) => make("li", { children: [make("button", {
      type: "button", "aria-current": shown?.number === one.number && "true",
      on: { click: () => open(one.number) },
      children: [
        make("span", { class: one.state, text: `Case ${one.number}` }),
        ...(one.own_score ? [document.createTextNode(" "), chip(one.own_score)] : []),
        ...(one.slide_id ? [make("span", { class: "name", text: one.slide_id })] : []),
      ],
    })] })));
  };

  const scoreButtons = (scores, chosen, choose) => {
    const buttons = scores.map((score) => make("button", {
      type: "button", text: queue.score_words[score], "data-score": score,
      "aria-pressed": String(score === chosen), on: { click: () => pick(score) },
    }));
    const pick = (score) => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.score === score));
      choose(score);
    };
    return make("div", { class: "scores", role: "group", "aria-label": "Score", children: buttons });
  };

  // Tiles are asked for in the name of the session of the server.
  const loadQueue = async () => {
    queue = await ask("/api/queue");
    slide.session = queue.session;
  };

  // Sends a form; what went wrong is said inside it, and what was typed stays.
  const sending = (form, save, path, content) => async (event) => {
    event.preventDefault();
    form.querySelector(".error")?.remove();
    save.disabled = true;
    try {
      const found = await ask(path, content());
      await loadQueue();
      draw(found);
    } catch (error) {
      save.disabled = false;
      form.append(make("p", { class: "error", role: "alert", text: error.message }));
    }
  };

  const readingForm = () => {
    let score = null;
    const save = make("button", { class: "save", text: "Save my reading", disabled: true });
    const doubt = make("input", { type: "checkbox", id: "doubt" });
    const share = make("input", { type: "number", id: "share", min: 0, max: 100, step: "any" });
    const remark = make("textarea", { id: "remark", maxlength: 2000 });
    const form = make("form", { children: [
      scoreButtons(shown.scores, null, (chosen) => { score = chosen; save.disabled = false; }),
      make("label", { children: [doubt, document.createTextNode(" I am in doubt")] }),
      make("label", { for: "share", text: "Tumour cells with stained membrane, % (optional)" }), share,
      make("label", { for: "remark", text: "Remark (optional)" }), remark, save,
      make("p", { class: "small quiet", text: "A saved reading stays as it is; afterwards you may confirm or override the program." }),
    ] });
    form.addEventListener("submit", sending(form, save, `/api/cases/${shown.number}/reading`, () => ({
      score, is_sure: !doubt.checked, remark: remark.value,
      pct_stained: share.value === "" ? null : Number(share.value),
    })));
    return form;
  };

  const decisionForm = () => {
    const result = shown.result;
    let score = shown.decision?.score ?? result.score;
    const reason = make("textarea", { id: "reason", maxlength: 2000 });
    const label = make("label", { for: "reason" });
    const save = make("button", { class: "save" });
    const tell = () => {
      const isOverride = score !== result.score;
      reason.required = isOverride;
      label.textContent = isOverride ? "Reason for the override" : "Remark (optional)";
      save.textContent = isOverride ? `Override with ${queue.score_words[score]}`
        : `Confirm ${queue.score_words[score]}`;
    };
    tell();
    const form = make("form", { children: [
      scoreButtons(shown.scores, score, (chosen) => { score = chosen; tell(); }), label, reason, save,
    ] });
    form.addEventListener("submit", sending(form, save, `/api/cases/${shown.number}/decision`,
      () => ({ score, reason: reason.value })));
    return form;
  };

  const entryWords = (entry) => [
    chip(entry.score), document.createTextNode(
      `${entry.is_sure ? "" : " in doubt"}${entry.pct_stained === null ? "" : ` · ${entry.pct_stained} % stained`}`
      + `${entry.is_blinded ? " · blinded" : ""} · ${entry.written.slice(0, 16).replace("T", " ")} UTC`),
    ...(entry.remark ? [make("p", { class: "small", text: entry.remark })] : []),
  ];

  const probabilityParts = (probabilities) => probabilities.length === 0 ? [] : [
    make("h3", { text: "Probability of each score" }),
    make("div", { class: "bars", children: probabilities.flatMap(({ score, pct }) => {
      const fill = make("div", { class: "fill" });
      fill.style.width = `${pct}%`;
      fill.style.background = queue.score_colors[score];
      return [make("span", { text: score }), make("div", { class: "track", children: [fill] }),
        make("span", { class: "pct", text: `${pct < 10 ? pct.toFixed(1) : Math.round(pct)} %` })];
    }) }),
  ];

  // Which color is which class, beside the switch of the outlines.
  const drawLegend = () => {
    const entries = [...Object.entries(queue.intensity_colors).filter(([name]) => name !== "none"),
      ["unstained", queue.unstained_color]];
    byId("legend").replaceChildren(...entries.map(([name, color]) => {
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = color;
      return make("span", { children: [swatch, document.createTextNode(name)] });
    }), make("span", { children: [make("span", { class: "swatch dot" }), document.createTextNode("not counted")] }));
  };

  const resultParts = (result) => [
    make("h3", { text: "What the program found" }),
    make("p", { children: [chip(result.score), document.createTextNode(` ${result.status}`)] }),
    make("p", { class: "small", text: result.criterion }),
    make("table", { children: [make("tbody", { children: result.facts.map(([name, words]) =>
      make("tr", { children: [make("th", { scope: "row", text: name }), make("td", { text: words })] })) })] }),
    ...probabilityParts(result.probabilities),
    make("h3", { text: result.flags.some((flag) => flag.severity === "review")
      ? "Why a second read was asked for" : "No reason for a second read was found" }),
    make("ul", { class: "flags", children: result.flags.map((flag) => make("li", { children: [
      make("span", { class: flag.severity, text: flag.title }),
      document.createTextNode(`${flag.severity === "note" ? " (note)" : ""}: ${flag.sentence}`)] })) }),
    ...(result.fields.length ? [
      make("h3", { text: "Fields that show it" }),
      make("div", { class: "fields", children: result.fields.map((field) => make("button", {
        type: "button", text: `${field.number} ${field.title}`, on: { click: () => slide.goTo(field) } })) }),
    ] : []),
  ];

  const keysHelp = () => make("p", { class: "small quiet keys", children: [
    ...[["0 u 1 2 3 n", "score (u is 0+, n not assessable)"], ["j k", "next, previous case"],
      ["o", "outlines"], ["+ −", "closer, farther"]]
      .map(([keys, words]) => make("span", { children: [
        make("kbd", { text: keys }), document.createTextNode(` ${words}`)] })),
  ] });

  const drawPanel = () => {
    const parts = [make("h2", { text: shown.slide_id ?? `Case ${shown.number}` })];
    if (shown.state === "open") {
      parts.push(make("h3", { text: "Your reading" }), readingForm());
    } else {
      parts.push(make("h3", { text: "Your reading" }), make("div", { children: entryWords(shown.reading) }));
      if (shown.decision) {
        parts.push(make("h3", { text: "Your decision" }), make("div", { children: entryWords(shown.decision) }));
      }
      parts.push(make("h3", { text: shown.decision ? "Decide again" : "Which score stands?" }), decisionForm());
    }
    for (const [n, entry] of shown.others.entries()) {
      if (!n) parts.push(make("h3", { text: "Other readers" }));
      parts.push(make("p", { children: [document.createTextNode(`${entry.reader}: `), ...entryWords(entry)] }));
    }
    if (shown.result) parts.push(...resultParts(shown.result));
    byId("panel").replaceChildren(...parts, keysHelp());
  };

  const draw = (found) => {
    const isNew = shown?.number !== found.number;
    shown = found;
    if (isNew) {
      slide.show(found);
      byId("outlines").checked = false;
      byId("legend").hidden = true;
      byId("panel").scrollTop = 0;
    }
    byId("outlines-choice").hidden = !found.result;
    history.replaceState(null, "", `#${found.number}`);
    drawList();
    drawPanel();
  };

  const open = async (number) => {
    try {
      draw(await ask(`/api/cases/${number}`));
    } catch (error) {
      byId("panel").replaceChildren(make("p", { class: "error", role: "alert", text: error.message }));
    }
  };

  const beside = (step) => {
    const number = shown.number + step;
    if (number >= 1 && number <= queue.cases.length) open(number);
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
    if (event.target.matches("input, textarea")) return;
    if (event.key === "j") beside(1);
    else if (event.key === "k") beside(-1);
    else if (event.key === "o" && shown.result) byId("outlines").click();
    // On the slide itself Leaflet answers to them.
    else if ("+-".includes(event.key) && !byId("slide").contains(event.target)) slide.zoom(event.key === "+" ? 1 : -1);
    else if (event.key in KEYS) document.querySelector(`.scores [data-score="${KEYS[event.key]}"]`)?.click();
  });
  byId("outlines").addEventListener("change", (event) => {
    byId("legend").hidden = !event.target.checked;
    slide.setOutlines(event.target.checked,
      { intensity: queue.intensity_colors, unstained: queue.unstained_color });
  });
  byId("powers").replaceChildren(...SlideMap.POWERS.map((power) => make("button", {
    type: "button", text: `${power}×`, on: { click: () => slide.magnify(power) } })));

  (async () => {
    await loadQueue();
    drawLegend();
    byId("who").textContent = `${queue.reader} · ${queue.is_blinded ? "blinded: results show once you have read" : "not blinded"}`;
    byId("research-use").textContent = queue.research_use;
    const wanted = Number(location.hash.slice(1));
    const first = queue.cases.find((one) => one.state === "open") ?? queue.cases[0];
    open(queue.cases[wanted - 1]?.number ?? first.number);
  })().catch((error) => {
    byId("panel").replaceChildren(make("p", { class: "error", role: "alert", text: error.message }));
  });
})();
