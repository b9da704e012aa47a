// The page of those who watch and steer runs.
import { me, showAccount } from "./account.js";
import { ApiError, get, getAll } from "./api.js";
import { byId, element, fill, show, wait } from "./dom.js";
import { AuditLog } from "./operate-audit.js";
import { Charts, NAMES } from "./operate-charts.js";
import { Clip } from "./operate-clip.js";
import { Commands } from "./operate-commands.js";
import { Releases } from "./operate-releases.js";
import { Series } from "./operate-series.js";
import { ago, learnNames, number, percent } from "./operate-words.js";

const LOOK_MS = 4000;
const STATES = { learning: "good", "waiting for people": "warn", paused: "warn", stopped: "bad", finished: "" };
const notice = byId("notice");

// Do something every few seconds while the page is seen; what fails is told once, and tried again.
async function keep(look) {
  for (;;) {
    if (!document.hidden) {
      try {
        await look();
        show(notice, "");
      } catch (problem) {
        const text = problem instanceof ApiError ? problem.detail : `${problem.message}; trying again`;
        if (notice.textContent !== text) show(notice, text);
        if (!(problem instanceof ApiError) && problem.name !== "NetworkError") console.error(problem);
      }
    }
    await Promise.race([wait(LOOK_MS), seen()]);
  }
}

function seen() {
  return new Promise((done) => {
    if (document.hidden) document.addEventListener("visibilitychange", done, { once: true });
  });
}

// The list of runs

async function showRuns() {
  byId("runs").hidden = false;
  let shown = "";
  await keep(async () => {
    const runs = await getAll("/runs");
    byId("no-runs").hidden = runs.length > 0;
    byId("run-table").hidden = runs.length === 0;
    const rows = runs.map(runRow);
    const text = rows.map((row) => row.textContent).join("\n");
    // Rows that are put in anew would take the keyboard's focus away.
    if (text === shown) return;
    shown = text;
    const heads = ["Run", "State", "World", "Step", "Newest figures"].map((head) => element("th", { scope: "col", text: head }));
    const had = document.activeElement?.getAttribute("href") ?? null;
    fill(byId("run-table"), element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)));
    if (had !== null) [...byId("run-table").querySelectorAll("a")].find((link) => link.getAttribute("href") === had)?.focus();
  });
}

function runRow(run) {
  const link = element("a", { href: `/operate?run=${encodeURIComponent(run.name)}`, text: run.name });
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, link),
    element("td", {}, element("span", { class: `badge ${STATES[run.state] ?? ""}`, text: run.state })),
    element("td", { text: run.env_id ?? "–" }),
    element("td", { class: "number", text: number(run.step) }),
    element("td", { text: ago(run.last_row_unix_s) }),
  );
}

// One run

async function showRun(name, account) {
  const path = `/runs/${encodeURIComponent(name)}`;
  byId("run").hidden = false;
  byId("run-name").textContent = name;
  document.title = `${name} · heeler`;
  const audit = new AuditLog(path);
  const changed = () => audit.look().catch(() => {});
  const commands = new Commands(path, changed);
  const releases = new Releases(path, account, changed);
  const clip = new Clip(path);
  const charts = new Charts();
  const series = new Series(path, NAMES, () => charts.soon(series));
  const alarms = new Alarms(path);
  series.begin();
  audit.look({ check: true }).catch(() => {});
  await keep(async () => {
    const run = await get(path);
    showState(run);
    showHealth(run, series);
    commands.show(run.state, run, account.permissions.includes("steer"));
    await Promise.all([alarms.look(), run.has_store ? commands.look() : null, releases.look(), clip.look()]);
  });
}

function showState(run) {
  const state = byId("run-state");
  state.className = `badge ${STATES[run.state] ?? ""}`;
  if (state.textContent !== run.state) state.textContent = run.state;
  const parts = [run.recipe, run.env_id, run.seed === null ? null : `seed ${run.seed}`, `step ${number(run.step)}`];
  const newest = `newest figures ${ago(run.last_row_unix_s)}`;
  byId("run-about").textContent = [...parts, newest].filter((part) => part !== null && part !== undefined).join(" · ");
}

function showHealth(run, series) {
  const row = series.newest ?? run.metrics ?? {};
  const open = run.counts === null ? null : run.counts.queries - run.counts.feedback;
  const figures = [
    ["Agreement with answers not seen", row.reward_model_validation_accuracy, percent],
    ["Agreement with answers trained on", row.reward_model_train_accuracy, percent],
    ["Calibration error", row.reward_model_calibration_error, percent],
    ["Fits of the reward", row.fits, number],
    ["Learned against true reward, correlation", row.reward_correlation, number],
    ["Questions asked", run.counts?.queries, number],
    ["Answers", run.counts?.feedback, number],
    ["Questions without enough answers, about", open === null ? null : Math.max(0, open), number],
    ["Value loss", row.value_loss, number],
    ["Episodes", row.episodes, number],
  ].filter(([, value]) => value !== null && value !== undefined);
  const rows = figures.map(([label, value, write]) =>
    element("tr", {}, element("th", { scope: "row", text: label }), element("td", { class: "number", text: write(value) })),
  );
  const none = element("p", { class: "hint", text: "No update has been made yet." });
  fill(byId("health"), rows.length > 0 ? element("table", {}, element("tbody", {}, ...rows)) : none);
}

class Alarms {
  constructor(path) {
    this.path = path;
    this.shown = "[]";
  }

  async look() {
    const { items } = await get(`${this.path}/alarms`);
    // Words with figures change all the time; they are not read out again for that.
    const names = JSON.stringify(items.map((alarm) => [alarm.name, alarm.severity]));
    if (names === this.shown) return;
    this.shown = names;
    fill(byId("alarms"), ...items.map(alarmBox));
  }
}

function alarmBox(alarm) {
  const since = alarm.since_step === null ? "" : ` Since step ${number(alarm.since_step)}.`;
  return element(
    "div",
    { class: `notice alarm ${alarm.severity}` },
    element("h2", { text: alarm.words }),
    element("p", { text: alarm.advice + since }),
  );
}

await showAccount();
const account = await me();
await learnNames().catch(() => {});
const name = new URLSearchParams(location.search).get("run");
await (name === null ? showRuns() : showRun(name, account));
