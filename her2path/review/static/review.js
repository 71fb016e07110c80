// The page: which case is open, what is typed and not saved yet, and the keys.
import { byId, make, say } from "/static/dom.js";
import { Panel } from "/static/panel.js";
import { ask } from "/static/server.js";
import { SlideMap } from "/static/slide_map.js";

const KEYS = { "0": "0", u: "0+", 1: "1+", 2: "2+", 3: "3+", n: "not_assessable" };
const STATES = { open: "not read", read: "read, not decided", decided: "decided" };

let queue = null;
// The case that is open, and what the server told of it; null where it could not be told.
let current = 0, shown = null;
// By case: what stands in its forms and is not saved yet.
const drafts = new Map();
const draftOf = (number) => {
  if (!drafts.has(number)) drafts.set(number, {});
  return drafts.get(number);
};
// What went wrong with a case that was left meanwhile, until the one that is opened is in view.
let late = "", isOpening = false;
const tellLate = () => {
  if (late) panel.warn(late);
  late = "";
};
const isTyped = (draft) => Object.values(draft).some(Boolean);

const showHint = (words) => { byId("hint").textContent = words; };
const showTrouble = (words) => {
  byId("trouble").hidden = !words;
  if (byId("trouble-words").textContent !== words) byId("trouble-words").textContent = words;
};
const showPower = () => {
  const power = slide.power();
  for (const button of byId("powers").children) {
    const isActive = Math.abs(power / Number(button.dataset.power) - 1) < 0.01;
    button.setAttribute("aria-pressed", String(isActive));
    button.disabled = !slide.shown;
  }
};
const slide = new SlideMap(byId("slide"), {
  onHint: showHint, onTrouble: showTrouble, onView: () => { showPower(); panel.refresh(); },
});

// Numbers of another list, as of another reader, stand for other slides: the server takes no such list.
const loadQueue = async () => { queue = await ask(inList("/api/queue")); };
const inList = (path) => (queue ? `${path}?list=${queue.list}` : path);

const nextOpen = () => {
  const inOrder = [...queue.cases.slice(current), ...queue.cases.slice(0, current)];
  return inOrder.find((one) => one.state === "open")?.number;
};

// Scrolls the list alone. scrollIntoView would have Tab go on from there, past the way to the form.
const keepInView = (button) => {
  if (!button) return;
  const nav = byId("cases").parentElement, view = nav.getBoundingClientRect(), { top, bottom } = button.getBoundingClientRect();
  nav.scrollTop += Math.min(0, top - view.top) + Math.max(0, bottom - view.bottom);
};

