// What the learner is told, and what it says to it.
import { get, getAll, post } from "./api.js";
import { uuid } from "./browser.js";
import { announce, byId, element, fill } from "./dom.js";
import { ask } from "./operate-ask.js";
import { number, person, time } from "./operate-words.js";

const SHOWN = 8;
const NAMES = {
  pause: "Pause",
  resume: "Resume",
  slow: "Slow",
  freeze: "Freeze",
  fall_back: "Fall back",
  thaw: "Thaw",
  roll_back: "Roll back",
  set_budget: "Change the budget",
  safe_stop: "Stop safely",
  stop: "Stop",
  hard_stop: "Stop hard",
};
const LEVELS = ["slow", "freeze", "fall_back"];
const OPEN_MS = 700;

export class Commands {
  // path: of the run in the API. onDone is told when the learner has answered one.
  constructor(path, onDone) {
    this.path = path;
    this.onDone = onDone;
    this.open = new Set();
    this.shown = "";
    this.state = "";
    this.asksComparisons = false;
    this.buttons = {
      pause: button("Pause", () => this.confirm("pause", "It makes no update until somebody resumes it.")),
      resume: button("Resume", () => this.confirm("resume", "It goes on from where it was paused.")),
      slow: button("Slow", () => this.confirm("slow", "It learns by shorter steps until somebody thaws it.")),
      freeze: button("Freeze", () => this.confirm("freeze", "It goes on acting and learns nothing until somebody thaws it.")),
      fall_back: button("Fall back", () =>
        this.confirm("fall_back", "What is trusted acts in its place from the next step on, and nothing is learned.", true),
      ),
      thaw: button("Thaw", () => this.confirm("thaw", "It learns freely again. What monitors found until now counts no more.")),
      roll_back: button("Roll back…", () => this.rollBack()),
      set_budget: button("Budget…", () => this.changeBudget()),
      safe_stop: button("Stop safely", () =>
        this.confirm("safe_stop", "It acts, by what is trusted if it can, until all episodes have ended; then its learner ends.", true),
      ),
      stop: button("Stop", () => this.confirm("stop", "Its learner ends. A checkpoint is kept; heeler resume goes on.", true)),
      hard_stop: button("Stop hard", () =>
        this.confirm("hard_stop", "Its process is ended at once, whatever it does. It can go on from its newest checkpoint.", true),
      ),
    };
    for (const name of ["fall_back", "safe_stop", "stop", "hard_stop"]) this.buttons[name].classList.add("danger");
  }

  show(state, run, maySteer) {
    this.state = state;
    this.asksComparisons = run.config.preferences !== null && run.config.preferences !== undefined;
    const held = run.held === null ? -1 : LEVELS.indexOf(run.held.level);
    const wanted = [
      state === "paused" ? "resume" : "pause",
      // A world can be brought to rest, and something else act in it; a language model is frozen instead.
      ...LEVELS.filter((name, place) => place > held && (name !== "fall_back" || run.env_id !== null)),
      ...(run.held === null ? [] : ["thaw"]),
      "roll_back",
      ...(this.asksComparisons ? ["set_budget"] : []),
      ...(run.env_id === null ? [] : ["safe_stop"]),
      "stop",
      "hard_stop",
    ];
    const buttons = maySteer ? wanted.map((name) => this.buttons[name]) : [];
    const bar = byId("buttons");
    // Moved only where they change: a button that is moved loses the keyboard's focus.
    if (bar.children.length !== buttons.length || buttons.some((one, place) => bar.children[place] !== one)) {
      const had = bar.contains(document.activeElement);
      fill(bar, ...buttons);
      if (had) buttons[0]?.focus();
    }
  }

  question(kind, words, isDanger = false) {
    const waits = kind !== "hard_stop" && ["finished", "stopped"].includes(this.state);
    const later = waits ? " No learner is running now: it is obeyed once the run is resumed." : "";
    return { title: `${NAMES[kind]} this run?`, words: words + later, yes: NAMES[kind], isDanger };
  }

  confirm(kind, words, isDanger = false) {
    const id = uuid();
    ask(this.question(kind, words, isDanger), () => this.send(id, kind, null));
  }

  async rollBack() {
    const id = uuid();
    const checkpoints = await getAll(`${this.path}/checkpoints`);
    const select = element("select", { required: true, "data-wanted": "There is no checkpoint yet." });
    fill(
      select,
      ...checkpoints.map((one) =>
        element("option", { value: one.step, text: `step ${number(one.step)}, saved ${time(one.saved_unix_s)}` }),
      ),
    );
    const words = "What it learned after that checkpoint is forgotten, and so are later checkpoints. Answers stay.";
    const label = element("label", { class: "field" }, "Checkpoint", select);
    ask({ ...this.question("roll_back", words, true), input: select, label }, (step) => this.send(id, "roll_back", Number(step)));
  }

  changeBudget() {
    const id = uuid();
    const input = element("input", {
      type: "number",
      min: 1,
      max: 1e9,
      step: 1,
      required: true,
      "data-wanted": "Give a whole number from 1 on.",
    });
    const label = element("label", { class: "field" }, "Comparisons in all", input);
    const words = "So many comparisons are asked in all; fewer than were asked means no more questions.";
    ask({ ...this.question("set_budget", words), input, label }, (value) => this.send(id, "set_budget", Number(value)));
  }

  async send(id, kind, value) {
    const kept = await post(`${this.path}/commands`, { id, kind, value }, { repeatable: true });
    announce(`${NAMES[kind]}: asked.`);
    this.open.add(kept.id);
    await this.look();
    this.follow();
  }

  // Look soon again while the learner has not answered.
  follow() {
    clearTimeout(this.timer);
    if (this.open.size > 0 && !document.hidden) {
      this.timer = setTimeout(async () => {
        await this.look().catch(() => {});
        this.follow();
      }, OPEN_MS);
    }
  }

  async look() {
    const { items } = await get(`${this.path}/commands?limit=${SHOWN}`);
    const shown = JSON.stringify(items);
    if (shown === this.shown) return;
    this.shown = shown;
    const done = items.filter((one) => one.done_unix_s !== null && this.open.has(one.id));
    this.open = new Set(items.filter((one) => one.done_unix_s === null).map((one) => one.id));
    const lines = items.map(line);
    fill(byId("commands"), ...(lines.length > 0 ? lines : [element("li", { class: "hint", text: "None so far." })]));
    if (done.length > 0) this.onDone();
    this.follow();
  }
}

function line(command) {
  const value = command.value === null ? "" : ` ${number(command.value)}`;
  const asked = `${NAMES[command.kind] ?? command.kind}${value}: asked ${time(command.asked_unix_s)} by ${person(command.person)}`;
  if (command.done_unix_s === null) {
    return element("li", {}, element("span", { class: "badge warn", text: "waits" }), ` ${asked}.`);
  }
  const isRefused = command.outcome.startsWith("refused");
  const badge = element("span", { class: `badge ${isRefused ? "bad" : "good"}`, text: isRefused ? "refused" : "done" });
  return element("li", {}, badge, ` ${asked}; acknowledged ${time(command.done_unix_s)}: ${command.outcome}.`);
}

function button(text, act) {
  return element("button", { type: "button", text, on: { click: act } });
}
