"""What a report shows of limits: each cost beside its budget, and what it weighs."""

from heeler.core.rollout import cost_figure
from heeler.loop.report_chart import Chart, column, line, over_steps, rows_with
from heeler.loop.report_data import ReportData
from heeler.loop.words import number
from heeler.safety.costs import CostConfig

_COLOURS = ("plum", "orange", "teal", "blue", "grey")
_SHOWN = 3.0
"""A budget of more than so many times what there was would flatten the curve: it is told and not drawn."""


def limit_charts(data: ReportData) -> list[Chart]:
    """A chart for each cost that has a budget, and one of multipliers; none without limits."""
    if data.config.limits is None:
        return []
    costs = data.config.limits.costs
    found = [*(_cost_chart(data, cost) for cost in costs), _multiplier_chart(data, costs)]
    return [chart for chart in found if chart is not None]


def limited_figures(data: ReportData) -> set[str]:
    """Names of the metrics that these charts show."""
    costs = () if data.config.limits is None else data.config.limits.costs
    return {f"{cost_figure(cost.name)}_mean" for cost in costs}


def _cost_chart(data: ReportData, cost: CostConfig) -> Chart | None:
    rows = rows_with(data.rows, f"cost_{cost.name}_level")
    if not rows:
        return None
    unit = "a step" if cost.per == "step" else "an episode"
    level = column(rows, f"cost_{cost.name}_level")
    mean_rows = rows_with(rows, f"{cost_figure(cost.name)}_mean") if cost.per == "episode" else []
    # Faint only behind the mean of the latest episodes: alone it is what there is to see.
    width, opacity = (1, 0.35) if mean_rows else (2, 1.0)
    traces = [line(column(rows, "step"), level, "each update", "plum", width=width, opacity=opacity)]
    told = f"{number(level[-1])} in the last update"
    if mean_rows:
        mean = column(mean_rows, f"{cost_figure(cost.name)}_mean")
        traces.append(line(column(mean_rows, "step"), mean, "latest 100 episodes", "plum"))
        told = f"{number(mean[-1])} in the latest 100 episodes"
    if cost.budget <= _SHOWN * float(level.max()):
        traces.append(line([0, data.step], [cost.budget, cost.budget], "budget", "muted", width=1, dash="dash"))
    over, episodes = data.last(f"cost_{cost.name}_episodes_over"), data.last("episodes")
    counted = f" {over:,.0f} of {episodes:,.0f} episodes were over it." if over is not None and episodes else ""
    words = cost.name.replace("_", " ")
    return Chart(
        id=f"cost-{cost.name}",
        title=f"Cost: {words}",
        caption=f"Budget {number(cost.budget)} {unit}; {told}, while it explores.{counted}",
        traces=traces,
        layout=over_steps(data.step, f"{words}, {unit}", y_from_zero=True),
    )


def _multiplier_chart(data: ReportData, costs: tuple[CostConfig, ...]) -> Chart | None:
    traces = [
        line(column(rows, "step"), column(rows, f"multiplier_{cost.name}"), cost.name.replace("_", " "), colour)
        for cost, colour in zip(costs, _COLOURS * len(costs), strict=False)
        if (rows := rows_with(data.rows, f"multiplier_{cost.name}"))
    ]
    if not traces:
        return None
    return Chart(
        id="multipliers",
        title="What limits weigh",
        caption="How much of the return each cost is set against: more while it is over its budget.",
        traces=traces,
        layout=over_steps(data.step, "multiplier", y_from_zero=True),
    )
