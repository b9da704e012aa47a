"""What somebody is asked: queries are leased for a while, so that no other person is asked in their place."""

from typing import Any

from fastapi import Request

from heeler.core.nouns import Lease
from heeler.feedback.form import Form
from heeler.feedback.kinds import AIDS, FIRST_FOR, KINDS, QUESTIONS, VIEWS
from heeler.feedback.sides import is_flipped
from heeler.service.bodies import ControlOut, FormOut, LeaseBody, LeaseOut, ModelViewOut, Page, ShownSegmentOut
from heeler.service.care import check_day, require_consent, today_of
from heeler.service.context import caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.routes.table import Entry
from heeler.service.runs import GOLD_SHARE, LEASE_S, OVERLAP


def take(request: Request, run: str, body: LeaseBody) -> Page[LeaseOut]:
    """Be asked: the queries that are held already first, then the oldest ones. Asking again renews the leases.

    Who has worked as long as a day allows is told 429, and when it goes on.
    """
    service, person = service_of(request), require_consent(request).person
    opened = service.runs.open(run)
    count, avoid = body.count, ()
    if person.kind == "person":
        today = today_of(service, person.id)
        check_day(today)
        avoid = today.preferences.avoid
        count = body.count if today.left_items is None else min(body.count, today.left_items)
    if not opened.knows(person):
        opened.introduce(person)
    leases = opened.store.lease(
        person.id,
        count,
        overlap=int(opened.setting(OVERLAP)),
        duration_s=float(opened.setting(LEASE_S)),
        avoid=avoid,
        gold_share=float(opened.setting(GOLD_SHARE)),
        first=opened.store.setting(FIRST_FOR, {}).get(person.id, ()),
    )
    facts = opened.store.segment_facts({i for lease in leases for i in lease.query.segment_ids})
    num_steps = {segment_id: fact.num_steps for segment_id, fact in facts.items()}
    hard = opened.store.setting(AIDS, [])
    views = opened.store.setting(VIEWS, {}) if hard else {}
    words = opened.store.setting(QUESTIONS, {})
    items = [_lease_out(lease, num_steps, hard, views, words) for lease in leases]
    return Page(items=items, next=None)


def give_back(request: Request, run: str, query_id: str) -> None:
    """Leave a query to others; one that is not held is let be."""
    service_of(request).runs.open(run).store.give_back(caller_of(request).person.id, [query_id])


def _lease_out(
    lease: Lease, num_steps: dict[str, int], hard: list[str], views: dict[str, Any], words: dict[str, str]
) -> LeaseOut:
    query = lease.query
    aids = query.kind in hard
    return LeaseOut(
        query_id=query.id,
        kind=query.kind,
        form=_form_out(KINDS[query.kind], words),
        segments=[ShownSegmentOut(id=i, num_steps=num_steps[i]) for i in query.segment_ids],
        expires_unix_s=lease.expires_unix_s,
        flip=len(query.segment_ids) == 2 and is_flipped(query.id, lease.annotator),
        aids=aids,
        view=ModelViewOut(**views[query.id]) if aids and query.id in views else None,
    )


def _form_out(form: Form, words: dict[str, str]) -> FormOut:
    controls = [ControlOut(field=c.field, label=c.label, input=c.input, choices=list(c.choices)) for c in form.controls]
    return FormOut(question=words.get(form.kind, form.question), controls=controls)


ROUTES = (
    Entry(
        method="POST",
        path="/runs/{run}/leases",
        permission=Permission.ANSWER,
        endpoint=take,
        answer=Page[LeaseOut],
    ),
    Entry(
        method="DELETE",
        path="/runs/{run}/leases/{query_id}",
        permission=Permission.ANSWER,
        endpoint=give_back,
        status=204,
    ),
)
