"use strict";
// Draws every chart in the colours of the page, and again when the reader turns from light to dark.
const charts = JSON.parse(document.getElementById("charts").textContent);

function colour(role) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim();
}

function coloured(value) {
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item)]));
  }
  return typeof value === "string" && value.startsWith("@") ? colour(value.slice(1)) : value;
}

function axis(own) {
  return {
    gridcolor: colour("rule"), zerolinecolor: colour("rule"), linecolor: colour("muted"), tickcolor: colour("muted"),
    automargin: true, fixedrange: true, ...own, title: { ...own.title, standoff: 8 },
  };
}

function layout(own) {
  return {
    height: 290, hovermode: "x", bargap: 0.25,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 12, t: own.showlegend ? 30 : 10, b: 44 },
    font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: colour("soft") },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("muted"), font: { color: colour("ink") } },
    ...coloured(own), xaxis: axis(own.xaxis), yaxis: axis(own.yaxis),
  };
}

function draw() {
  for (const chart of charts) {
    const options = { displayModeBar: false, responsive: true };
    Plotly.react("plot-" + chart.id, coloured(chart.traces), layout(chart.layout), options);
  }
}

draw();
const observer = new ResizeObserver((entries) => entries.forEach((entry) => Plotly.Plots.resize(entry.target)));
charts.forEach((chart) => observer.observe(document.getElementById("plot-" + chart.id)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
