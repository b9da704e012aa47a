// The keys, in a dialogue that `?` opens.
import { byId, element, fill } from "./dom.js";

const KEYS = {
  preference: [["← →", "the left or the right one is better"], ["↓", "equally good"], ["↑", "cannot tell"]],
  rating: [["0 – 9", "the score"], ["+", "the score 10"]],
  evaluation: [["g or +", "good, at this moment"], ["b or −", "bad, at this moment"], ["⌫", "remove the last mark"]],
  critique: [["g or +", "the part is good"], ["b or −", "the part is bad"]],
  correction: [],
  demonstration: [["arrows, digits", "drive, as the buttons say"], ["Space", "let time pass"]],
};
const ALWAYS = [
  ["Space", "play or pause"],
  [", .", "one step back or on"],
  ["[ ]", "slower or faster"],
  ["⌫", "undo the last answer"],
  ["Ctrl ⏎", "send, where there is more than one thing to say"],
  ["?", "this list"],
];

export function showHelp(kind) {
  const own = KEYS[kind] ?? [];
  const taken = new Set(own.map(([keys]) => keys));
  const rows = [...own, ...ALWAYS.filter(([keys]) => !taken.has(keys))];
  const made = rows.map(([keys, what]) =>
    element("tr", {}, element("th", { scope: "row" }, element("kbd", { text: keys })), element("td", { text: what })),
  );
  fill(byId("help-keys"), element("table", {}, element("tbody", {}, ...made)));
  byId("help").showModal();
}
