// Inputs about time: a step, a span of steps, and the action at a step.
import { element } from "./dom.js";

const STRIP_HEIGHT = 36;

// A step of the clip, the one that playback shows.
export class StepInput {
  constructor(item, page, control) {
    this.player = page.player;
    this.field = control.field;
    this.told = element("strong", { class: "number" });
    this.element = element("p", {}, `${control.label} step `, this.told, ": go there with the slider or the keys , and .");
    page.player.setPlaying(false);
    this.onStep(page.player.step);
  }

  onStep(step) {
    this.told.textContent = String(step + 1);
  }

  read() {
    return { [this.field]: this.player.step };
  }
}

// A span of steps, or of characters where a text is judged.
export class SpanInput {
  constructor(item, page) {
    this.player = page.player;
    this.text = item.isText ? page.texts : null;
    this.size = item.clips[0].numSteps;
    if (item.isText) page.texts.onSelect = (start, end) => this.setSpan(start, end);
    this.canvas = element("canvas", { class: "strip", width: 800, height: STRIP_HEIGHT, "aria-hidden": "true" });
    this.from = this.slider("From", 1, 1);
    this.to = this.slider("To", this.size, this.size);
    this.told = element("p", { class: "hint number" });
    const sliders = element("div", { class: "sliders" }, this.from.label, this.to.label);
    this.element = element("div", { class: "stack" }, this.told, item.isText ? null : this.canvas, sliders);
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event));
    this.change(this.from.input);
  }

  slider(name, at, value) {
    const input = element("input", { type: "range", min: 1, max: this.size, step: 1, value });
    input.addEventListener("input", () => this.change(input));
    return { input, label: element("label", { class: "field" }, name, input) };
  }

  get start() {
    return Number(this.from.input.value) - 1;
  }

  get end() {
    return Number(this.to.input.value);
  }

  // One end was moved; the other makes way.
  change(moved) {
    if (this.end <= this.start) {
      if (moved === this.from.input) this.to.input.value = String(this.start + 1);
      else this.from.input.value = String(this.end);
    }
    const what = this.text === null ? "Steps" : "Characters";
    this.told.textContent = `${what} ${this.start + 1} to ${this.end} of ${this.size}`;
    this.text?.mark(this.start, this.end);
    this.draw();
  }

  setSpan(start, end) {
    this.from.input.value = String(start + 1);
    this.to.input.value = String(end);
    this.change(this.from.input);
  }

  drag(event) {
    const at = (pointer) => {
      const box = this.canvas.getBoundingClientRect();
      return Math.min(this.size - 1, Math.max(0, Math.floor(((pointer.clientX - box.left) / box.width) * this.size)));
    };
    const first = at(event);
    this.canvas.setPointerCapture(event.pointerId);
    const move = (pointer) => {
      const now = at(pointer);
      this.setSpan(Math.min(first, now), Math.max(first, now) + 1);
      this.player.seek(now);
    };
    move(event);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", () => this.canvas.removeEventListener("pointermove", move), { once: true });
  }

  onStep() {
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const x = (step) => (step / this.size) * this.canvas.width;
    context.fillStyle = style.getPropertyValue("--sunk");
    context.fillRect(0, 0, this.canvas.width, STRIP_HEIGHT);
    context.fillStyle = style.getPropertyValue("--accent");
    context.fillRect(x(this.start), 6, x(this.end) - x(this.start), STRIP_HEIGHT - 12);
    context.fillStyle = style.getPropertyValue("--text");
    if (this.text === null) context.fillRect(x(this.player.step + 0.5) - 1, 0, 3, STRIP_HEIGHT);
  }

  read() {
    return { start: this.start, end: this.end };
  }
}

// A better action at the step that playback shows, beginning with what was done.
export class ActionInput {
  constructor(item, page, control) {
    this.field = control.field;
    this.clip = item.clips[0];
    this.space = this.clip.actions;
    this.numbers = [];
    const rows = Array.from({ length: this.space.size }, (_, place) => this.row(place));
    this.element = element(
      "fieldset",
      { class: "action stack" },
      element("legend", { text: control.label }),
      ...rows,
      element("p", { class: "hint", text: "It begins with what was done there." }),
    );
    this.onStep(page.player.step);
  }

  row(place) {
    const name = this.space.size === 1 ? "Action" : `Action ${place + 1}`;
    return this.space.discrete ? this.buttons(place, name) : this.sliders(place, name);
  }

  buttons(place, name) {
    const seen = this.clip.curves.action.map((action) => action[place]);
    const count = this.space.counts?.[place] ?? Math.max(...seen) + 1;
    const made = Array.from({ length: count }, (_, value) =>
      element("button", { type: "button", class: "small", text: String(value), on: { click: () => this.set(place, value) } }),
    );
    this.numbers.push({
      value: 0,
      show: (value) => made.forEach((button, at) => button.setAttribute("aria-pressed", String(at === value))),
    });
    return element("div", { class: "row", role: "group", "aria-label": name }, `${name} `, ...made);
  }

  sliders(place, name) {
    const seen = this.clip.curves.action.map((action) => action[place]);
    const low = this.space.low?.[place] ?? Math.min(-1, ...seen);
    const high = this.space.high?.[place] ?? Math.max(1, ...seen);
    const bounds = { min: low, max: high, step: "any" };
    const slider = element("input", { type: "range", "aria-label": `${name}, by slider`, ...bounds });
    const number = element("input", { type: "number", "aria-label": name, ...bounds });
    slider.addEventListener("input", () => this.set(place, Number(slider.value)));
    number.addEventListener("change", () => {
      this.set(place, Math.min(high, Math.max(low, Number(number.value))));
    });
    this.numbers.push({
      value: 0,
      show: (value) => {
        slider.value = String(value);
        number.value = String(Number(value.toFixed(3)));
      },
    });
    return element("div", { class: "number-row" }, element("span", { text: name, "aria-hidden": "true" }), slider, number);
  }

  set(place, value) {
    this.numbers[place].value = value;
    this.numbers[place].show(value);
  }

  onStep(step) {
    if (step === this.step) return;
    this.step = step;
    this.clip.actionAt(step).forEach((value, place) => this.set(place, value));
  }

  read() {
    return { [this.field]: this.numbers.map((number) => number.value) };
  }
}