const drawList = () => {
  const done = queue.cases.filter((one) => one.state !== "open").length;
  byId("progress").textContent = `${done} of ${queue.cases.length} read`;
  const list = byId("cases");
  // Buttons are made once, so that the one with the focus keeps it.
  if (list.children.length !== queue.cases.length) {
    list.replaceChildren(...queue.cases.map(({ number }) => make("li", { children: [
      make("button", { type: "button", on: { click: () => open(number) } })] })));
  }
  for (const [n, one] of queue.cases.entries()) {
    const button = list.children[n].firstElementChild;
    const name = one.slide_id ? `, ${one.slide_id}` : "";
    const score = one.own_score ? `, ${queue.score_words[one.own_score]}` : "";
    button.setAttribute("aria-label", `Case ${one.number}, ${STATES[one.state]}${score}${name}`);
    button.replaceChildren(...[
      make("span", { class: one.state, text: `Case ${one.number}` }),
      one.own_score && document.createTextNode(" "),
      one.own_score && panel.chip(one.own_score),
      one.slide_id && make("span", { class: "name", text: one.slide_id }),
    ].filter(Boolean));
    if (one.number === current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  keepInView(list.querySelector("[aria-current]"));
};

const drawCase = (notice = "") => {
  // Whoever was in the panel stays there, though its parts are new.
  const wasInside = byId("panel").contains(document.activeElement);
  panel.draw(queue, shown, { draft: draftOf(current), notice, hasNext: nextOpen() !== undefined });
  if (wasInside) panel.focus("title");
  byId("outlines-choice").hidden = !shown.result;
};

const setOutlines = (isWanted) => {
  byId("outlines").checked = isWanted;
  byId("legend").hidden = !isWanted;
  slide.setOutlines(isWanted ? { intensity: queue.intensity_colors, unstained: queue.unstained_color } : null);
};

// Opens a case; of two that are asked for one after the other the last one stays.
const open = async (number, notice = "") => {
  current = number;
  isOpening = true;
  history.replaceState(null, "", `#${number}`);
  drawList();
  let found, trouble = "";
  try {
    found = await ask(inList(`/api/cases/${number}`));
  } catch (error) {
    trouble = error.message;
  }
  if (number !== current) return;
  isOpening = false;
  setOutlines(false);
  byId("panel").scrollTop = 0;
  if (trouble) {
    shown = null;
    slide.clear();
    byId("outlines-choice").hidden = true;
    panel.drawTrouble(`Case ${number}`, trouble, () => retry());
    tellLate();
    return;
  }
  shown = found;
  slide.show(found, queue);
  drawCase(notice);
  tellLate();
  say(`Case ${number}, ${STATES[found.state]}.`);
};

// After a server that was away: its session is another, and so are the addresses of tiles.
const retry = async () => {
  try {
    await loadQueue();
  } catch (error) {
    if (shown) showTrouble(error.message); else panel.drawTrouble(`Case ${current}`, error.message, retry);
    return;
  }
  if (!shown) { open(current || 1); return; }
  drawList();
  showTrouble("");
  slide.retry(queue);
};

// Shows what stands where nothing was saved; returns what went wrong for the form in view, in words.
const whyNotSaved = async (number, path, { status, message }) => {
  // The slide was scored again meanwhile: what was typed waits until it was looked at.
  let isToBeShown = status === 412;
  if (status === 409 && path === "reading") {
    await loadQueue().catch(() => {});
    drawList();
    // It was given in another window: that stands, and is shown. Otherwise what was typed waits.
    if (queue.cases[number - 1].state !== "open") {
      drafts.delete(number);
      isToBeShown = true;
    }
  }
  if (number !== current) {
    late = `Case ${number} is not saved: ${message}`;
    if (!isOpening) tellLate();
    return "";
  }
  if (!isToBeShown) return message;
  await open(number, message);
  return "";
};

// Saves what a reader gives; returns what went wrong, in words.
const give = async (number, path, given, done) => {
  let found;
  try {
    found = await ask(inList(`/api/cases/${number}/${path}`), given);
  } catch (error) {
    return whyNotSaved(number, path, error);
  }
  drafts.delete(number);
  // It is saved, also where the list does not come anew.
  await loadQueue().catch(() => {});
  drawList();
  // By now another case may be open.
  if (number === current) {
    shown = found;
    drawCase();
    panel.focus(path === "decision" ? "next" : "title");
    say(done);
  }
  return "";
};

const panel = new Panel(byId("panel"), slide, {
  onRead: (number, given) => give(number, "reading", given, "Your reading is saved."),
  onDecide: (number, given) => give(number, "decision", given, "Your decision is saved."),
  onGoTo: (field) => slide.goTo(field),
  onNext: () => { const number = nextOpen(); if (number) open(number).then(() => panel.focus("title")); },
});

// Which color is which class, beside the switch of the outlines.
const drawLegend = () => {
  const entries = [...Object.entries(queue.intensity_colors).filter(([name]) => name !== "none"),
    ["unstained", queue.unstained_color]];
  byId("legend").replaceChildren(...entries.map(([name, color]) => make("span", { children: [
    make("span", { class: "swatch", style: { background: color } }), document.createTextNode(name)] })),
  make("span", { children: [make("span", { class: "swatch dot" }), document.createTextNode("not counted")] }));
};

document.addEventListener("keydown", (event) => {
  // A form answers by itself to keys pressed in it.
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) {
    if (!event.repeat) panel.save();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !queue) return;
  if (event.target.matches("textarea, input[type=text]")) return;
  const key = event.key.toLowerCase();
  const beside = current + { j: 1, k: -1 }[key];
  if (beside >= 1 && beside <= queue.cases.length) open(beside);
  else if (key === "o" && shown?.result) setOutlines(!byId("outlines").checked);
  // On the slide itself Leaflet answers to them.
  else if ("+=-−".includes(key) && !byId("slide").contains(event.target)) slide.zoom("+=".includes(key) ? 1 : -1);
  else if (key in KEYS) document.querySelector(`.scores [data-score="${KEYS[key]}"]`)?.click();
});
byId("outlines").addEventListener("change", (event) => setOutlines(event.target.checked));
byId("retry").addEventListener("click", retry);
byId("skip").addEventListener("click", () => panel.focus("title"));
byId("powers").replaceChildren(...SlideMap.POWERS.map((power) => make("button", {
  type: "button", text: `${power}×`, "data-power": power, on: { click: () => slide.magnify(power) } })));
window.addEventListener("beforeunload", (event) => {
  if ([...drafts.values()].some(isTyped)) event.preventDefault();
});

try {
  await loadQueue();
  drawLegend();
  byId("who").textContent = `${queue.reader} · ${queue.is_blinded ? "blinded: results show once you have read" : "not blinded"}`;
  byId("research-use").textContent = queue.research_use;
  panel.queue = queue;
  const wanted = queue.cases[Number(location.hash.slice(1)) - 1];
  const first = queue.cases.find((one) => one.state === "open") ?? queue.cases[0];
  await open((wanted ?? first).number);
} catch (error) {
  panel.drawTrouble("No cases", error.message, () => location.reload());
}
