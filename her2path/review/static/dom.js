// Making parts of the page. Text of a slide or a reader only ever becomes text.

export const byId = (id) => document.getElementById(id);

export const make = (tag, { text, children = [], on = {}, style = {}, ...attributes } = {}) => {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, act] of Object.entries(on)) element.addEventListener(event, act);
  Object.assign(element.style, style);
  element.append(...children.filter(Boolean));
  return element;
};

// For those who hear the page: what has just happened, in a sentence.
export const say = (words) => { byId("said").textContent = words; };
