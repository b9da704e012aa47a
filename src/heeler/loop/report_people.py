"""What a report tells of the people who answered: HTML without scripts, in which nobody is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from heeler.core.errors import DataError
from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.known import Known, Person, known_in_run
from heeler.feedback.store import Store

_MAX_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class PeopleShown:
    """People of a report, and what is said of all."""

    known: Known
    names: Sequence[str]
    """As the report calls them: a report goes where nobody can forget people any more."""


def people_to_show(store: Store, directory: RunDirectory) -> PeopleShown | None:
    """What is known of who answered; None where at most one did."""
    try:
        known = known_in_run(store, directory)
    except DataError:
        return None
    if len(known.people) < 2:
        return None
    # Names and the text beside them are apart: reasons are about figures, and name items at most.
    return PeopleShown(known=known, names=[_name(one, number) for number, one in enumerate(known.people, 1)])


def _name(one: Person, number: int) -> str:
    return f"person {number}" if one.kind == "person" else one.annotator


def people_section(shown: PeopleShown | None) -> str:
    """Who can be trusted: HTML; nothing where one person alone answered, or nobody."""
    if shown is None:
        return ""
    known = shown.known
    rows = "\n".join(
        _row(name, one) for name, one in zip(shown.names[:_MAX_SHOWN], known.people[:_MAX_SHOWN], strict=True)
    )
    changes = "".join(
        f'<p class="note">What people want was found to have changed after answer {position:,}; answers from before '
        "weigh little since.</p>"
        for position in known.changed_after
    )
    speed = f" Answers in less than about {known.tau_s:.2g} s count for less." if known.tau_s else ""
    return f"""<section>
<h2>Who answered</h2>
<div class="card"><p>{known.num_answers:,} answers, held against the {escape(known.told_by)}.{speed} Reliability is the
share in which a person answers the honest way round, with its 95 % interval; weight is their share of what was
learned.</p>{changes}
<div class="scroll"><table><thead><tr><th>who</th><th>verdict</th><th>answers</th><th>reliability</th><th>weight</th>
<th>why</th></tr></thead>
<tbody>
{rows}
</tbody></table></div></div>
</section>"""


def _row(name: str, one: Person) -> str:
    judged = one.judgement
    span = f"{judged.reliability:.0%} ({judged.low:.0%} to {judged.high:.0%})"
    cells = (name, judged.verdict, f"{judged.num_answers:,}", span, f"{one.weight:.1%}", judged.reason)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
