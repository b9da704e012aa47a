"""What the charts of a report are made of: plain Plotly figures.

Colours are roles (`@blue`), to which the page gives values, light or dark.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_POINTS = 1000

Trace = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart with the sentence that says what is to be seen."""

    id: str
    title: str
    caption: str
    traces: list[Trace]
    layout: dict[str, Any]


def rows_with(rows: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows that have the metric, evenly thinned to what a screen can show; the last always stays."""
    found = [row for row in rows if name in row]
    if len(found) <= MAX_POINTS:
        return found
    return [found[i] for i in np.linspace(0, len(found) - 1, MAX_POINTS).astype(int)]


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """[R]: one metric of R rows that all have it."""
    return np.array([float(row[name]) for row in rows])


def numbers(values: Iterable[float]) -> list[float]:
    """JSON-ready, to six digits: the page need not carry more."""
    return [float(f"{value:.6g}") for value in values]


def line(
    x: Iterable[float],
    y: Iterable[float],
    name: str,
    colour: str,
    *,
    width: float = 2,
    dash: str = "solid",
    shape: str = "linear",
    opacity: float = 1.0,
) -> Trace:
    """A curve; `shape` "hv" keeps each value until the next."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [int(value) if float(value).is_integer() else value for value in x],
        "y": numbers(y),
        "opacity": opacity,
        "line": {"color": f"@{colour}", "width": width, "dash": dash, "shape": shape},
    }


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> list[Trace]:
    """The area between two curves."""
    edge = {"type": "scatter", "mode": "lines", "x": [int(v) for v in x], "line": {"width": 0}, "showlegend": False}
    lower = {**edge, "y": numbers(low), "name": "95 % from"}
    upper = {**edge, "y": numbers(high), "name": "95 % to", "fill": "tonexty", "fillcolor": f"@{colour}-band"}
    return [lower, upper]


def over_steps(step: int, y: str, **settings: Any) -> dict[str, Any]:
    """Axes that all charts over the run share, so that they can be read one above the other."""
    return axes("environment steps", y, x_range=[0, step], **settings)


def axes(
    x: str,
    y: str,
    *,
    legend: bool = True,
    x_range: list[float] | None = None,
    y_range: list[float] | None = None,
    x_format: str | None = None,
    y_format: str | None = None,
    y_from_zero: bool = False,
) -> dict[str, Any]:
    """A layout with titles of both axes, and their limits and formats where they are not to be found by the data."""

    def axis(title: str, limits: list[float] | None, tick_format: str | None) -> dict[str, Any]:
        own: dict[str, Any] = {"title": {"text": title}}
        if limits is not None:
            own["range"] = limits
        if tick_format is not None:
            own["tickformat"] = tick_format
        return own

    upright = axis(y, y_range, y_format) | ({"rangemode": "tozero"} if y_from_zero else {})
    return {"xaxis": axis(x, x_range, x_format), "yaxis": upright, "showlegend": legend}


def sections_of(
    rows: list[dict[str, Any]], curves: Mapping[str, Sequence[tuple[str, str, str, str]]]
) -> dict[str, list[Chart]]:
    """Charts under their headings, each as `curve` takes it; a heading without any is left out."""
    found = {heading: [curve(rows, *each) for each in some] for heading, some in curves.items()}
    told = {heading: [chart for chart in charts if chart is not None] for heading, charts in found.items()}
    return {heading: charts for heading, charts in told.items() if charts}


def curve(rows: list[dict[str, Any]], name: str, title: str, caption: str, unit: str) -> Chart | None:
    """One metric over the updates of a run; None where it was not told twice."""
    found = rows_with(rows, name)
    if len(found) < 2:
        return None
    traces = [line(column(found, "step"), column(found, name), title, "blue")]
    layout = axes("updates", unit, legend=False)
    return Chart(id=re.sub(r"[_/]", "-", name), title=title, caption=caption, traces=traces, layout=layout)
