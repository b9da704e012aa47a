// What was said, and what people say of answers: thumbs, stars, a better answer, words on a part. All of it is text.
import { post } from "./api.js";
import { uuid } from "./browser.js";
import { announce, element, fill } from "./dom.js";

const STARS = [1, 2, 3, 4, 5];
const NAMES = { system: "Instructions", user: "You", assistant: "Answer" };

// Keep what somebody says of an answer; its key makes it the same, however often it is sent.
export function keep(answer, kind, value) {
  const body = { key: uuid(), completion_id: answer.id, choice: answer.choice, kind, value };
  return post("/chat/feedback", body, { repeatable: true });
}

// A message by whoever said it.
export function said(role, content) {
  const text = element("p", { class: "text", dir: "auto", text: content });
  const box = element("article", { class: `said ${role}`, "aria-label": NAMES[role] ?? role });
  box.append(element("h2", { text: NAMES[role] ?? role }), text);
  return { box, text };
}

// An answer: it grows while it comes, and once it is complete people can say what it is worth.
export class Answer {
  constructor(title = NAMES.assistant) {
    const { box, text } = said("assistant", "");
    this.box = box;
    this.text = text;
    box.querySelector("h2").textContent = title;
    this.content = "";
    this.id = null;
    this.choice = 0;
    this.finish = null;
    text.classList.add("writing");
  }

  add(more) {
    this.content += more;
    this.text.textContent = this.content;
  }

  // Nothing more comes; `why` where it was cut short.
  end(why = "") {
    this.text.classList.remove("writing");
    if (why !== "") this.box.append(element("p", { class: "hint", text: why }));
  }

  // Offer everything that can be said of it; `label` names the version that gave it.
  offer(label) {
    this.told = element("span", { class: "hint", role: "status" });
    this.place = element("div");
    const tools = element("div", { class: "tools row", role: "group", "aria-label": "What is this answer worth?" });
    tools.append(
      this.thumb("Good", "up"),
      this.thumb("Bad", "down"),
      this.stars(),
      this.opener("Write a better one", () => this.correction()),
      this.opener("Mark a part", () => this.critique()),
      element("span", { class: "hint", text: label }),
      this.told,
    );
    this.tools = tools;
    this.box.append(tools, this.place);
  }

  async send(kind, value, words) {
    this.told.textContent = "";
    try {
      await keep(this, kind, value);
      this.told.textContent = words;
      return true;
    } catch (problem) {
      this.told.textContent = `This was not kept: ${problem.message}`;
      return false;
    }
  }

