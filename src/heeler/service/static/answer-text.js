// A prompt and what came of it, as text and nothing else.
import { element, fill } from "./dom.js";

const ROLES = { system: "Instructions", user: "Asked", assistant: "Answered", text: "Beginning" };

export class Text {
  constructor(shown) {
    this.prompt = shown.text.prompt;
    this.completion = shown.text.completion;
    // Positions count characters as the service does, not the halves that JavaScript counts.
    this.letters = Array.from(this.completion);
    this.numSteps = shown.num_steps;
    this.stepS = 0;
  }

  close() {}
}

// Shows texts side by side under the prompt that they share.
export class TextView {
  constructor(root, signal) {
    this.root = root;
    this.bodies = [];
    this.onSelect = null;
    document.addEventListener("selectionchange", () => this.selected(), { signal });
  }

  show(texts, labels) {
    this.texts = texts;
    this.onSelect = null;
    const messages = texts[0].prompt.map((message) => said(ROLES[message.role] ?? message.role, message.content));
    this.bodies = texts.map((text) => body(text.completion));
    const figures = texts.map((_, place) =>
      element("figure", {}, element("figcaption", { text: labels[place] }), this.bodies[place]),
    );
    fill(
      this.root,
      messages.length > 0 ? element("section", { class: "prompt card stack", "aria-label": "Prompt" }, ...messages) : null,
      element("div", { class: texts.length === 2 ? "texts two" : "texts" }, ...figures),
    );
  }

  clear() {
    this.bodies = [];
    this.onSelect = null;
    fill(this.root);
  }

  // Mark a part of the first text.
  mark(start, end) {
    const { letters } = this.texts[0];
    const part = (from, to) => letters.slice(from, to).join("");
    fill(
      this.bodies[0],
      document.createTextNode(part(0, start)),
      element("mark", { text: part(start, end) }),
      document.createTextNode(part(end, letters.length)),
    );
  }

  // Tell of a part of the first text that somebody selected.
  selected() {
    const selection = document.getSelection();
    if (this.onSelect === null || selection.rangeCount === 0 || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    if (!this.bodies[0].contains(range.startContainer) || !this.bodies[0].contains(range.endContainer)) return;
    const before = document.createRange();
    before.selectNodeContents(this.bodies[0]);
    before.setEnd(range.startContainer, range.startOffset);
    const start = Array.from(before.toString()).length;
    this.onSelect(start, start + Array.from(range.toString()).length);
  }
}

function said(who, content) {
  return element("div", {}, element("p", { class: "hint", text: who }), body(content));
}

function body(content) {
  return element("p", { class: "text", dir: "auto", text: content });
}
