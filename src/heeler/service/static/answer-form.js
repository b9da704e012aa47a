// What is asked, and how it is answered: made of the form that comes with every query, whatever kind it is.
import { element } from "./dom.js";
import { ActionInput, SpanInput, StepInput } from "./answer-steps.js";
import { DriveInput } from "./answer-drive.js";

const CHOICE_KEYS = { left: "ArrowLeft", right: "ArrowRight", equal: "ArrowDown", cant_tell: "ArrowUp" };
const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓", ArrowUp: "↑" };
const OTHER_SIDE = { left: "right", right: "left" };
const LOW = 0;
const HIGH = 10;

// The inputs of an item.
//
// page.player: the clips; page.send(value): the answer is complete; page.run: name of the run.
export function inputsOf(item, page) {
  const controls = new Map(item.lease.form.controls.map((control) => [control.field, control]));
  const inputs = [];
  if (controls.has("start") && controls.has("end")) {
    inputs.push(new SpanInput(item, page));
    controls.delete("start");
    controls.delete("end");
  }
  const isCorrection = controls.has("action") && controls.has("text");
  for (const control of controls.values()) {
    // A correction is an action of a clip, or the text of a text.
    if (isCorrection && (control.input === "text") !== item.isText) continue;
    inputs.push(new INPUTS[control.input](item, page, control));
  }
  return inputs;
}

class ChoiceInput {
  constructor(item, page, control) {
    this.byKey = new Map();
    const buttons = control.choices.map(([value, label], place) => {
      const key = CHOICE_KEYS[value] ?? String(place + 1);
      // The left button is for what is seen on the left.
      const meant = item.lease.flip ? (OTHER_SIDE[value] ?? value) : value;
      const choose = () => page.send({ [control.field]: meant });
      this.byKey.set(key, choose);
      return keyButton(label, key, choose, `choice ${value.replace("_", "-")}`);
    });
    this.element = element("div", { class: "choices", role: "group", "aria-label": control.label }, ...buttons);
  }

  key(event) {
    const choose = this.byKey.get(event.key);
    // A key that is held down answers once.
    if (!event.repeat) choose?.();
    return choose !== undefined;
  }
}

class ScaleInput {
  constructor(item, page, control) {
    this.choose = (score) => page.send({ [control.field]: score, low: LOW, high: HIGH });
    const scores = Array.from({ length: HIGH - LOW + 1 }, (_, place) => LOW + place);
    this.element = element(
      "div",
      { class: "scale", role: "group", "aria-label": `${control.label}, ${LOW} is worst and ${HIGH} is best` },
      element("span", { class: "hint", text: "worst" }),
      ...scores.map((score) => keyButton(String(score), score === HIGH ? "+" : "", () => this.choose(score), "small")),
      element("span", { class: "hint", text: "best" }),
    );
  }

  key(event) {
    const score = event.key === "+" || event.key === "=" ? HIGH : /^\d$/.test(event.key) ? Number(event.key) : null;
    if (score !== null && !event.repeat) this.choose(score);
    return score !== null;
  }
}

class MarksInput {
  constructor(item, page, control) {
    this.player = page.player;
    this.marks = [];
    this.list = element("ol", { class: "marks", "aria-label": "Marks" });
    this.none = element("p", { class: "hint", text: "No marks yet. To send none says that nothing stood out." });
    const [good, bad] = control.choices;
    this.element = element(
      "div",
      { class: "stack" },
      element(
        "div",
        { class: "choices two" },
        keyButton(good[1], "g", () => this.add(1), "choice good"),
        keyButton(bad[1], "b", () => this.add(-1), "choice bad"),
      ),
      this.none,
      this.list,
    );
    this.field = control.field;
  }

  add(sign) {
    const timeS = Number((this.player.step * this.player.stepS).toFixed(6));
    this.marks.push({ time_s: timeS, sign });
    this.marks.sort((one, other) => one.time_s - other.time_s);
    this.show();
  }

  show() {
    this.none.hidden = this.marks.length > 0;
    this.list.replaceChildren(
      ...this.marks.map((mark) => {
        const word = `${mark.sign > 0 ? "Good" : "Bad"} at ${mark.time_s.toFixed(2)} s`;
        const drop = () => {
          this.marks.splice(this.marks.indexOf(mark), 1);
          this.show();
        };
        const away = element("button", { type: "button", class: "quiet", "aria-label": `Remove: ${word}`, text: "×" });
        away.addEventListener("click", drop);
        return element("li", { class: mark.sign > 0 ? "badge good" : "badge bad" }, word, away);
      }),
    );
  }

  key(event) {
    const sign = { g: 1, "+": 1, b: -1, "-": -1 }[event.key];
    if (sign !== undefined) this.add(sign);
    else if (event.key === "Backspace" && this.marks.length > 0) {
      this.marks.pop();
      this.show();
    } else return false;
    return true;
  }

  read() {
    return { [this.field]: this.marks };
  }
}

// Good, bad, or neither said; a second press takes it back.
class SignInput {
  constructor(item, page, control) {
    this.field = control.field;
    this.sign = null;
    this.buttons = control.choices.map(([value, label]) => {
      const sign = Number(value);
      const key = sign > 0 ? "g" : "b";
      const button = keyButton(label, key, () => this.choose(sign), sign > 0 ? "choice good" : "choice bad");
      button.setAttribute("aria-pressed", "false");
      return [sign, button];
    });
    const buttons = this.buttons.map(([, button]) => button);
    this.element = element(
      "div",
      { class: "stack", role: "group", "aria-label": control.label },
      element("p", { class: "hint", text: `${control.label}:` }),
      element("div", { class: "choices two" }, ...buttons),
    );
  }

  choose(sign) {
    this.sign = this.sign === sign ? null : sign;
    for (const [value, button] of this.buttons) button.setAttribute("aria-pressed", String(value === this.sign));
  }

  key(event) {
    const sign = { g: 1, "+": 1, b: -1, "-": -1 }[event.key];
    if (sign !== undefined && !event.repeat) this.choose(sign);
    return sign !== undefined;
  }

  read() {
    return this.sign === null ? {} : { [this.field]: this.sign };
  }
}

class TextInput {
  constructor(item, page, control) {
    this.field = control.field;
    this.area = element("textarea", { rows: 3, maxlength: item.isText ? 100000 : 20000 });
    if (item.isText && item.lease.kind === "correction") {
      this.area.value = item.clips[0].completion;
      this.original = this.area.value;
      this.area.rows = 8;
    }
    this.element = element("label", { class: "field" }, control.label, this.area);
  }

  read() {
    if (this.area.value.trim() === "") {
      this.area.focus();
      throw new Error("Write something first.");
    }
    if (this.area.value === this.original) throw new Error("This is the text as it was: change it first.");
    return { [this.field]: this.area.value };
  }
}

const INPUTS = {
  choice: ChoiceInput,
  number: ScaleInput,
  marks: MarksInput,
  text: TextInput,
  steps: StepInput,
  action: ActionInput,
  segment: DriveInput,
  sign: SignInput,
};

// A button that says which key does the same.
export function keyButton(label, key, act, classes = "") {
  const made = element("button", { type: "button", class: classes, on: { click: act } }, element("span", { text: label }));
  if (key !== "") {
    made.setAttribute("aria-keyshortcuts", key);
    made.append(element("kbd", { text: KEY_NAMES[key] ?? key, "aria-hidden": "true" }));
  }
  return made;
}