  thumb(word, thumbs) {
    const button = element("button", { type: "button", class: "small", "aria-label": `${word} answer`, "aria-pressed": "false", text: word });
    button.addEventListener("click", async () => {
      if (!(await this.send("evaluation", { thumbs }, "Kept. Thank you."))) return;
      for (const other of this.tools.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", "true");
    });
    return button;
  }

  stars() {
    const name = `stars-${this.id}-${this.choice}`;
    const labels = STARS.map((count) => {
      const input = element("input", { type: "radio", name, value: count, "aria-label": count === 1 ? "1 star" : `${count} stars` });
      input.addEventListener("change", async () => {
        if (!(await this.send("rating", { stars: count }, `Kept: ${count} of 5.`))) return;
        labels.forEach((label, place) => label.classList.toggle("on", place < count));
      });
      return element("label", {}, input, element("span", { "aria-hidden": "true", text: "★" }));
    });
    return element("fieldset", { class: "stars" }, element("legend", { class: "unseen", text: "Stars" }), ...labels);
  }

  opener(label, form) {
    const button = element("button", { type: "button", class: "small", "aria-expanded": "false", text: label });
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      for (const other of this.tools.querySelectorAll("[aria-expanded]")) other.setAttribute("aria-expanded", "false");
      fill(this.place, isOpen ? null : form());
      button.setAttribute("aria-expanded", String(!isOpen));
      this.place.querySelector("textarea")?.focus();
    });
    return button;
  }

  close() {
    for (const opener of this.tools.querySelectorAll("[aria-expanded]")) opener.setAttribute("aria-expanded", "false");
    fill(this.place);
    this.tools.querySelector("button").focus();
  }

  correction() {
    const better = element("textarea", { rows: 5, maxlength: 100000, required: true });
    better.value = this.content;
    const label = element("label", { class: "field" }, "The answer as it should be", better);
    return this.form("Keep the better answer", [label], async () => {
      if (better.value === this.content) return "Change something first.";
      return (await this.send("correction", { text: better.value }, "Kept. Thank you for the better answer.")) ? "" : null;
    });
  }

  critique() {
    // Browsers let nobody select by keys in what is read only, so that it only refuses to change.
    const whole = element("textarea", { rows: 5, "aria-readonly": "true", inputmode: "none", spellcheck: "false" });
    whole.value = this.content;
    whole.addEventListener("beforeinput", (event) => event.preventDefault());
    const words = element("textarea", { rows: 2, maxlength: 20000, required: true });
    const marked = element("p", { class: "hint", "aria-live": "polite", text: "Nothing is marked yet." });
    const part = () => [whole.selectionStart, whole.selectionEnd];
    let chosen = [0, 0];
    for (const event of ["select", "keyup", "pointerup"]) {
      whole.addEventListener(event, () => {
        const [start, end] = part();
        if (start === end) return;
        chosen = [start, end];
        const text = whole.value.slice(start, end);
        marked.textContent = `Marked: “${text.length > 60 ? `${text.slice(0, 60)}…` : text}”`;
      });
    }
    const pick = element("label", { class: "field" }, "Mark a part of it: drag over it, or use Shift and the arrow keys", whole);
    const why = element("label", { class: "field" }, "What is good or bad about that part?", words);
    const taken = "Praise and nothing else, such as “very good”, has the model say more of it; anything else, less.";
    const hint = element("p", { class: "hint", text: taken });
    return this.form("Keep this", [pick, marked, why, hint], async () => {
      const [start, end] = chosen;
      if (start === end) return "Mark a part first.";
      // The service counts whole characters, JavaScript their halves.
      const value = { text: words.value, start: count(whole.value, start), end: count(whole.value, end) };
      return (await this.send("critique", value, "Kept. Thank you.")) ? "" : null;
    });
  }

  // A form that is kept: `doing` gives "" once it is, or what is missing.
  form(button, fields, doing) {
    const missing = element("p", { class: "notice bad", role: "alert", hidden: true });
    const form = element("form", { class: "stack" }, ...fields, missing);
    const cancel = element("button", { type: "button", class: "small", text: "Cancel", on: { click: () => this.close() } });
    form.append(element("div", { class: "row" }, element("button", { type: "submit", class: "primary", text: button }), cancel));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (form.dataset.busy === "true") return;
      form.dataset.busy = "true";
      const said = await doing();
      form.dataset.busy = "false";
      if (said === "") this.close();
      missing.textContent = said ?? this.told.textContent;
      missing.hidden = said === "";
    });
    return form;
  }
}

function count(text, halves) {
  return Array.from(text.slice(0, halves)).length;
}

// Two answers to one message, side by side: people say which is better before they are told more of either.
export class Pair {
  constructor(flip) {
    // Which of them comes first is for the service to say, so that nobody's habit of choosing a side counts.
    this.answers = [new Answer(flip ? "B" : "A"), new Answer(flip ? "A" : "B")];
    this.sides = flip ? [this.answers[1], this.answers[0]] : this.answers;
    this.box = element("section", { "aria-label": "Two answers to compare", tabindex: "-1" });
    this.box.append(element("div", { class: "pair" }, ...this.sides.map((answer) => answer.box)));
  }

  // Ask which is better; the one to go on with.
  ask() {
    return new Promise((chosen) => {
      const [left, right] = this.sides;
      const told = element("p", { class: "notice bad", role: "alert", hidden: true });
      const choose = async (better, answer) => {
        try {
          await keep(left, "preference", { other: right.id, other_choice: right.choice, better });
        } catch (problem) {
          told.textContent = `This was not kept: ${problem.message}`;
          told.hidden = false;
          // Such as two that are the same: there is nothing to choose then.
          if (problem.status !== 409 && problem.status !== 404 && problem.status !== 422) return;
        }
        this.forget?.();
        chosen(answer);
      };
      const acts = [
        ["A is better", "ArrowLeft", "←", () => choose("this", left)],
        ["Equally good", "ArrowUp", "↑", () => choose("equal", left)],
        ["I cannot tell", "ArrowDown", "↓", () => choose("cant_tell", left)],
        ["B is better", "ArrowRight", "→", () => choose("other", right)],
      ];
      const buttons = acts.map(([label, , sign, act]) =>
        element("button", { type: "button", on: { click: act } }, label, element("kbd", { "aria-hidden": "true", text: sign })),
      );
      const press = (event) => {
        if (event.target.matches("input, textarea, select") || event.ctrlKey || event.altKey || event.metaKey) return;
        const act = acts.find(([, key]) => key === event.key);
        if (act === undefined) return;
        event.preventDefault();
        act[3]();
      };
      document.addEventListener("keydown", press);
      this.forget = () => document.removeEventListener("keydown", press);
      this.box.append(element("div", { class: "choices", role: "group", "aria-label": "Which answer is better?" }, ...buttons), told);
      announce("Two answers are complete. Which one is better?");
      this.box.focus({ preventScroll: true });
    });
  }
}
