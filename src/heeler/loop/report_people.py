"""What a report tells of the people who answered: HTML without scripts, in which nobody is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from heeler.core.errors import DataError
from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.known import Known, Person, known_in_run
from heeler.feedback.annotators.labels import KnownLabels, Labeller, known_labels_in_run
from heeler.feedback.store import Store

_MAX_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class PeopleShown:
    """People of a report, and what is said of all."""

    known: Known | None
    """By comparisons; None where fewer than two people compared anything."""
    labels: Sequence[KnownLabels]
    """By labels that several people gave to the same question."""
    names: Mapping[str, str]
    """Of each annotator as the report calls them: a report goes where nobody can forget people any more."""


def people_to_show(store: Store, directory: RunDirectory) -> PeopleShown | None:
    """What is known of who answered; None where at most one did."""
    labels = [one for one in known_labels_in_run(store, directory) if len(one.people) > 1]
    try:
        known = known_in_run(store, directory)
    except DataError:
        known = None
    if known is not None and len(known.people) < 2:
        known = None
    if known is None and not labels:
        return None
    # Names and the text beside them are apart: reasons are about figures, and name items at most.
    everybody: list[Person | Labeller] = list(known.people) if known else []
    everybody += [person for one in labels for person in one.people]
    kinds = {one.annotator: one.kind for one in everybody}
    names = {
        annotator: f"person {number}" if kind == "person" else annotator
        for number, (annotator, kind) in enumerate(kinds.items(), 1)
    }
    return PeopleShown(known=known, labels=labels, names=names)


def people_section(shown: PeopleShown | None) -> str:
    """Who can be trusted: HTML; nothing where one person alone answered, or nobody."""
    if shown is None:
        return ""
    cards = [_comparisons(shown.known, shown.names)] if shown.known else []
    cards += [_labels(one, shown.names) for one in shown.labels]
    return "<section>\n<h2>Who answered</h2>\n" + "\n".join(cards) + "\n</section>"


def _comparisons(known: Known, names: Mapping[str, str]) -> str:
    rows = [_row(names[one.annotator], one) for one in known.people[:_MAX_SHOWN]]
    changes = "".join(
        f'<p class="note">What people want was found to have changed after answer {position:,}; answers from before '
        "weigh little since.</p>"
        for position in known.changed_after
    )
    speed = f" Answers in less than about {known.tau_s:.2g} s count for less." if known.tau_s else ""
    about = f"""{known.num_answers:,} answers, held against the {escape(known.told_by)}.{speed} Reliability is the
share in which a person answers the honest way round, with its 95 % interval; weight is their share of what was
learned."""
    return _card(about, changes, ("who", "verdict", "answers", "reliability", "weight", "why"), rows)


def _row(name: str, one: Person) -> tuple[str, ...]:
    judged = one.judgement
    span = f"{judged.reliability:.0%} ({judged.low:.0%} to {judged.high:.0%})"
    return (name, judged.verdict, f"{judged.num_answers:,}", span, f"{one.weight:.1%}", judged.reason)


def _labels(known: KnownLabels, names: Mapping[str, str]) -> str:
    rows = [_label_row(names[one.annotator], one) for one in known.people[:_MAX_SHOWN]]
    about = f"""{known.num_labels:,} answers of kind {known.kind}, held against one another on {known.num_shared:,}
questions that two or more people answered, or that are gold. Right is how often a person says what is true, as all of
them together tell it, with its 95 % interval."""
    return _card(about, "", ("who", "verdict", "labels", "right", "why"), rows)


def _label_row(name: str, one: Labeller) -> tuple[str, ...]:
    span = f"{one.right:.0%} ({one.low:.0%} to {one.high:.0%})"
    return (name, one.verdict, f"{one.num_labels:,}", span, one.reason)


def _card(about: str, notes: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows)
    return f"""<div class="card"><p>{about}</p>{notes}
<div class="scroll"><table><thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div></div>"""
