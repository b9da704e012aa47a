"""The charts of a report, one function each."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from heeler.evaluation.agreement import wilson_interval
from heeler.feedback.acquisition import ACQUISITIONS
from heeler.loop.report_chart import Chart, Trace, axes, band, column, line, numbers, over_steps, rows_with
from heeler.loop.report_data import Labels, ReportData, SegmentReturns
from heeler.loop.report_groups import group_charts
from heeler.loop.report_honesty import honesty_charts
from heeler.loop.report_imitation import imitation_charts
from heeler.loop.report_limits import limit_charts, limited_figures
from heeler.loop.words import OWN_MEANS, number

_NORMAL_95 = 1.96
_CHOICE_WORDS = {"left": "left", "right": "right", "equal": "equal", "cant_tell": "can't tell"}
_SMOOTHED_OVER = 15


def charts(data: ReportData) -> dict[str, list[Chart]]:
    """The charts of each section, in the order of the page; what a run knows nothing of is left out."""
    sections = {
        "Groups": group_charts(data.groups, data.rows, data.step),
        "Honesty, drawn": honesty_charts(data.honesty),
        "Learning": [return_chart(data), *count_charts(data), reward_chart(data), correlation_chart(data)],
        "Limits": limit_charts(data),
        "Demonstrations": imitation_charts(data),
        "Reward model": [
            accuracy_chart(data),
            reliability_chart(data.reliability),
            scatter_chart(data.segment_returns) if data.segment_returns else None,
        ],
        "Labels": [asked_chart(data, data.labels), choice_chart(data.labels), score_chart(data, data.labels)]
        if data.labels and data.labels.queries
        else [],
        "Time": [time_chart(data)],
    }
    found = {name: [chart for chart in some if chart is not None] for name, some in sections.items()}
    for chart in (*found.get("Learning", []), *found.get("Limits", [])):
        mark_restart(chart, data)
    return {name: some for name, some in found.items() if some}


def mark_restart(chart: Chart, data: ReportData) -> None:
    """Show where a fresh policy took over, in a chart over the run."""
    restart = data.config.restart_update
    if restart is None or data.step <= restart * data.config.steps_per_update:
        return
    at = restart * data.config.steps_per_update
    chart.layout["shapes"] = [
        {
            "type": "line",
            "x0": at,
            "x1": at,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": "@grey", "dash": "dot"},
        }
    ]
    chart.layout["annotations"] = [
        {"x": at, "y": 1, "yref": "paper", "text": "a fresh policy begins", "showarrow": False, "xanchor": "left"}
    ]


def return_chart(data: ReportData) -> Chart | None:
    """True return of the latest episodes, with its interval."""
    rows = rows_with(data.rows, "true_return_mean")
    if not rows:
        return None
    steps, mean = column(rows, "step"), column(rows, "true_return_mean")
    half = _NORMAL_95 * np.array([row.get("true_return_standard_error", 0.0) for row in rows])
    return Chart(
        id="return",
        title="True return",
        caption=f"Mean of the latest 100 episodes and its 95 % interval, while it explores: from {number(mean[0])} to "
        f"{number(mean[-1])}." + (" Learning never sees it." if data.config.learns_reward else ""),
        traces=[*band(steps, mean - half, mean + half, "blue"), line(steps, mean, "mean return", "blue")],
        layout=over_steps(data.step, "true return of an episode", legend=False),
    )


def count_charts(data: ReportData) -> list[Chart]:
    """What the world counts in an episode, such as landed backflips."""
    shown = OWN_MEANS | limited_figures(data)
    names = dict.fromkeys(name for row in data.rows for name in row if name.endswith("_mean") and name not in shown)
    charts: list[Chart] = []
    for name in names:
        rows, words = rows_with(data.rows, name), name.removesuffix("_mean").replace("_", " ")
        mean = column(rows, name)
        charts.append(
            Chart(
                id=name,
                title=words.capitalize(),
                caption=f"In an episode, mean of the latest 100, while it explores: {number(mean[-1])} at the end.",
                traces=[line(column(rows, "step"), mean, words, "plum")],
                layout=over_steps(data.step, f"{words} in an episode", legend=False, y_from_zero=True),
            )
        )
    return charts


def reward_chart(data: ReportData) -> Chart | None:
    """The learned reward of what the policy did."""
    rows = rows_with(data.rows, "predicted_reward_mean")
    if not rows:
        return None
    steps, mean = column(rows, "step"), column(rows, "predicted_reward_mean")
    return Chart(
        id="predicted",
        title="Learned reward",
        caption="Mean a step, in units of its spread when it was last fitted. Each new fit begins again at 0.",
        traces=[line(steps, mean, "learned reward", "teal")],
        layout=over_steps(data.step, "learned reward of a step", legend=False),
    )


def correlation_chart(data: ReportData) -> Chart | None:
    """How far learned and true reward agree, step by step."""
    rows = rows_with(data.rows, "reward_correlation")
    if not rows:
        return None
    steps, value = column(rows, "step"), column(rows, "reward_correlation")
    smooth = np.array([value[max(0, i - _SMOOTHED_OVER + 1) : i + 1].mean() for i in range(len(value))])
    return Chart(
        id="correlation",
        title="Learned against true reward, step by step",
        caption=f"Correlation over each stretch of acting, and its mean over the latest {_SMOOTHED_OVER}: "
        f"{smooth[-1]:.2f} at the end.",
        traces=[
            line(steps, value, "each stretch", "teal", width=1, opacity=0.35),
            line(steps, smooth, f"mean of {_SMOOTHED_OVER}", "teal"),
        ],
        layout=over_steps(data.step, "correlation", legend=False, y_range=[min(0.0, float(value.min())) - 0.05, 1.05]),
    )


def accuracy_chart(data: ReportData) -> Chart | None:
    """How often the learned reward foretells the answer."""
    name = "reward_model_validation_accuracy"
    rows = rows_with(data.rows, name)
    train = rows_with(data.rows, "reward_model_train_accuracy")
    if not train:
        return None
    traces = [line(column(train, "step"), column(train, "reward_model_train_accuracy"), "fitted", "grey", shape="hv")]
    caption = "No comparison has been kept from fitting yet, so only the fitted ones are shown."
    if rows:
        held_out = column(rows, name)
        traces.append(line(column(rows, "step"), held_out, "held out", "orange", shape="hv"))
        caption = f"Share of answers it foretells. On comparisons not trained on: {held_out[-1]:.0%} at the end. "
        caption += "They are chosen as the others are; chosen for being hard to foretell, they are foretold less often."
    return Chart(
        id="accuracy",
        title="Accuracy",
        caption=caption,
        traces=traces,
        layout=over_steps(data.step, "answers foretold", y_range=[0.3, 1.02], y_format=".0%"),
    )


def reliability_chart(reliability: Sequence[Sequence[float]]) -> Chart | None:
    """Whether what it calls likely happens as often as it says."""
    if not reliability:
        return None
    predicted, happened, count = np.array(reliability).T
    low, high = wilson_interval(happened, count)
    gap = float((np.abs(predicted - happened) * count).sum() / count.sum())
    diagonal = line([0, 1], [0, 1], "perfect", "muted", width=1, dash="dash")
    points: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "held-out answers",
        "x": numbers(predicted),
        "y": numbers(happened),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": numbers(high - happened),
            "arrayminus": numbers(happened - low),
            "color": "@orange",
            "thickness": 1.2,
        },
        "marker": {"color": "@orange", "size": numbers(6 + 12 * np.sqrt(count / count.max()))},
        "customdata": [int(c) for c in count],
        "hovertemplate": "says %{x:.0%}, happens %{y:.0%}<br>%{customdata} answers<extra></extra>",
    }
    return Chart(
        id="reliability",
        title="Calibration",
        caption=f"How often the left clip was chosen, against how likely the model called it; bars are 95 % intervals. "
        f"Mean gap {gap:.0%} over {int(count.sum())} answers.",
        traces=[diagonal, points],
        layout=axes(
            "foretold",
            "happened",
            legend=False,
            y_range=[-0.05, 1.05],
            x_range=[-0.05, 1.05],
            y_format=".0%",
            x_format=".0%",
        ),
    )


def scatter_chart(segments: SegmentReturns) -> Chart:
    """True against learned return of the segments that were compared."""
    groups = (("in fitting", ~segments.held_out, "teal", 0.45), ("held out", segments.held_out, "orange", 0.8))
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": numbers(segments.true[rows]),
            "y": numbers(segments.predicted[rows]),
            "marker": {"color": f"@{colour}", "size": 6, "opacity": opacity},
            "hovertemplate": "true %{x:.3g}, learned %{y:.3g}<extra></extra>",
        }
        for name, rows, colour, opacity in groups
        if rows.any()
    ]
    agree = "" if math.isnan(segments.correlation) else f" Correlation {segments.correlation:.2f}."
    return Chart(
        id="scatter",
        title="Predicted against true reward",
        caption=f"Each point is one of {len(segments.true):,} clips that were compared, summed over its steps, judged "
        f"by the newest learned reward.{agree}",
        traces=traces,
        layout={**axes("true", "learned"), "hovermode": "closest"},
    )


def asked_chart(data: ReportData, labels: Labels) -> Chart:
    """When the questions were asked."""
    assert data.config.preferences is not None
    steps = [query.asked_step for query in labels.queries]
    budget = data.config.preferences.schedule.budget
    end = data.step
    asked = line([0, *steps, end], [0, *range(1, len(steps) + 1), len(steps)], "asked", "plum", shape="hv")
    traces = [asked, line([0, end], [budget, budget], "budget", "muted", width=1, dash="dash")]
    answered = sum(labels.choices.values())
    return Chart(
        id="asked",
        title="When labels were asked for",
        caption=f"{len(steps):,} questions of a budget of {budget:,} answers; {answered:,} answered.",
        traces=traces,
        layout=over_steps(data.step, "questions so far"),
    )


def choice_chart(labels: Labels) -> Chart:
    """What was answered."""
    counts = [labels.choices.get(choice, 0) for choice in _CHOICE_WORDS]
    total = max(1, sum(counts))
    bars: Trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(_CHOICE_WORDS.values())[::-1],
        "x": counts[::-1],
        "text": [f"{count:,} ({count / total:.0%})" for count in counts[::-1]],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": "@plum"},
        "hoverinfo": "skip",
    }
    people = ", ".join(f"{name} ({count:,})" for name, count in labels.annotators.most_common(5))
    return Chart(
        id="choices",
        title="What was answered",
        caption=f"Annotators: {people}." if people else "No answer yet.",
        traces=[bars],
        layout=axes("answers", "", legend=False, x_range=[0, 1.3 * max(1, *counts)]),
    )


def score_chart(data: ReportData, labels: Labels) -> Chart | None:
    """What the questions were chosen for."""
    kinds = Counter(query.acquisition or "unknown" for query in labels.queries)
    scored = [kind for kind in kinds if kind in ACQUISITIONS and kind != "random"]
    colours = ("plum", "orange", "teal", "blue")
    traces: list[Trace] = []
    for kind, colour in zip(scored, colours, strict=False):
        queries = [query for query in labels.queries if query.acquisition == kind]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind,
                "x": [query.asked_step for query in queries],
                "y": [query.score for query in queries],
                "marker": {"color": f"@{colour}", "size": 5, "opacity": 0.6},
                "hovertemplate": "step %{x:,}, score %{y:.3g}<extra></extra>",
            }
        )
    if not traces:
        return None
    shares = ", ".join(f"{count:,} by {kind}" for kind, count in kinds.most_common())
    return Chart(
        id="scores",
        title="What questions were chosen for",
        caption=f"The acquisition's score of each question when it was asked: {shares}. Before the first fit questions "
        "are drawn at random, and score 0.",
        traces=traces,
        layout={**over_steps(data.step, "score", legend=len(traces) > 1), "hovermode": "closest"},
    )


def time_chart(data: ReportData) -> Chart | None:
    """Where the wall time went."""
    parts = (("acting", "acting_s", "blue"), ("reward", "reward_s", "orange"), ("learning", "learning_s", "teal"))
    seconds = {name: sum(float(row.get(key, 0.0)) for row in data.rows) for name, key, _ in parts}
    total = sum(seconds.values())
    if total <= 0:
        return None
    traces: list[Trace] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": [seconds[name]],
            "y": [""],
            # A narrow part has no room for its name; the legend has it.
            "text": [f"{name} {seconds[name] / total:.0%}" if seconds[name] > 0.2 * total else ""],
            "textposition": "inside",
            "textangle": 0,
            "insidetextanchor": "middle",
            "marker": {"color": f"@{colour}"},
            "hovertemplate": f"{name}: %{{x:.1f}} s<extra></extra>",
        }
        for name, _, colour in parts
    ]
    words = ", ".join(f"{name} {seconds[name]:,.0f} s ({seconds[name] / total:.0%})" for name in seconds)
    return Chart(
        id="time",
        title="Where the time went",
        caption=f"{words}. Acting is the world's steps and the policy's choices; reward is asking, answering and the "
        "reward model; learning is the policy's updates.",
        traces=traces,
        layout={**axes("seconds", ""), "barmode": "stack", "height": 190},
    )
