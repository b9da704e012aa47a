// What the agent did just now: pictures of a sheet, shown one after another.
import { get } from "./api.js";
import { byId, element, fill } from "./dom.js";
import { number } from "./operate-words.js";

export class Clip {
  constructor(path) {
    this.path = path;
    this.step = null;
    this.sheet = null;
    this.isPlaying = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.canvas = element("canvas", { width: 240, height: 240, role: "img", "aria-label": "Latest clip" });
    this.play = element("button", { type: "button", on: { click: () => this.setPlaying(!this.isPlaying) } });
    this.words = element("p", { class: "hint", text: "Waiting for the first clip." });
    this.box = element("div", { class: "stack", hidden: true }, this.canvas, element("div", { class: "row" }, this.play));
    fill(byId("clip"), this.box, this.words);
    this.setPlaying(this.isPlaying);
    this.beganMs = 0;
    this.tick = this.tick.bind(this);
    requestAnimationFrame(this.tick);
  }

  setPlaying(isPlaying) {
    this.isPlaying = isPlaying;
    this.play.textContent = isPlaying ? "Hold" : "Play";
  }

  async look() {
    const clip = await get(`${this.path}/clip`);
    if (!clip.can_be_drawn) {
      this.words.textContent = "There are no clips of this run: it writes texts, or its world cannot be drawn.";
      return;
    }
    if (clip.step === null || clip.step === this.step) return;
    const image = new Image();
    image.src = `/api/v1${this.path}/clip/${clip.step}`;
    try {
      await image.decode();
    } catch {
      // A newer one took its place; the next look finds that.
      return;
    }
    this.step = clip.step;
    this.sheet = { ...clip.sheet, image, fps: clip.fps };
    this.beganMs = performance.now();
    this.box.hidden = false;
    this.canvas.setAttribute("aria-label", `The first environment shortly before step ${number(clip.step)}`);
    this.words.textContent = `The first environment shortly before step ${number(clip.step)}.`;
    this.draw(0);
  }

  tick(nowMs) {
    if (this.isPlaying && this.sheet !== null) {
      const passed = Math.floor(((nowMs - this.beganMs) / 1000) * this.sheet.fps);
      this.draw(Math.max(0, passed) % this.sheet.num_pictures);
    }
    requestAnimationFrame(this.tick);
  }

  draw(picture) {
    if (picture === this.drawn && this.drawnStep === this.step) return;
    this.drawn = picture;
    this.drawnStep = this.step;
    const { image, columns, width, height } = this.sheet;
    const x = (picture % columns) * width;
    const y = Math.floor(picture / columns) * height;
    this.canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, 240, 240);
  }
}
