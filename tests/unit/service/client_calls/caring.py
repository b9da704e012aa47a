"""Care of people, their time and their pay."""

import uuid

import pytest

from heeler.service.client import Conflict
from tests.unit.service.client_calls.world import Calls, World

calls = Calls()


@calls.of("GET /care")
def _(w: World) -> None:
    assert w.boss.care.limits().break_min > 0


@calls.of("PATCH /care")
def _(w: World) -> None:
    assert w.boss.care.change_limits(longest_item_s=90.0).longest_item_s == 90


@calls.of("GET /people/{person_id}/care")
def _(w: World) -> None:
    limits = w.boss.care.limits_of(w.boss.me().person.id)
    assert (limits.day_items, limits.own) == (None, [])


@calls.of("PATCH /people/{person_id}/care")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    changed = w.boss.care.change_limits_of(person.id, day_items=9)
    assert (changed.day_items, changed.own) == (9, ["day_items"])
    changed = w.boss.care.change_limits_of(person.id, day_items=None)
    assert (changed.day_items, changed.own) == (None, [])


@calls.of("GET /consent")
def _(w: World) -> None:
    assert w.boss.care.consent_text().version


@calls.of("PUT /consent")
def _(w: World) -> None:
    text = w.boss.care.consent_text().text
    assert w.boss.care.change_consent_text(text + "\n\nMore.\n").text.endswith("More.\n")


@calls.of("GET /work")
def _(w: World) -> None:
    assert "olga" in [work.name for work in w.boss.care.work()]


@calls.of("GET /work.csv")
def _(w: World) -> None:
    assert w.boss.care.work_csv(first="2026-01-01").startswith("person_id,name,day")


@calls.of("GET /people/{person_id}/work")
def _(w: World) -> None:
    me = w.olga.me().person
    assert w.boss.care.work_of(me.id).person_id == me.id


@calls.of("POST /people/{person_id}/payments")
def _(w: World) -> None:
    person, payment_id = w.boss.people.add(str(uuid.uuid4())).person, str(uuid.uuid4())
    paid = w.boss.care.pay(person.id, 1250, "EUR", note="May", payment_id=payment_id)
    assert w.boss.care.pay(person.id, 1250, "EUR", note="May", payment_id=payment_id) == paid
    assert w.boss.care.work_of(person.id).payments == [paid]


@calls.of("POST /people/{person_id}/payments/{payment_id}/reversal")
def _(w: World) -> None:
    person = w.boss.people.add(str(uuid.uuid4())).person
    paid = w.boss.care.pay(person.id, 1250, "EUR")
    taken = w.boss.care.take_back(person.id, paid.id, "noted twice")
    assert w.boss.care.take_back(person.id, paid.id, "noted twice") == taken
    assert taken.reversal is not None
    assert taken.reversal.reason == "noted twice"
    work = w.boss.care.work_of(person.id)
    assert (work.payments, work.owed_minor) == ([taken], {})
    with pytest.raises(Conflict) as conflict:
        w.boss.care.take_back(person.id, paid.id, "for fun")
    assert conflict.value.field == "payment_id"
