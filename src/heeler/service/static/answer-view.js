// What a learned reward thinks of clips that people find hard to judge. It says that it is a model's, and stays folded
// until somebody wants it: whoever has read it is no longer judging alone.
import { element, fill } from "./dom.js";

// Fill `root`; hidden where there is nothing to tell. `labels` name the clips as they are shown.
export function showView(root, words, item, labels) {
  const { view } = item.lease;
  root.hidden = view === null;
  root.open = false;
  if (view === null) return;
  const { stepS } = item.clips[0];
  const span = ([first, end]) => `${seconds(first * stepS)} to ${seconds(end * stepS)} s`;
  const lines = item.places.map(
    (place, shown) =>
      `${labels[shown]}: it likes ${span(view.best[place])} most and ${span(view.worst[place])} least.`,
  );
  if (view.first_better !== null) lines.unshift(expected(view.first_better, item.places, labels));
  const warning = "A model learned this from earlier answers and may be wrong. What you see yourself counts.";
  fill(words, element("p", { class: "hint", text: warning }), ...lines.map((text) => element("p", { text })));
}

function expected(firstBetter, places, labels) {
  const isFirst = firstBetter >= 0.5;
  const chance = Math.round(100 * (isFirst ? firstBetter : 1 - firstBetter));
  return `It expects that people prefer ${labels[places.indexOf(isFirst ? 0 : 1)].toLowerCase()}, with ${chance} %.`;
}

const seconds = (value) => (Math.round(value * 100) / 100).toString();
