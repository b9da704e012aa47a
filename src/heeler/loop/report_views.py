"""What a report tells of questions that came with what a model thinks of them: who looked, and what they then said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from heeler.core.nouns import FeedbackKind
from heeler.evaluation.agreement import Share, counted_share, difference
from heeler.loop.honesty.words import share


@dataclass(frozen=True, kw_only=True)
class ViewsShown:
    """Answers of one kind that were given to questions with a model's view."""

    kind: str
    offered: int
    """Answers that were given where there was one."""
    opened: int
    """Of them, after it was opened."""
    opened_agrees: Share | None
    """How often answers say what the view said, where it was opened; None where none can be held against it."""
    folded_agrees: Share | None
    """The same where it stayed folded."""

    @property
    def excess(self) -> tuple[float, float, float] | None:
        """Agreement where it was opened less where it was not, with the ends of its 95 % interval."""
        if self.opened_agrees is None or self.folded_agrees is None:
            return None
        return difference(self.opened_agrees, self.folded_agrees)


def views_shown(kinds: Sequence[FeedbackKind], row: Mapping[str, float]) -> list[ViewsShown]:
    """Of each kind that any view was offered with.

    Args:
        kinds: that the run asks by.
        row: of metrics, the newest.
    """
    found: list[ViewsShown] = []
    for kind in kinds:
        names = ("views_offered", "views_opened", "opened_agree", "opened_held", "folded_agree", "folded_held")
        figure = {name: int(row.get(f"kinds/{kind}/{name}", 0)) for name in names}
        if figure["views_offered"]:
            found.append(
                ViewsShown(
                    kind=kind,
                    offered=figure["views_offered"],
                    opened=figure["views_opened"],
                    opened_agrees=counted_share(figure["opened_agree"], figure["opened_held"]),
                    folded_agrees=counted_share(figure["folded_agree"], figure["folded_held"]),
                )
            )
    return found


def views_section(found: Sequence[ViewsShown], *, counts_opened: bool) -> str:
    """The section of the page; nothing where no view was offered.

    Args:
        found: of each kind.
        counts_opened: whether the reward learns from answers that were given after a view was opened.
    """
    if not found:
        return ""
    rows = "\n".join(
        f"<tr><td>{escape(one.kind)}</td><td>{one.offered:,}</td><td>{one.opened:,}</td>"
        f"<td>{_held(one.opened_agrees)}</td><td>{_held(one.folded_agrees)}</td><td>{_excess(one)}</td></tr>"
        for one in found
    )
    names = ("kind", "answers with a view", "after it was opened", "agree, opened", "agree, folded", "difference")
    heads = "".join(f"<th>{name}</th>" for name in names)
    learned = "The reward learns from both." if counts_opened else "The reward does not learn from the opened ones."
    return f"""<section>
<h2>Where a model's view was offered</h2>
<div class="card"><div class="scroll"><table><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div>
<p class="note">Agree: comparisons that prefer the clip that the view expected to be preferred, and critiques that
praise what it liked most or blame what it liked least, of those that can be held against it; with 95 % intervals.
Whoever opened a view chose to, perhaps where they were unsure: a difference may be the view's doing, or not.
{learned}</p></div>
</section>"""


def _held(found: Share | None) -> str:
    return share(found) if found is None else f"{share(found)} of {found.count:,}"


def _excess(one: ViewsShown) -> str:
    if one.excess is None:
        return "–"
    mean, low, high = (f"{100 * value:+.0f}".replace("-", "−") for value in one.excess)
    return f"{mean} points ({low} to {high})"
