"""What a report tells of groups of people who want different things: HTML without scripts, and charts."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from heeler.evaluation.agreement import Share
from heeler.loop.groups_told import GroupsTold, QuestionTold
from heeler.loop.report_chart import Chart, column, line, over_steps, rows_with
from heeler.loop.words import number

_COLOURS = ("blue", "plum", "teal", "orange")
RULES: Mapping[str, str] = {
    "mean": "Each group counts by its share of people.",
    "least_happy": "The group that is worst off counts: its weight rises while it gets less than the others.",
    "budgeted": "The largest group gets as much as can be, while no other loses more than {budget:.0%} of what it "
    "could have.",
}


def rule_in_words(told: GroupsTold) -> str:
    """The declared rule."""
    return RULES[told.rule].format(budget=told.budget or 0.0)


def groups_section(told: GroupsTold | None) -> str:
    """Groups of people and what each gets: HTML; nothing where there are none."""
    if told is None:
        return ""
    hidden = told.num_groups - len(told.groups)
    left_out = (
        f" {hidden} of them are not shown: a group of fewer than {told.min_people} people would tell of single ones, "
        "and so could what is left."
        if hidden
        else ""
    )
    nowhere = f" Of {told.num_nowhere} more too little is known." if told.num_nowhere else ""
    return f"""<section>
<h2>People who want different things</h2>
<div class="card"><p>{told.num_groups} groups were found.{left_out}{nowhere} The declared rule is
<b>{escape(told.rule)}</b>. {escape(rule_in_words(told))}</p>
{_sizes(told)}{_agreement(told)}{_questions(told)}</div>
</section>"""


def _sizes(told: GroupsTold) -> str:
    if not told.groups:
        return ""
    rows = [(_name(one.number), f"{one.size}", _figure(one.weight), _figure(one.gets)) for one in told.groups]
    return _table(("group", "people", "weight now", "gets now"), rows) + (
        '<p class="note">What a group gets: 0 as from the untrained policy, 1 as from what it likes best of all that '
        "the run has done, by the group's own learned reward. Weights are the rule's, over these figures.</p>\n"
    )


def _agreement(told: GroupsTold) -> str:
    if not told.groups:
        return ""
    names = [_name(one.number) for one in told.groups]
    same = [(name, *(_share(one) for one in row)) for name, row in zip(names, told.agreement, strict=True)]
    foretold = [(name, *(_share(one) for one in row)) for name, row in zip(names, told.foretold, strict=True)]
    alike = "<h3>How often two people name the same side of one question</h3>\n"
    if any(one is not None for row in told.agreement for one in row):
        alike += _table(("", *(f"with {name}" for name in names)), same)
    else:
        alike += '<p class="note">Too few people answered the same questions to say.</p>\n'
    return (
        alike
        + "<h3>How often answers are foretold</h3>\n"
        + _table(("answers of", *(f"by the reward of {name}" for name in names)), foretold)
        + f'<p class="note">With 95 % intervals; left open where fewer than {told.min_people} people of a group '
        "answered. Foretold are answers that the reward had not learned from.</p>\n"
    )


def _questions(told: GroupsTold) -> str:
    if not told.questions:
        return ""
    heads = ("question", "left clip", "right clip", *(f"{_name(one.number)} prefers the left" for one in told.groups))
    rows = [_question(one) for one in told.questions]
    return "<h3>Where they differ most</h3>\n" + _table(heads, rows)


def _question(one: QuestionTold) -> tuple[str, ...]:
    return (one.query_id, *(name[:12] for name in one.segment_ids), *(f"{left:.0%}" for left in one.left))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n'


def _share(share: Share | None) -> str:
    return "–" if share is None else f"{share.mean:.0%} ({share.low:.0%} to {share.high:.0%})"


def groups_in_words(told: GroupsTold | None) -> list[str]:
    """The same for the command line, a line each."""
    if told is None:
        return ["No groups were found: one reward is learned for all."]
    lines = [f"{told.num_groups} groups. The rule is {told.rule}: {rule_in_words(told)}"]
    for one, same, by in zip(told.groups, told.agreement, told.foretold, strict=True):
        lines.append(f"{_name(one.number)}  people {one.size}  weight {_figure(one.weight)}  gets {_figure(one.gets)}")
        for other, agree, foretold in zip(told.groups, same, by, strict=True):
            lines.append(
                f"  with {_name(other.number)}: names the same side {_share(agree)}, "
                f"foretold by its reward {_share(foretold)}"
            )
    if told.num_groups > len(told.groups):
        lines.append(f"{told.num_groups - len(told.groups)} groups are not shown, as they would tell of few people.")
    lines += [f"they differ on {one.query_id}: {' and '.join(one.segment_ids)}" for one in told.questions]
    return lines


def _name(group: int) -> str:
    return f"group {group}"


def _figure(value: float | None) -> str:
    return "–" if value is None else number(value)


def group_charts(told: GroupsTold | None, rows: Sequence[dict[str, Any]], step: int) -> list[Chart | None]:
    """Weights and what groups got, over the run, of those that may be shown now."""
    if told is None or not told.groups:
        return []
    weights = (
        "The rule's weight of each group after each update. Just after groups are found each alone counts in turn."
    )
    gets = "0 as from the untrained policy, 1 as from the best that the run has done in the group's eyes."
    return [
        _chart(told, rows, step, "group_weight", "Weight of each group", weights, "weight"),
        _chart(told, rows, step, "group_return", "What each group gets", gets, "share of its best"),
    ]


def _chart(
    told: GroupsTold, rows: Sequence[dict[str, Any]], step: int, metric: str, title: str, caption: str, unit: str
) -> Chart | None:
    traces = []
    for place, group in enumerate(told.groups):
        found = rows_with(rows, f"{metric}/{group.number}")
        if found:
            colour = _COLOURS[place % len(_COLOURS)]
            values = column(found, f"{metric}/{group.number}")
            traces.append(line(column(found, "step"), values, _name(group.number), colour))
    layout = over_steps(step, unit)
    return (
        Chart(id=metric.replace("_", "-"), title=title, caption=caption, traces=traces, layout=layout)
        if traces
        else None
    )
