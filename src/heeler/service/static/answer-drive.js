// A demonstration: a world that moves only while a key or button is held.
import { post } from "./api.js";
import { decoded, PICTURE } from "./answer-media.js";
import { element, show } from "./dom.js";

const TICK_MS = 80;
const SECONDS_A_TICK = 0.04;
const NUMBER_KEYS = [
  ["ArrowLeft", "ArrowRight"],
  ["ArrowDown", "ArrowUp"],
  ["a", "d"],
];
const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓", ArrowUp: "↑", " ": "Space" };

export class DriveInput {
  constructor(item, page, control) {
    this.field = control.field;
    this.clip = item.clips[0];
    this.path = `/runs/${encodeURIComponent(page.run)}/leases/${encodeURIComponent(item.queryId)}/drive`;
    this.held = new Set();
    this.pressed = new Set();
    this.isMoving = false;
    this.state = null;
    this.canvas = element("canvas", { class: "driven", width: PICTURE * 2, height: PICTURE * 2, role: "img" });
    this.canvas.setAttribute("aria-label", "The world that you drive");
    this.told = element("p", { class: "hint number", role: "status" });
    this.problem = element("p", { class: "notice bad", role: "alert", hidden: true });
    this.element = this.clip.canDrive
      ? element("div", { class: "stack" }, this.canvas, this.told, this.problem, this.controls())
      : this.refusal(item, page);
    if (this.clip.canDrive) this.begin();
  }

  refusal(item, page) {
    const leave = element("button", { type: "button", text: "Leave it to others", on: { click: () => page.leave(item) } });
    const why = "This world cannot be driven from a keyboard. A program can send a demonstration through the API.";
    return element("div", { class: "stack" }, element("p", { class: "notice warn", text: why }), leave);
  }

  // Buttons to be held, one for each key.
  controls() {
    this.actions = keyActions(this.clip.actions);
    const made = Array.from(this.actions, ([key, { label }]) => {
      const button = element("button", { type: "button", "aria-keyshortcuts": key }, element("span", { text: label }));
      button.append(element("kbd", { text: NAMES[key] ?? key, "aria-hidden": "true" }));
      button.addEventListener("pointerdown", (event) => {
        button.setPointerCapture(event.pointerId);
        this.press(key);
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        button.addEventListener(end, () => this.held.delete(key));
      }
      // A press by keyboard or by an aid is a click without a pointer.
      button.addEventListener("click", (event) => event.detail === 0 && this.tap(key));
      return button;
    });
    const anew = element("button", { type: "button", class: "quiet", text: "Begin anew", on: { click: () => this.begin() } });
    const hint = element("p", { class: "hint", text: "The world moves only while you hold a key or a button." });
    return element("div", { class: "stack" }, element("div", { class: "row", role: "group", "aria-label": "Drive" }, ...made, anew), hint);
  }

  async begin() {
    this.held.clear();
    this.pressed.clear();
    await this.tried(async () => this.see(await post(this.path)));
  }

  press(key) {
    this.held.add(key);
    // A short tap may begin and end within one tick, and counts for the next.
    this.pressed.add(key);
    this.move();
  }

  tap(key) {
    this.press(key);
    this.held.delete(key);
  }

  key(event) {
    if (!this.clip.canDrive || !this.actions.has(event.key)) return false;
    if (!event.repeat) this.press(event.key);
    return true;
  }

  keyUp(event) {
    this.held.delete(event.key);
  }

  // Step on while anything is held; what is held when a tick begins is done for all of it.
  async move() {
    if (this.isMoving || this.state === null || this.state.ended) return;
    this.isMoving = true;
    const count = Math.max(1, Math.round(SECONDS_A_TICK / this.state.step_s));
    await this.tried(async () => {
      do {
        const began = performance.now();
        const action = this.action();
        this.see(await post(`${this.path}/steps`, { actions: Array.from({ length: count }, () => action) }));
        await new Promise((done) => setTimeout(done, Math.max(0, TICK_MS - (performance.now() - began))));
      } while (this.held.size + this.pressed.size > 0 && !this.state.ended);
    });
    this.isMoving = false;
  }

  action() {
    const keys = Array.from(new Set([...this.held, ...this.pressed]), (key) => this.actions.get(key));
    this.pressed.clear();
    const { discrete, size } = this.clip.actions;
    if (discrete) return [keys.at(-1).value];
    const numbers = Array.from({ length: size }, () => 0);
    for (const { place, value } of keys) if (place !== undefined) numbers[place] = value;
    return numbers;
  }

  async see(state) {
    this.state = state;
    const end = state.ended ? " It is over: send it, or begin anew." : "";
    this.told.textContent = `${state.num_steps} of at most ${state.max_steps} steps.${end}`;
    const context = this.canvas.getContext("2d");
    if (state.picture !== null) {
      const picture = await decoded(state.picture);
      context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
      picture.close();
    } else {
      drawNumbers(context, state.observation);
    }
  }

  async tried(act) {
    show(this.problem, "");
    try {
      await act();
    } catch (error) {
      show(this.problem, `${error.message}.`);
    }
  }

  async read() {
    if (!this.clip.canDrive) throw new Error("This cannot be shown from here.");
    if (this.state === null || this.state.num_steps === 0) throw new Error("Drive first, then send.");
    const driven = await post(`${this.path}/finish`, undefined, { repeatable: true });
    return { [this.field]: driven.segment_id };
  }
}

// What each key does: {label, value} of a discrete action, {label, place, value} of a number.
export function keyActions(space) {
  const found = new Map();
  if (space.discrete) {
    const count = space.counts[0];
    const arrows = { 2: ["ArrowLeft", "ArrowRight"], 3: ["ArrowLeft", "ArrowDown", "ArrowRight"] }[count];
    for (let value = 0; value < count; value += 1) {
      found.set(arrows?.[value] ?? String(value + 1), { label: `Action ${value}`, value });
    }
    return found;
  }
  for (let place = 0; place < space.size; place += 1) {
    const name = space.size === 1 ? "" : ` ${place + 1}`;
    found.set(NUMBER_KEYS[place][0], { label: `Number${name} down`, place, value: space.low[place] });
    found.set(NUMBER_KEYS[place][1], { label: `Number${name} up`, place, value: space.high[place] });
  }
  found.set(" ", { label: "Wait", value: 0 });
  return found;
}

function drawNumbers(context, numbers) {
  const { width, height } = context.canvas;
  const most = Math.max(1, ...numbers.map(Math.abs));
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(context.canvas).color;
  const wide = width / numbers.length;
  numbers.forEach((number, place) => {
    const long = (number / most) * (height / 2 - 8);
    context.fillRect(place * wide + 2, height / 2 - Math.max(0, long), wide - 4, Math.abs(long) + 1);
  });
}
