"""The charts of a run that learns from demonstrations."""

from heeler.loop.report_chart import Chart, column, line, over_steps, rows_with
from heeler.loop.report_data import ReportData
from heeler.loop.words import number


def imitation_tiles(data: ReportData) -> list[tuple[str, str, str]]:
    """Figures of the page's head: what was shown, how far the policy came, and what it makes of episodes held out."""
    tiles: list[tuple[str, str, str]] = []
    expert, chance = data.last("expert_return"), data.last("random_return")
    if data.evaluation is not None and expert is not None and chance is not None and expert > chance:
        share = (data.evaluation.episode_return.mean - chance) / (expert - chance)
        tiles.append(("Normalised return", f"{share:.2f}", f"from chance {number(chance)} to shown {number(expert)}"))
    if (held_out := data.last("held_out_log_prob")) is not None:
        tiles.append(("Held-out log-likelihood", number(held_out), "of a step, in episodes not learned from"))
    if (accuracy := data.last("discriminator_accuracy")) is not None:
        tiles.append(("Told apart", f"{accuracy:.0%}", "of steps, shown or the policy's own"))
    return tiles


def imitation_charts(data: ReportData) -> list[Chart | None]:
    """All of them; None where a run knows nothing of one."""
    return [normalized_chart(data), discriminator_chart(data), likelihood_chart(data), learned_reward_chart(data)]


def normalized_chart(data: ReportData) -> Chart | None:
    """How far returns have come from chance to what was shown."""
    rows = rows_with(data.rows, "normalized_return")
    if not rows:
        return None
    steps, value = column(rows, "step"), column(rows, "normalized_return")
    expert, chance = rows[-1]["expert_return"], rows[-1]["random_return"]
    return Chart(
        id="normalized",
        title="Normalised return",
        caption=f"True return of the latest episodes, where 0 is chance ({number(chance)}) and 1 is what was shown "
        f"({number(expert)}): {value[-1]:.2f} at the end. Learning never sees it.",
        traces=[
            line([0, data.step], [1, 1], "what was shown", "muted", width=1, dash="dash"),
            line(steps, value, "normalised return", "blue"),
        ],
        layout=over_steps(data.step, "from chance to what was shown", legend=False),
    )


def discriminator_chart(data: ReportData) -> Chart | None:
    """How often the discriminator tells who made a step."""
    rows = rows_with(data.rows, "discriminator_accuracy")
    if not rows:
        return None
    steps, value = column(rows, "step"), column(rows, "discriminator_accuracy")
    return Chart(
        id="discriminator",
        title="Told apart",
        caption=f"Share of steps of which the discriminator says rightly whether they were shown: {value[-1]:.0%} at "
        "the end. Half means that the policy's cannot be told from those.",
        traces=[
            line([0, data.step], [0.5, 0.5], "not told apart", "muted", width=1, dash="dash"),
            line(steps, value, "told rightly", "orange"),
        ],
        layout=over_steps(data.step, "steps told rightly", legend=False, y_range=[0.0, 1.02], y_format=".0%"),
    )


def likelihood_chart(data: ReportData) -> Chart | None:
    """How likely the policy is to do what was shown."""
    held_out = rows_with(data.rows, "held_out_log_prob")
    name = "held_out_log_prob" if held_out else "shown_log_prob"
    rows = held_out or rows_with(data.rows, name)
    if not rows:
        return None
    steps, value = column(rows, "step"), column(rows, name)
    what = "episodes that were held out" if held_out else "what was shown"
    return Chart(
        id="likelihood",
        title="Log-likelihood of what was shown",
        caption=f"Mean of a step, of {what}: from {number(value[0])} to {number(value[-1])}.",
        traces=[line(steps, value, what, "teal")],
        layout=over_steps(data.step, "log-likelihood of a step", legend=False),
    )


def learned_reward_chart(data: ReportData) -> Chart | None:
    """What steps are paid by the reward that is made of demonstrations."""
    rows = rows_with(data.rows, "learned_reward_mean")
    if not rows:
        return None
    steps, value = column(rows, "step"), column(rows, "learned_reward_mean")
    return Chart(
        id="paid",
        title="What a step is paid",
        caption="Mean over each stretch of acting. While it is learned its scale moves, so that a fall is no setback.",
        traces=[line(steps, value, "paid", "plum")],
        layout=over_steps(data.step, "reward of a step", legend=False),
    )
