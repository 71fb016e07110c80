// What stands beside the slide: the forms of a reader, and what the program found.
import { byId, make } from "/static/dom.js";

// 0, 0+ and 1+ are told apart at 40×; a view as good as that will do.
const FAINT_SCORES = ["0", "0+", "1+"], FAINT_POWER = 38;

const words = (text) => document.createTextNode(text);

// The percentage that was typed, with a comma or a point: null where there is none, NaN where it is
// no number from 0 to 100.
const percentOf = (text) => {
  const typed = text.replace(/%\s*$/, "").trim().replace(",", ".");
  if (!typed) return null;
  const pct = /^(\d+\.?\d*|\.\d+)$/.test(typed) ? Number(typed) : NaN;
  return pct <= 100 ? pct : NaN;
};

export class Panel {
  // `onRead` and `onDecide` are told what a reader gives, `onGoTo` which field they want to see,
  // `onNext` that they want the next case that is not read yet.
  constructor(element, slide, { onRead, onDecide, onGoTo, onNext }) {
    Object.assign(this, { element, slide, onRead, onDecide, onGoTo, onNext, isSending: false });
    // What a form shows of what was chosen and seen; each form has its own.
    this.refresh = () => {};
    // Sends the form in view, where a score was chosen in it.
    this.save = () => {};
  }

  // Draws a case. `draft` holds what its forms hold, and is kept by the page; `notice` is said
  // above everything; `hasNext` tells whether a case is left to read.
  draw(queue, shown, { draft, notice = "", hasNext }) {
    this.queue = queue;
    this.isSending = false;
    const isOpen = shown.state === "open";
    this.element.replaceChildren(...[
      this.heading(shown.slide_id ?? `Case ${shown.number}`),
      notice && make("p", { class: "error", role: "alert", text: notice }),
      make("h3", { text: "Your reading" }),
      isOpen ? this.readingForm(shown, draft) : make("div", { children: this.entryWords(shown.reading) }),
      ...(shown.decision ? [make("h3", { text: "Your decision" }),
        make("div", { children: this.entryWords(shown.decision) })] : []),
      ...(shown.earlier_decision ? [make("h3", { text: "Your decision on the earlier result" }),
        make("div", { children: this.entryWords(shown.earlier_decision) })] : []),
      ...(isOpen ? [] : [
        make("h3", { text: shown.decision ? "Decide again" : "Which score stands?" }),
        this.decisionForm(shown, draft),
      ]),
      isOpen ? null : hasNext ? make("button", { type: "button", class: "next", id: "next",
        text: "Next case to read", on: { click: this.onNext } })
        : make("p", { class: "next", id: "next", tabindex: -1, text: "Every case is read." }),
      ...shown.others.flatMap((entry, n) => [
        n === 0 && make("h3", { text: "Other readers" }),
        make("p", { children: [words(`${entry.reader}: `), ...this.entryWords(entry)] }),
      ]),
      ...(shown.result ? this.resultParts(shown.result) : []),
      keysHelp(),
    ].filter(Boolean));
    this.refresh();
  }

  // Says why a case cannot be shown; the others can.
  drawTrouble(title, trouble, retry) {
    this.refresh = this.save = () => {};
    this.element.replaceChildren(
      this.heading(title), make("p", { class: "error", role: "alert", text: trouble }),
      make("button", { type: "button", class: "plain", text: "Try again", on: { click: retry } }),
      keysHelp(),
    );
  }

  // Says what went wrong elsewhere than in the form in view.
  warn(text) {
    byId("title").after(make("p", { class: "error", role: "alert", text }));
  }

  heading(text) { return make("h2", { id: "title", tabindex: -1, text }); }

  focus(id) { (byId(id) ?? byId("title"))?.focus(); }

  chip(score) {
    return make("span", { class: "chip", text: this.queue.score_words[score],
      style: { background: this.queue.score_colors[score], color: this.queue.score_inks[score] } });
  }

