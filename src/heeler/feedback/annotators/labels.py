"""Whom to trust with labels: scores and marks, where several people gave them to the same question (Dawid–Skene).

A score counts by the half of its scale that it lies in, and marks by whether there were bad ones, good ones, both or
none. What one person alone was asked says nothing of them and is left out, unless it is a gold item.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.dawid_skene import DawidSkene, Label, fit_dawid_skene
from heeler.feedback.annotators.known import gold_values, people_settings
from heeler.feedback.annotators.verdicts import VerdictConfig
from heeler.feedback.store import Store
from heeler.feedback.stores import every_answer

LabelKind = Literal["rating", "evaluation"]
LABEL_KINDS: Mapping[LabelKind, tuple[str, ...]] = {
    "rating": ("low", "high"),
    "evaluation": ("bad", "good", "both", "none"),
}
"""What may be said by an answer of each kind that is a label."""
LabelVerdict = Literal["reliable", "careless", "hostile", "unknown"]
_WORST_FIRST: tuple[LabelVerdict, ...] = ("hostile", "careless", "unknown", "reliable")


@dataclass(frozen=True, kw_only=True)
class Labeller:
    """What is known of one person by their labels of one kind."""

    annotator: str
    kind: str
    """`person`, `simulated` or `program`."""
    verdict: LabelVerdict
    reason: str
    """In words, with figures."""
    num_labels: int
    """Of what others labelled too, or of gold items."""
    right: float
    """Chance of saying what is true."""
    low: float
    """Of the 95 % interval of `right`."""
    high: float
    says: Mapping[str, Mapping[str, float]]
    """For each true label how likely each is said."""


@dataclass(frozen=True, kw_only=True)
class KnownLabels:
    """What labels of one kind tell of those who gave them."""

    kind: LabelKind
    num_labels: int
    num_shared: int
    """Questions that two people labelled, or that are gold: what everybody is held against."""
    people: tuple[Labeller, ...]
    """Those to look at first."""


def label_of(kind: str, value: Mapping[str, Any]) -> str | None:
    """Which of `LABEL_KINDS` an answer gives; None where its kind gives none."""
    if kind == "rating":
        return "low" if float(value["score"]) < (float(value["low"]) + float(value["high"])) / 2 else "high"
    if kind != "evaluation":
        return None
    signs = {int(mark["sign"]) for mark in value["marks"]}
    return "both" if len(signs) > 1 else "none" if not signs else "good" if 1 in signs else "bad"


def known_labels(store: Store, verdicts: VerdictConfig | None = None) -> tuple[KnownLabels, ...]:
    """Look at everybody whose labels can be held against something; empty where nobody's can.

    Args:
        store: of a run.
        verdicts: when somebody is called what, by `careless_below`, `least_answers`, and `hostile_below`, which is of
            two labels and shrinks with chance where there are more.
    """
    # Who thought again is taken at their last word.
    newest: dict[LabelKind, dict[tuple[str, str], str]] = {kind: {} for kind in LABEL_KINDS}
    for _, answer in every_answer(store):
        if (label := label_of(answer.kind, answer.value)) is not None:
            newest[cast(LabelKind, answer.kind)][answer.annotator, answer.query_id] = label
    found = (_known(store, kind, said, verdicts or VerdictConfig()) for kind, said in newest.items())
    return tuple(known for known in found if known is not None)


def known_labels_in_run(store: Store, directory: RunDirectory) -> tuple[KnownLabels, ...]:
    """As `known_labels`, by the run's own `preferences.people.verdicts`, where it has them.

    Raises:
        RunError: the run's configuration cannot be read.
    """
    return known_labels(store, people_settings(directory)[1])


def _known(
    store: Store, kind: LabelKind, said: Mapping[tuple[str, str], str], verdicts: VerdictConfig
) -> KnownLabels | None:
    gold = {query: label for query, value in gold_values(store, kind).items() if (label := label_of(kind, value))}
    counts = Counter(query for _, query in said)
    labels = [
        Label(person=person, task=query, label=label)
        for (person, query), label in said.items()
        if counts[query] > 1 or query in gold
    ]
    if not labels:
        return None
    classes = {label.label for label in labels}
    # What is true and nobody says is a class of no label: there is nothing to fit it by.
    fit = fit_dawid_skene(labels, gold={q: label for q, label in gold.items() if q in counts and label in classes})
    who = store.bulk.annotators()
    people = [_labeller(fit, place, str(who[name].kind), verdicts) for place, name in enumerate(fit.people)]
    people.sort(key=lambda one: (_WORST_FIRST.index(one.verdict), one.right))
    return KnownLabels(kind=kind, num_labels=len(said), num_shared=len(fit.tasks), people=tuple(people))


def _labeller(fit: DawidSkene, place: int, kind: str, verdicts: VerdictConfig) -> Labeller:
    right, low, high = (float(values[place]) for values in (fit.right_P, fit.low_P, fit.high_P))
    num = int(fit.num_P[place])
    verdict, reason = _verdict(num, (right, low, high), 1 / len(fit.classes), verdicts)
    return Labeller(
        annotator=fit.people[place],
        kind=kind,
        verdict=verdict,
        reason=reason,
        num_labels=num,
        right=right,
        low=low,
        high=high,
        says={
            true: dict(zip(fit.classes, map(float, shares), strict=True))
            for true, shares in zip(fit.classes, fit.confusion_PCL[place], strict=True)
        },
    )


def _verdict(
    num: int, span: tuple[float, float, float], chance: float, verdicts: VerdictConfig
) -> tuple[LabelVerdict, str]:
    """By how often somebody is right, with the interval of that, and how often who guesses is."""
    right, low, high = span
    if num < verdicts.least_answers:
        return "unknown", f"{num} labels that can be held against others' are too few to say anything"
    if chance == 1:
        return "unknown", "everybody said the same of everything, which tells nobody from anybody"
    if high < verdicts.hostile_below * 2 * chance:
        return "hostile", f"says what is not so: right in {right:.0%}, where guesses are in {chance:.0%}"
    if high < verdicts.careless_below:
        return "careless", f"labels with little care: right in {right:.0%}"
    if right >= verdicts.careless_below and low > chance:
        return "reliable", f"labels as the others do: right in {right:.0%}"
    return "unknown", f"right in {right:.0%}, which is not sure enough yet to call them anything"
