"""Parts of a card that runs in worlds and of language models share: whom it learned from, and who released it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from heeler.core.gate_records import GateRecord
from heeler.core.rundir import RunDirectory
from heeler.evaluation.returns import INTERFERED
from heeler.feedback.stores import has_store, open_store
from heeler.loop.lineage import LearnedAnswer, Lineage
from heeler.loop.report_data import named_annotators
from heeler.loop.words import number

_PROGRAMS = ("learner", "gate", "canary", "watch", "deployment", "operator", "heeler")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with what stands under it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    """Of the table's columns."""
    rows: tuple[tuple[str, ...], ...] = ()
    points: tuple[str, ...] = ()
    """A list, after the table."""


def answers_section(directory: RunDirectory, told: Lineage, *, is_asking: bool = False) -> Section:
    """What it learned from, and whom: people by number, as a card goes where nobody can forget them any more.

    Args:
        directory: of the run.
        told: of the release.
        is_asking: whether the run asks for answers, so that there may have been none yet.
    """
    if not told.answers and not told.num_withdrawn:
        why = "none had come yet" if is_asking else "nobody was asked"
        return Section(title="What it learned from", paragraphs=(f"It learned from no answers: {why}.",))
    kinds = Counter(_kind(one) for one in told.answers)
    rows = [(kind, f"{count:,}") for kind, count in sorted(kinds.items())]
    rows += [(f"of {who}", f"{count:,}") for who, count in _people(directory, told).most_common()]
    paragraphs = [f"It learned from {_answers(len(told.answers))}; by kind, and by who gave them:"]
    points: list[str] = []
    if told.num_withdrawn:
        gone = _answers(told.num_withdrawn)
        points.append(f"{gone} more went into it and were withdrawn since: it still goes by them.")
    if told.reward is not None and told.reward.num_fitted is not None:
        points.append(f"Its reward was last fitted to {_answers(told.reward.num_fitted)}.")
        figures = {name: value for name, value in told.reward.last_fit.items() if "accuracy" in name or "error" in name}
        points += [f"{name.replace('_', ' ')} of that fit: {number(value)}" for name, value in sorted(figures.items())]
    return Section(
        title="What it learned from",
        paragraphs=tuple(paragraphs),
        heads=("answers", "number"),
        rows=tuple(rows),
        points=tuple(points),
    )


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count:,} answers"


def _kind(one: LearnedAnswer) -> str:
    choice = one.feedback.value.get("choice")
    return one.feedback.kind if choice is None else f"{one.feedback.kind}: {str(choice).replace('_', ' ')}"


def _people(directory: RunDirectory, told: Lineage) -> Counter[str]:
    if not has_store(directory):
        return Counter()
    with open_store(directory) as store:
        return named_annotators(store, Counter(one.feedback.annotator for one in told.answers))


def disagreement(answers: Sequence[LearnedAnswer]) -> str:
    """How far people agree on the same question, in words."""
    by_query: dict[str, list[str]] = {}
    for one in answers:
        if one.feedback.kind == "preference":
            by_query.setdefault(one.feedback.query_id, []).append(str(one.feedback.value.get("choice")))
    several = [choices for choices in by_query.values() if len(choices) > 1]
    if not several:
        return "No question that it learned from has two answers, so that it is not known how far people agree."
    same = sum(len(set(choices)) == 1 for choices in several)
    return f"{len(several):,} questions have several answers; all of them agree in {same:,} of those."


def later_section(told: Lineage) -> Section | None:
    """What its canary share and the watch decided."""
    if not told.later:
        return None
    return Section(
        title="While it acted",
        heads=("what", "decision", "why", "episodes", "mean return", "done otherwise, an episode"),
        rows=tuple(_later_row(record) for record in told.later),
    )


def _later_row(record: GateRecord) -> tuple[str, ...]:
    details = record.details
    outcome = "no harm shown" if record.passed else "harm shown: taken back"
    means = details["means"]
    mean = means.get("return")
    shown = "unknown" if mean is None else number(mean)
    counted = [f"{name.replace('_', ' ')} {number(means[name])}" for name in INTERFERED if name in means]
    row = (str(details["kind"]), outcome, "; ".join(record.reasons), f"{details['num_episodes']:,}", shown)
    return (*row, "; ".join(counted) or "nothing")


def acts_section(told: Lineage) -> Section:
    """Who did what with it, from the audit logs."""
    people: dict[str, str] = {}

    def who(person: str) -> str:
        return person if person in _PROGRAMS else people.setdefault(person, f"person {len(people) + 1}")

    rows = [(_time(entry.unix_s), who(entry.person), entry.act, entry.sha256[:12]) for entry in told.acts]
    sound = "The audit logs are sound." if not told.problems else "Something is wrong with the audit logs:"
    return Section(
        title="Who released it",
        paragraphs=(sound,),
        heads=("when", "who", "what", "entry"),
        rows=tuple(rows),
        points=told.problems,
    )


def _time(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"
