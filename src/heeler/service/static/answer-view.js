// What a learned reward thinks of clips that people find hard to judge. It says that it is a model's, and stays folded
// until somebody wants it: whoever has read it is no longer judging alone, so that their answer says so.
import { element, fill } from "./dom.js";

export class ModelView {
  // `name` is that of the person and the run, `current` tells the item that is on the screen.
  constructor(root, words, { name, current, signal }) {
    this.root = root;
    this.words = words;
    this.prefix = `heeler.view-opened.${name}.`;
    root.addEventListener("toggle", () => root.open && current() !== null && this.noteOpened(current()), { signal });
  }

  // Hidden where there is nothing to tell. `labels` name the clips as they are shown.
  show(item, labels) {
    const { view } = item.lease;
    this.root.hidden = view === null;
    this.root.open = false;
    if (view !== null) fillWords(this.words, item, labels);
  }

  // What an answer to the item that is on the screen says of it: null where there was none.
  seen(item) {
    if (item.lease.view === null) return null;
    // The browser tells of an opening a moment later.
    if (this.root.open) this.noteOpened(item);
    return { ...item.lease.view, opened: sessionStorage.getItem(this.prefix + item.queryId) !== null };
  }

  // In the browser's storage: whoever loads the page again has still read it.
  noteOpened(item) {
    sessionStorage.setItem(this.prefix + item.queryId, "opened");
  }
}

function fillWords(root, item, labels) {
  const { view } = item.lease;
  const { stepS } = item.clips[0];
  const span = ([first, end]) => `${seconds(first * stepS)} to ${seconds(end * stepS)} s`;
  const lines = item.places.map(
    (place, shown) =>
      `${labels[shown]}: it likes ${span(view.best[place])} most and ${span(view.worst[place])} least.`,
  );
  if (view.first_better !== null) lines.unshift(expected(view.first_better, item.places, labels));
  const warning = "A model learned this from earlier answers and may be wrong. What you see yourself counts.";
  fill(root, element("p", { class: "hint", text: warning }), ...lines.map((text) => element("p", { text })));
}

function expected(firstBetter, places, labels) {
  const isFirst = firstBetter >= 0.5;
  const chance = Math.round(100 * (isFirst ? firstBetter : 1 - firstBetter));
  return `It expects that people prefer ${labels[places.indexOf(isFirst ? 0 : 1)].toLowerCase()}, with ${chance} %.`;
}

const seconds = (value) => (Math.round(value * 100) / 100).toString();
