// Live charts by plotly.js, each with its newest figures as a table for those who do not see it.
import { byId, element, fill } from "./dom.js";
import { finePercent, number, percent } from "./operate-words.js";

const REDRAW_MS = 600;
const KEYS = ["one", "two", "three"];
const COLOURS = ["--accent", "--warn", "--good"];
// The axis of shares that are near 0 where all is well, and would lie on the floor of one that reaches to 1.
const RARE = { rangemode: "tozero", tickformat: ".1%" };

export const CHARTS = [
  { title: "True return", lines: { "mean of the latest episodes": "true_return_mean" } },
  { title: "Predicted reward", lines: { "mean of a step": "predicted_reward_mean" } },
  {
    title: "Agreement with answers",
    isShare: true,
    lines: { "not seen": "reward_model_validation_accuracy", "trained on": "reward_model_train_accuracy" },
  },
  { title: "Reward of an answer", lines: { mean: "reward" } },
  { title: "Held-out comparisons", isShare: true, lines: { "preferred to the first model": "held_out" } },
  { title: "Toxic answers", isRare: true, lines: { share: "costs/toxicity/mean", budget: "costs/toxicity/budget" } },
  { title: "Length of answers (tokens)", lines: { mean: "completions/mean_length" } },
  // Of these a run has three at most.
  { title: "Comparisons", lines: { used: "labels_used", "learned from": "pairs", answered: "answered", asked: "asked" } },
  { title: "Speed (steps a second)", lines: { speed: "speed" } },
  { title: "Change of the policy (KL)", lines: { KL: "kl" } },
];
export const NAMES = [...new Set(CHARTS.flatMap((chart) => Object.values(chart.lines)))]
  .filter((name) => name !== "speed")
  .concat(["elapsed_s", "reward_model_calibration_error", "reward_correlation", "fits", "value_loss", "episodes"]);

export class Charts {
  constructor() {
    this.plots = CHARTS.map(make);
    this.isDue = false;
    this.drawnMs = 0;
    this.plotly = null;
    this.failed = false;
    for (const { figure } of this.plots) byId("charts").append(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.series && this.soon(this.series));
  }

  // Draw within a moment; more often than that nobody sees.
  soon(series) {
    this.series = series;
    if (this.isDue || document.hidden) return;
    this.isDue = true;
    const waits = Math.max(0, this.drawnMs + REDRAW_MS - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), waits);
  }

  async draw() {
    try {
      this.plotly ??= await loaded();
    } catch {
      // The tables are there all the same.
      this.failed = true;
    }
    const speed = speeds(this.series);
    for (const plot of this.plots) {
      const all = Object.entries(plot.chart.lines).map(([label, name]) => [label, name === "speed" ? speed : this.series.values[name]]);
      // A run in a world and one of a language model have different figures.
      const lines = all.filter(([, values]) => values.some((value) => value !== null));
      plot.figure.hidden = lines.length === 0;
      if (lines.length === 0) continue;
      table(plot, lines);
      if (this.plotly !== null) react(this.plotly, plot, this.series.step, lines);
      plot.plot.hidden = this.plotly === null;
    }
    this.isDue = false;
    this.drawnMs = performance.now();
  }
}

function make(chart) {
  const plot = element("div", { class: "plot", "aria-hidden": "true" });
  const caption = element("figcaption", { text: chart.title });
  const body = element("div");
  const figure = element("figure", { class: "chart card", hidden: true }, caption, plot, body);
  return { chart, plot, figure, body, shown: "" };
}

function table(plot, lines) {
  const write = plot.chart.isRare ? finePercent : plot.chart.isShare ? percent : number;
  const rows = lines.map(([label, values]) => [label, write(values.findLast((value) => value !== null) ?? null)]);
  const shown = JSON.stringify(rows);
  if (shown === plot.shown) return;
  plot.shown = shown;
  fill(
    plot.body,
    element(
      "table",
      { "aria-label": `${plot.chart.title}, newest figures` },
      element(
        "tbody",
        {},
        ...rows.map(([label, value], place) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, element("span", { class: `key ${KEYS[place]}`, "aria-hidden": "true" }), label),
            element("td", { class: "number", text: value }),
          ),
        ),
      ),
    ),
  );
}

function react(plotly, plot, step, lines) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const data = lines.map(([label, values], place) => ({
    type: "scatter",
    mode: "lines",
    name: label,
    // Copies: plotly.js takes an array that it has seen for one that has not changed.
    x: step.slice(),
    y: values.slice(),
    connectgaps: true,
    line: { width: 1.6, color: colour(COLOURS[place]) },
  }));
  const axis = { gridcolor: colour("--line"), zeroline: false, linecolor: colour("--line"), tickfont: { size: 11 } };
  const layout = {
    margin: { l: 48, r: 8, t: 8, b: 28 },
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--soft"), family: "system-ui, sans-serif", size: 11 },
    xaxis: { ...axis, nticks: 5 },
    yaxis: { ...axis, nticks: 5, ...(plot.chart.isShare ? { range: [0, 1.02], tickformat: ".0%" } : {}), ...(plot.chart.isRare ? RARE : {}) },
    hovermode: false,
    dragmode: false,
  };
  return plotly.react(plot.plot, data, layout, { displayModeBar: false, responsive: true, staticPlot: true });
}

// Steps a second between one row and the next that is shown.
function speeds({ step, values }) {
  const seconds = values.elapsed_s;
  return step.map((at, place) => {
    const passed = place === 0 ? 0 : seconds[place] - seconds[place - 1];
    return passed > 0 ? (at - step[place - 1]) / passed : null;
  });
}

let loading = null;

function loaded() {
  loading ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.js", import.meta.url).href;
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => {
      // Asked for again the next time something is drawn.
      loading = null;
      fail(new Error("plotly.js did not come"));
    });
    document.head.append(script);
  });
  return loading;
}
