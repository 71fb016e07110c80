// Asking the server, and why it did not give what was asked for.

export class Refused extends Error {
  constructor(words, status = 0) {
    super(words);
    this.status = status;
  }
}

const UNREACHABLE = "The server does not answer: does her2path review still run? "
  + "What you typed is kept while this page stays open.";

// Returns what the server sends; `given` is sent to it as JSON, where there is something to send.
export const ask = async (path, given) => {
  let answer, text;
  try {
    answer = await fetch(path, given === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
    });
    text = await answer.text();
  } catch {
    throw new Refused(UNREACHABLE);
  }
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    // What is no JSON is said in plain words: no access, for one.
    throw new Refused(text.trim().slice(0, 300) || `The server answered ${answer.status}.`, answer.status);
  }
  if (answer.ok) return found;
  const { detail } = found;
  throw new Refused(typeof detail === "string" ? detail
    : detail?.[0]?.msg ?? `The server answered ${answer.status}.`, answer.status);
};

// Says why a tile did not come; empty where it comes now.
export const whyMissing = async (address) => {
  try {
    const answer = await fetch(address);
    if (answer.ok) return "";
  } catch {
    return UNREACHABLE;
  }
  return ask(address).then(() => "", (error) => error.message);
};
