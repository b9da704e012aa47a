"""Whom to trust in a run, for operators: never for those who answer, who could learn from it how to seem careful."""

from fastapi import Request

from heeler.core.errors import DataError
from heeler.feedback.annotators.known import Person, known_in_run
from heeler.feedback.annotators.labels import KnownLabels, known_labels_in_run
from heeler.service.bodies_trust import LabellerOut, LabelsOut, TrustedOut, TrustOut
from heeler.service.context import service_of
from heeler.service.permissions import Permission
from heeler.service.routes.table import Entry


def get_trust(request: Request, run: str) -> TrustOut:
    """What is known of everybody who compared or labelled anything, those to look at first."""
    opened = service_of(request).runs.open(run)
    labels = [_labels(one) for one in known_labels_in_run(opened.store, opened.directory)]
    try:
        known = known_in_run(opened.store, opened.directory)
    except DataError:
        return TrustOut(told_by="nothing", num_answers=0, too_fast_s=0.0, changed_after=[], people=[], labels=labels)
    return TrustOut(
        told_by=known.told_by,
        num_answers=known.num_answers,
        too_fast_s=known.tau_s,
        changed_after=list(known.changed_after),
        people=[_person(one) for one in known.people],
        labels=labels,
    )


def _person(one: Person) -> TrustedOut:
    return TrustedOut(
        person_id=one.annotator,
        kind=one.kind,
        verdict=one.judgement.verdict,
        reason=one.judgement.reason,
        num_answers=one.judgement.num_answers,
        reliability=one.judgement.reliability,
        low=one.judgement.low,
        high=one.judgement.high,
        hostile=one.judgement.hostile,
        lean=one.judgement.lean,
        looked=one.judgement.looked,
        weight=one.weight,
        with_others=list(one.with_others),
    )


def _labels(known: KnownLabels) -> LabelsOut:
    people = [
        LabellerOut(
            person_id=one.annotator,
            kind=one.kind,
            verdict=one.verdict,
            reason=one.reason,
            num_labels=one.num_labels,
            right=one.right,
            low=one.low,
            high=one.high,
            says={true: dict(said) for true, said in one.says.items()},
        )
        for one in known.people
    ]
    return LabelsOut(kind=known.kind, num_labels=known.num_labels, num_shared=known.num_shared, people=people)


ROUTES = (
    Entry(
        method="GET", path="/runs/{run}/trust", permission=Permission.READ_FEEDBACK, endpoint=get_trust, answer=TrustOut
    ),
)
