// An agent at work, and two buttons. A press is timed by what this page had on the screen, whatever the network did.
import { me, showAccount } from "./account.js";
import { ApiError, NetworkError, get, ofEach } from "./api.js";
import { uuid } from "./browser.js";
import { announce, byId, element, fill, isOwnKey, show } from "./dom.js";
import { Marks } from "./watch-marks.js";

const POLL_MS = 200;
const MOST_AHEAD = 6;
const FLASH_MS = 350;
const KEYS = { j: -1, J: -1, ArrowDown: -1, ArrowLeft: -1, k: 1, K: 1, ArrowUp: 1, ArrowRight: 1 };
const ended = new AbortController();

class Theatre {
  constructor(run, marks) {
    this.run = run;
    this.marks = marks;
    this.path = `/runs/${encodeURIComponent(run)}/watch`;
    this.queue = [];
    this.now = null;
    this.after = null;
    this.pace = null;
    this.numTaken = 0;
    this.context = byId("picture").getContext("2d");
    byId("good").addEventListener("click", () => this.press(1));
    byId("bad").addEventListener("click", () => this.press(-1));
    addEventListener("keydown", (event) => this.key(event));
    this.look();
    this.tick = this.tick.bind(this);
    requestAnimationFrame(this.tick);
  }

  // Ask for what comes next, for as long as somebody can see it.
  async look() {
    if (!document.hidden) {
      try {
        await this.fetchNext();
        show(byId("notice"), "");
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof NetworkError)) throw error;
        show(byId("notice"), `${error.message}. Trying again.`);
      }
    }
    setTimeout(() => this.look(), POLL_MS);
  }

  async fetchNext() {
    const after = this.after === null ? "" : `?after=${this.after}`;
    const found = await get(this.path + after);
    this.pace = found.steps_per_second;
    this.heldS = found.held_s;
    const state = byId("state");
    show(state, found.state);
    byId("clock").textContent = `${found.minutes.toFixed(1)} minutes shown at ${this.pace} steps a second; ${found.num_signals} signals learned from.`;
    for (const stretch of found.items) {
      this.after = stretch.number;
      const blob = stretch.film === null ? null : await get(`${this.path}/${encodeURIComponent(stretch.query_id)}/film`, { as: "blob" });
      this.queue.push({ ...stretch, sheet: blob === null ? null : await createImageBitmap(blob) });
    }
    // After the page was hidden, or the network away, what was missed is not made up for.
    if (this.queue.length > MOST_AHEAD) this.queue.splice(0, this.queue.length - 2).forEach((one) => one.sheet?.close());
  }

  tick(nowMs) {
    const lengthMs = this.now === null ? 0 : (1000 * this.now.num_steps) / this.pace;
    const isOver = this.now === null || nowMs - this.now.beganMs >= lengthMs;
    // One more is waited for before the first, so that small delays do not stop the picture.
    if (isOver && (this.now === null ? this.queue.length > 1 : this.queue.length > 0)) {
      const next = this.queue.shift();
      const isLate = this.now === null || nowMs - this.now.beganMs - lengthMs > 250;
      next.beganMs = isLate ? nowMs : this.now.beganMs + lengthMs;
      this.now?.sheet?.close();
      this.now = next;
      this.step = -1;
    }
    if (this.now !== null) this.draw(nowMs);
    requestAnimationFrame(this.tick);
  }

  draw(nowMs) {
    const passed = Math.floor(((nowMs - this.now.beganMs) / 1000) * this.pace);
    const step = Math.max(0, Math.min(this.now.num_steps - 1, passed));
    if (step === this.step) return;
    this.step = step;
    const { sheet, film } = this.now;
    if (sheet === null) this.drawNumbers(this.now.observation[step]);
    else {
      const index = film.steps.findLastIndex((at) => at <= step);
      const x = (index % film.columns) * film.width;
      const y = Math.floor(index / film.columns) * film.height;
      this.context.drawImage(sheet, x, y, film.width, film.height, 0, 0, 480, 480);
    }
    const begins = this.now.begins && step === 0 ? "A new episode. " : "";
    byId("doing").textContent = `${begins}Step ${this.now.first_step + step + 1}: action ${this.now.action[step].join(", ")}`;
    performance.mark("heeler-step", { detail: this.now.first_step + step });
  }

  drawNumbers(numbers) {
    const { context } = this;
    const most = Math.max(1, ...numbers.map(Math.abs));
    context.clearRect(0, 0, 480, 480);
    context.fillStyle = getComputedStyle(context.canvas).color;
    const wide = 480 / numbers.length;
    numbers.forEach((number, place) => {
      const long = (number / most) * 232;
      context.fillRect(place * wide + 2, 240 - Math.max(0, long), wide - 4, Math.abs(long) + 1);
    });
  }

  key(event) {
    const sign = KEYS[event.key];
    if (sign === undefined || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isOwnKey(event.target, event.key)) return;
    event.preventDefault();
    this.press(sign);
  }

  press(sign) {
    const time_s = this.now === null ? -1 : (performance.now() - this.now.beganMs) / 1000;
    if (time_s < 0 || time_s > this.now.num_steps / this.pace + this.heldS) {
      byId("taken").textContent = "Nothing is being shown; that was not taken.";
      return;
    }
    this.marks.add(this.run, { key: uuid(), query_id: this.now.query_id, time_s, sign });
    this.numTaken += 1;
    const word = sign > 0 ? "good" : "bad";
    byId("taken").textContent = `${this.numTaken}: ${word}`;
    announce(word);
    this.flash(sign);
  }

  // The press is seen at once, on the button and around the picture.
  flash(sign) {
    const [button, name] = sign > 0 ? [byId("good"), "said-good"] : [byId("bad"), "said-bad"];
    const picture = byId("picture");
    picture.classList.remove("said-good", "said-bad");
    for (const each of [byId("good"), byId("bad")]) each.classList.remove("pressed");
    picture.classList.add(name);
    button.classList.add("pressed");
    clearTimeout(this.flashing);
    this.flashing = setTimeout(() => {
      picture.classList.remove(name);
      button.classList.remove("pressed");
    }, FLASH_MS);
  }
}

async function choose() {
  const { items } = await get("/tasks");
  const found = await ofEach(items, async ({ run }) => {
    try {
      await get(`/runs/${encodeURIComponent(run)}/watch`);
      return run;
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return null;
      throw error;
    }
  });
  const runs = found.filter((run) => run !== null);
  fill(
    byId("run-list"),
    ...runs.map((run) => element("li", {}, element("a", { href: `/watch?run=${encodeURIComponent(run)}`, text: run }))),
  );
  byId("no-runs").hidden = runs.length > 0;
  byId("runs").hidden = false;
}

async function begin() {
  await showAccount();
  const run = new URLSearchParams(location.search).get("run");
  if (run === null) {
    await choose();
    return;
  }
  const { person } = await me();
  const waiting = byId("waiting");
  const marks = new Marks(person.id, ended.signal, {
    onChange: (count, isLost) => show(waiting, count === 0 ? "" : `${count} not sent yet${isLost ? ": no connection" : ""}`),
    onSent: () => performance.mark("heeler-mark-sent"),
    onRefused: (error) => show(byId("notice"), `A press was not taken: ${error.message}.`),
  });
  marks.send();
  byId("run").textContent = run;
  byId("stage").hidden = false;
  window.heelerTheatre = new Theatre(run, marks);
}

begin().catch((error) => show(byId("notice"), `${error.message}.`));