  scoreButtons(scores, chosen, choose) {
    const buttons = scores.map((score) => make("button", {
      type: "button", text: this.queue.score_words[score], "data-score": score,
      "aria-pressed": String(score === chosen), on: { click: () => pick(score) },
    }));
    const pick = (score) => {
      for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.score === score));
      choose(score);
    };
    return make("div", { class: "scores", role: "group", "aria-label": "Score", children: buttons });
  }

  // Sends a form; what went wrong is said inside it, and what was typed stays. `isChosen` tells
  // whether the reader chose in it: from elsewhere on the page nothing else is saved, so that
  // pressing once more after a reading does not confirm what they have not looked at.
  sending(form, save, { isChosen, give }) {
    this.save = () => { if (isChosen() && !save.disabled) form.requestSubmit(save); };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      form.querySelector(".error")?.remove();
      this.isSending = true;
      this.refresh();
      const trouble = await give();
      this.isSending = false;
      if (!trouble) return;
      this.refresh();
      // The case may have been left and opened again meanwhile.
      if (form.isConnected) form.append(make("p", { class: "error", role: "alert", text: trouble }));
      else this.warn(trouble);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      // A reading cannot be taken back: Enter in a field for a number must not save it.
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        if (!save.disabled) form.requestSubmit(save);
      } else if (event.target.matches("input")) event.preventDefault();
    });
    return form;
  }

  readingForm(shown, draft) {
    const save = make("button", { class: "save", text: "Save my reading" });
    const why = make("p", { class: "small quiet", role: "status" });
    const doubt = make("input", { type: "checkbox", id: "doubt",
      on: { change: () => { draft.isInDoubt = doubt.checked; } } });
    // Not of type number: there browsers drop a comma as it is typed, and 1,5 becomes 15.
    const share = make("input", { type: "text", inputmode: "decimal", autocomplete: "off", id: "share",
      on: { input: () => { draft.share = share.value; checkShare(); } } });
    const checkShare = () => share.setCustomValidity(
      Number.isNaN(percentOf(share.value)) ? "Give a number from 0 to 100, such as 12.5." : "");
    const remark = make("textarea", { id: "remark", maxlength: 2000,
      on: { input: () => { draft.remark = remark.value; } } });
    doubt.checked = Boolean(draft.isInDoubt);
    share.value = draft.share ?? "";
    checkShare();
    remark.value = draft.remark ?? "";
    const form = make("form", { children: [
      this.scoreButtons(shown.scores, draft.score, (score) => { draft.score = score; this.refresh(); }),
      make("label", { children: [doubt, words(" I am in doubt")] }),
      make("label", { for: "share", text: "Tumour cells with stained membrane, % (optional)" }), share,
      make("label", { for: "remark", text: "Remark (optional)" }), remark, save, why,
      make("p", { class: "small quiet", text: "A saved reading stays as it is; afterwards you may confirm or override the program." }),
    ] });
    this.refresh = () => {
      const { score } = draft;
      const isUnseen = !this.slide.isSeen && score !== "not_assessable";
      const isFar = FAINT_SCORES.includes(score) && this.slide.highestPower < FAINT_POWER;
      save.disabled = this.isSending || !score || isUnseen;
      const said = isUnseen ? "The slide is not shown yet; a score needs one that was seen."
        : isFar ? "You have not looked at 40× yet, where 0, 0+ and 1+ are told apart." : "";
      if (why.textContent !== said) why.textContent = said;
    };
    return this.sending(form, save, { isChosen: () => draft.score, give: () => this.onRead(shown.number, {
      score: draft.score, scored: shown.scored, is_sure: !draft.isInDoubt, remark: draft.remark ?? "",
      pct_stained: percentOf(share.value),
    }) });
  }

  decisionForm(shown, draft) {
    const { result } = shown;
    // Where the reader gave another score than the program, neither is chosen for them.
    const agreed = shown.reading.score === result.score ? result.score : undefined;
    const chosen = () => draft.decision ?? shown.decision?.score ?? agreed;
    const reason = make("textarea", { id: "reason", maxlength: 2000,
      on: { input: () => { draft.reason = reason.value; } } });
    reason.value = draft.reason ?? "";
    const label = make("label", { for: "reason" });
    const save = make("button", { class: "save" });
    const form = make("form", { children: [
      this.scoreButtons(shown.scores, chosen(), (score) => { draft.decision = score; this.refresh(); }),
      label, reason, save,
    ] });
    this.refresh = () => {
      const score = chosen(), isOverride = score !== undefined && score !== result.score;
      reason.required = isOverride;
      label.textContent = isOverride ? "Reason for the override" : "Remark (optional)";
      save.textContent = score === undefined ? "Choose the score that stands"
        : `${isOverride ? "Override with" : "Confirm"} ${this.queue.score_words[score]}`;
      save.disabled = this.isSending || score === undefined;
    };
    return this.sending(form, save, { isChosen: () => draft.decision, give: () => this.onDecide(
      shown.number, { score: chosen(), scored: shown.scored, reason: draft.reason ?? "" }) });
  }

  entryWords(entry) {
    return [
      this.chip(entry.score), words(
        `${entry.is_sure ? "" : " in doubt"}${entry.pct_stained === null ? "" : ` · ${entry.pct_stained} % stained`}`
        + `${entry.is_blinded ? " · blinded" : ""} · ${entry.written.slice(0, 16).replace("T", " ")} UTC`
        + `${entry.is_earlier ? ", before the slide was scored again" : ""}`),
      entry.remark && make("p", { class: "small", text: entry.remark }),
    ].filter(Boolean);
  }

  probabilityParts(probabilities) {
    if (probabilities.length === 0) return [];
    return [
      make("h3", { text: "Probability of each score" }),
      make("div", { class: "bars", children: probabilities.flatMap(({ score, pct }) => [
        make("span", { text: score }),
        make("div", { class: "track", children: [make("div", { class: "fill",
          style: { width: `${pct}%`, background: this.queue.score_colors[score] } })] }),
        make("span", { class: "pct", text: `${pct < 10 ? pct.toFixed(1) : Math.round(pct)} %` }),
      ]) }),
    ];
  }

  resultParts(result) {
    const asks = result.flags.some((flag) => flag.severity === "review");
    return [
      make("h3", { text: "What the program found" }),
      make("p", { children: [this.chip(result.score), words(` ${result.status}`)] }),
      result.status_comment && make("p", { class: "small", text: result.status_comment }),
      make("p", { class: "small", text: result.criterion }),
      make("table", { children: [make("tbody", { children: result.facts.map(([name, text]) =>
        make("tr", { children: [make("th", { scope: "row", text: name }), make("td", { text })] })) })] }),
      ...this.probabilityParts(result.probabilities),
      make("h3", { text: asks ? "Why a second read was asked for" : "No reason for a second read was found" }),
      make("ul", { class: "flags", children: result.flags.map((flag) => make("li", { children: [
        make("span", { class: flag.severity, text: flag.title }),
        words(`${flag.severity === "note" ? " (note)" : ""}: ${flag.sentence}`),
        make("span", { class: "advice", text: flag.advice }),
      ] })) }),
      ...(result.fields.length ? [
        make("h3", { text: "Fields that show it" }),
        make("div", { class: "fields", children: result.fields.map((field) => make("button", {
          type: "button", text: `${field.number} ${field.title}`, on: { click: () => this.onGoTo(field) } })) }),
      ] : []),
    ].filter(Boolean);
  }
}

const keysHelp = () => make("p", { class: "small quiet keys", children: [
  ["0 u 1 2 3 n", "score (u is 0+, n not assessable)"], ["Ctrl Enter", "save"],
  ["j k", "next, previous case"], ["o", "outlines"], ["+ −", "closer, farther"],
].map(([keys, text]) => make("span", { children: [make("kbd", { text: keys }), words(` ${text}`)] })) });
