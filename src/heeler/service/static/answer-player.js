// Clips side by side, looping in step, with control of time by buttons and keys.
import { element, fill } from "./dom.js";
import { PICTURE } from "./answer-media.js";

const LOOP_AT_LEAST_S = 2;
const REST_S = 0.4;
const AIDED_SPEED = 1 / 2;
const FASTEST = 4;
const SLOWEST = 1 / 64;

export class Player {
  // Builds its elements into `root`. `signal` ends it, `onStep` is told when another step is seen.
  constructor(root, signal, onStep) {
    this.signal = signal;
    this.onStep = onStep;
    this.clips = [];
    this.canvases = [];
    this.numbers = [];
    this.timeS = 0;
    this.speed = 1;
    this.isPlaying = false;
    this.shownStep = -1;
    this.pictures = element("div", { class: "clips" });
    this.playButton = button("Pause", "Space", () => this.toggle());
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Step of the clip" });
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.place = element("span", { class: "number hint" });
    this.pace = element("p", { class: "hint pace" });
    this.controls = element(
      "div",
      { class: "transport", role: "group", "aria-label": "Playback" },
      this.playButton,
      button("Back", ",", () => this.move(-1), "One step back"),
      button("Next", ".", () => this.move(1), "One step on"),
      button("Slower", "[", () => this.changeSpeed(1 / 2)),
      button("Faster", "]", () => this.changeSpeed(2)),
      this.slider,
      this.place,
    );
    fill(root, this.pictures, this.controls, this.pace);
    this.root = root;
    this.last = null;
    this.tick = this.tick.bind(this);
    requestAnimationFrame(this.tick);
  }

  // Show other clips from their beginning; slowly, and with the numbers behind them, where that is wanted.
  show(clips, labels, { slow = false, numbers = false } = {}) {
    this.root.hidden = false;
    this.clips = clips;
    const steps = clips.map((clip) => `${clip.numSteps} steps`);
    const figures = clips.map((clip, place) => {
      const canvas = element("canvas", { width: PICTURE * 2, height: PICTURE * 2, role: "img" });
      canvas.setAttribute("aria-label", `${labels[place]}: a clip of ${steps[place]}`);
      const made = element("figure", {}, element("figcaption", { text: labels[place] }), canvas);
      if (numbers && clips[place].film !== null) {
        const behind = element("canvas", { width: PICTURE * 2, height: PICTURE, class: "numbers", role: "img" });
        behind.setAttribute("aria-label", `${labels[place]}: the numbers behind the clip`);
        made.append(behind);
      }
      return made;
    });
    this.canvases = figures.map((figure) => figure.querySelector("canvas"));
    this.numbers = figures.map((figure) => figure.querySelector("canvas.numbers"));
    fill(this.pictures, ...figures);
    this.pictures.classList.toggle("two", clips.length === 2);
    this.numSteps = Math.max(...clips.map((clip) => clip.numSteps));
    this.stepS = clips[0].stepS;
    const durationS = this.numSteps * this.stepS;
    this.speed = Math.min(1, durationS / LOOP_AT_LEAST_S) * (slow ? AIDED_SPEED : 1);
    this.slider.max = String(this.numSteps - 1);
    this.timeS = 0;
    this.shownStep = -1;
    // Who asked their system for less movement starts it themselves.
    this.setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
    this.tellPace();
    this.draw();
  }

  // Show nothing.
  clear() {
    this.clips = [];
    this.isPlaying = false;
    this.root.hidden = true;
  }

  get step() {
    return Math.min(this.numSteps - 1, Math.floor(this.timeS / this.stepS + 1e-9));
  }

  toggle() {
    this.setPlaying(!this.isPlaying);
  }

  setPlaying(isPlaying) {
    this.isPlaying = isPlaying;
    this.playButton.firstChild.textContent = isPlaying ? "Pause" : "Play";
  }

  move(by) {
    this.seek((this.step + by + this.numSteps) % this.numSteps);
  }

  seek(step) {
    this.setPlaying(false);
    this.timeS = step * this.stepS;
    this.draw();
  }

  changeSpeed(factor) {
    this.speed = Math.min(FASTEST, Math.max(SLOWEST, this.speed * factor));
    this.tellPace();
  }

  tellPace() {
    const times = this.speed < 1 ? 1 / this.speed : this.speed;
    const rounded = times < 10 ? Math.round(times * 10) / 10 : Math.round(times);
    const way = this.speed < 1 ? "slower than" : "as fast as";
    this.pace.textContent = rounded === 1 ? "Shown in real time." : `Shown ${rounded} times ${way} real time.`;
  }

  // Whether the key was one of playback's.
  key(event) {
    const act = {
      " ": () => this.toggle(),
      ",": () => this.move(-1),
      ".": () => this.move(1),
      "[": () => this.changeSpeed(1 / 2),
      "]": () => this.changeSpeed(2),
    }[event.key];
    if (act === undefined || this.clips.length === 0) return false;
    act();
    return true;
  }

  tick(now) {
    if (this.signal.aborted) return;
    const passedS = this.last === null ? 0 : Math.min(0.25, (now - this.last) / 1000);
    this.last = now;
    if (this.isPlaying && this.clips.length > 0) {
      const durationS = this.numSteps * this.stepS;
      this.timeS += passedS * this.speed;
      // The last picture rests a little, so that the end of a loop can be told from its middle.
      if (this.timeS >= durationS + REST_S * this.speed) this.timeS = 0;
      this.draw();
    }
    requestAnimationFrame(this.tick);
  }

  draw() {
    const step = this.step;
    if (step === this.shownStep) return;
    this.shownStep = step;
    this.clips.forEach((clip, place) => {
      const shown = Math.min(step, clip.numSteps - 1);
      clip.draw(this.canvases[place].getContext("2d"), shown);
      const numbers = this.numbers[place];
      if (numbers !== null) clip.drawNumbers(numbers.getContext("2d"), shown);
    });
    this.slider.value = String(step);
    this.place.textContent = `${step + 1} / ${this.numSteps}`;
    this.onStep(step);
  }
}

function button(text, key, act, label = null) {
  const made = element("button", { type: "button", class: "small", "aria-keyshortcuts": key, on: { click: act } });
  if (label !== null) made.setAttribute("aria-label", label);
  made.append(document.createTextNode(text), element("kbd", { text: key, "aria-hidden": "true" }));
  return made;
}
