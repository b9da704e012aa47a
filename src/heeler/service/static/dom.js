// Small helpers that make elements. Whatever comes from elsewhere becomes text, never markup.

// An element. `attributes` are set as they are; `on` holds listeners, `class` the classes, `text` the text.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (name === "text") {
      made.textContent = value;
    } else if (name.startsWith("on") || name === "style" || name === "srcdoc") {
      throw new TypeError(`attribute ${name} is code or style; use listeners and classes`);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// The element of this id; a page that lacks it is broken.
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

// Put `children` in the place of what an element holds.
export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

// Say something to who listens to the page instead of looking at it.
export function announce(text) {
  byId("live").textContent = text;
}

// Show a message in an element that is hidden while there is none.
export function show(target, text) {
  target.textContent = text;
  target.hidden = text === "";
}

// Whether what is focused has a use for a key itself.
export function isOwnKey(target, key) {
  if (target.matches("input[type=range]")) return /^(Arrow|Home|End|Page)/.test(key);
  return target.matches("button, a, summary") && (key === " " || key === "Enter");
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
