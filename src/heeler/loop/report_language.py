"""The charts of a language model's run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from heeler.loop.report_chart import Chart, Trace, axes, band, column, line, rows_with
from heeler.loop.words import number

Rows = Sequence[dict[str, Any]]
_COLOURS = ("blue", "orange", "teal", "plum", "grey")
_DASHES = ("solid", "dash", "dot")


def language_charts(rows: Rows) -> dict[str, list[Chart]]:
    """The charts of each section; what a run knows nothing of is left out.

    Args:
        rows: of `metrics.jsonl`, each with its `step`. Metrics are named as TRL names them: `reward`, `reward_std`,
            `rewards/PART/mean`, `kl`, `entropy`, `completions/mean_length`; and `costs/COST/mean`, `multipliers/COST`,
            `held_out`, `watch/nearness`, `reward_disagreement`, `repetition`.
    """
    sections = {
        "Rewards": [reward_chart(rows), parts_chart(rows), costs_chart(rows), multipliers_chart(rows)],
        "Held out": [held_out_chart(rows), nearness_chart(rows)],
        "The model": [_single(rows, *each) for each in _SINGLE],
    }
    found = {name: [chart for chart in some if chart is not None] for name, some in sections.items()}
    return {name: some for name, some in found.items() if some}


_SINGLE = (
    ("kl", "KL to the reference", "nats a completion", "blue", "How far it has gone from where it began."),
    ("entropy", "Entropy", "nats a token", "teal", "How undecided it is; near 0 it always says the same."),
    ("completions/mean_length", "Length", "tokens of an answer", "plum", "A reward that pays for length shows here."),
    ("repetition", "Repetition", "share", "orange", "How much of an answer says again what it has said."),
    ("reward_disagreement", "Disagreement", "of the ensemble", "grey", "High where nobody was asked about the like."),
)


def reward_chart(rows: Rows) -> Chart | None:
    """The whole reward, with its spread."""
    found = rows_with(rows, "reward")
    if not found:
        return None
    steps, mean = column(found, "step"), column(found, "reward")
    spread = np.array([float(row.get("reward_std", 0.0)) for row in found])
    return Chart(
        id="reward",
        title="Reward",
        caption=f"What learning maximises, and its spread among answers: from {number(mean[0])} to {number(mean[-1])}.",
        traces=[*_spread(steps, mean, spread), line(steps, mean, "reward", "blue")],
        layout=axes("steps", "reward of an answer", legend=False),
    )


def _spread(steps: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> list[Trace]:
    lower, upper = band(steps, mean - spread, mean + spread, "blue")
    return [lower | {"name": "one spread below"}, upper | {"name": "one spread above"}]


def parts_chart(rows: Rows) -> Chart | None:
    """Each part of the reward by itself."""
    return _lines(
        rows, "rewards/", "/mean", id="parts", title="Parts of the reward", y="mean score", caption="Before weights"
    )


def costs_chart(rows: Rows) -> Chart | None:
    """Each cost."""
    return _lines(rows, "costs/", "/mean", id="costs", title="Costs", y="mean of an answer", caption="Kept to a budget")


def multipliers_chart(rows: Rows) -> Chart | None:
    """What each cost weighs, so that its budget holds."""
    return _lines(
        rows,
        "multipliers/",
        "",
        id="multipliers",
        title="Multipliers",
        y="weight of the cost",
        caption="A cost over its budget weighs more from update to update",
    )


def held_out_chart(rows: Rows) -> Chart | None:
    """What learning never sees."""
    found = rows_with(rows, "held_out")
    if not found:
        return None
    steps, value = column(found, "step"), column(found, "held_out")
    return Chart(
        id="held-out",
        title="Held-out agreement",
        caption=f"What learning never sees: {number(value[0])} at first, {number(value[-1])} at the end. Where the "
        "reward rises and this does not, the reward is being exploited.",
        traces=[line(steps, value, "held-out agreement", "orange")],
        layout=axes("steps", "held-out agreement", legend=False),
    )


def nearness_chart(rows: Rows) -> Chart | None:
    """How near the watch was to halting."""
    found = rows_with(rows, "watch/nearness")
    if not found:
        return None
    steps, value = column(found, "step"), column(found, "watch/nearness")
    enough = line([steps[0], steps[-1]], [1, 1], "enough to halt", "muted", width=1, dash="dash")
    return Chart(
        id="nearness",
        title="Evidence of over-optimisation",
        caption=f"At 1 learning halts. The highest was {number(float(value.max()))}.",
        traces=[enough, line(steps, value, "evidence", "plum")],
        layout=axes("steps", "share of what is enough", y_range=[0, max(1.1, 1.05 * float(value.max()))]),
    )


def _single(rows: Rows, name: str, title: str, y: str, colour: str, caption: str) -> Chart | None:
    found = rows_with(rows, name)
    if not found:
        return None
    value = column(found, name)
    return Chart(
        id=name.replace("/", "-"),
        title=title,
        caption=f"{caption} From {number(value[0])} to {number(value[-1])}.",
        traces=[line(column(found, "step"), value, title, colour)],
        layout=axes("steps", y, legend=False, y_from_zero=True),
    )


def _lines(rows: Rows, prefix: str, suffix: str, *, id: str, title: str, y: str, caption: str) -> Chart | None:
    """All metrics of one kind, a curve each."""
    names = _names(rows, prefix, suffix)
    if not names:
        return None
    traces: list[Trace] = []
    last: list[str] = []
    for i, name in enumerate(names):
        found = rows_with(rows, f"{prefix}{name}{suffix}")
        value = column(found, f"{prefix}{name}{suffix}")
        dash = _DASHES[i // len(_COLOURS) % len(_DASHES)]
        traces.append(line(column(found, "step"), value, name, _COLOURS[i % len(_COLOURS)], dash=dash))
        last.append(f"{name} {number(value[-1])}")
    return Chart(
        id=id, title=title, caption=f"{caption}; at the end: {', '.join(last)}.", traces=traces, layout=axes("steps", y)
    )


def _names(rows: Rows, prefix: str, suffix: str) -> list[str]:
    every = dict.fromkeys(name for row in rows for name in row)
    inner = [name[len(prefix) : len(name) - len(suffix)] for name in every if _is_of(name, prefix, suffix)]
    return [name for name in inner if name]


def _is_of(name: str, prefix: str, suffix: str) -> bool:
    return name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)
