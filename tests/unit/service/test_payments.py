"""Payments that were noted by mistake: taken back once, with a reason, by admins alone."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from heeler.core.errors import ConflictError
from heeler.service.accounts.payments import owed
from tests.unit.service.helpers import API, PASSWORD, add_person, signed_in


@pytest.fixture
def ann(client, service):
    browser = signed_in(client, add_person(service, "ann", "annotator").name)
    browser.person = service.accounts.people.with_password("ann", PASSWORD)
    return browser


@pytest.fixture
def boss(client, service):
    add_person(service, "boss", "admin")
    return signed_in(client, "boss")


def test_a_payment_that_was_noted_by_mistake_is_taken_back_once(ann, boss, client, service, audit):
    payments = f"{API}/people/{ann.person.id}/payments"
    body = {"id": str(uuid.uuid4()), "amount_minor": 30, "currency": "EUR", "note": "May"}
    paid = boss.post(payments, json=body).json()
    assert paid["reversal"] is None
    back, why = f"{payments}/{body['id']}/reversal", {"reason": " to <b>ann</b> of another firm "}
    add_person(service, "olga", "operator")
    for browser in (ann, signed_in(client, "olga")):
        assert browser.post(back, json=why).status_code == 403
    taken = boss.post(back, json=why).json()
    assert taken["reversal"].pop("reversed_unix_s") >= paid["paid_unix_s"]
    assert taken == paid | {"reversal": {"reason": "to <b>ann</b> of another firm"}}
    assert boss.post(back, json=why).status_code == 200, "the same again"
    refused = boss.post(back, json={"reason": "for fun"})
    assert (refused.status_code, refused.json()["field"]) == (409, "payment_id")
    own = ann.get(f"{API}/session/work").json()
    assert (own["owed_minor"], own["payments"][0]["reversal"]["reason"]) == ({}, "to <b>ann</b> of another firm")
    again = boss.post(payments, json=body).json()
    assert again["reversal"]["reason"] == "to <b>ann</b> of another firm", "the same id is the same payment still"
    (line,) = [line for line in audit.lines if line[1] == "people.take_back_payment"]
    assert line[2:] == (ann.person.id, {"id": body["id"], "amount_minor": 30, "currency": "EUR"})
    assert line[0] not in ("", ann.person.id)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"reason": "  "}, 422, "reason"),
        ({"reason": ""}, 422, "reason"),
        ({"reason": "x" * 201}, 422, "reason"),
        ({"reason": "two\nlines"}, 422, "reason"),
        ({}, 422, "reason"),
        ({"reason": "x", "amount_minor": 1}, 422, "amount_minor"),
    ],
)
def test_nothing_is_taken_back_without_a_reason(ann, boss, body, status, field):
    payments = f"{API}/people/{ann.person.id}/payments"
    paid = {"id": str(uuid.uuid4()), "amount_minor": 30, "currency": "EUR"}
    boss.post(payments, json=paid)
    refused = boss.post(f"{payments}/{paid['id']}/reversal", json=body)
    assert (refused.status_code, refused.json()["field"]) == (status, field)
    assert boss.get(f"{API}/people/{ann.person.id}/work").json()["owed_minor"] == {"EUR": -30}


def test_only_payments_to_this_person_are_taken_back(client, service, ann, boss, audit):
    bea, paid = add_person(service, "bea", "annotator"), {"id": str(uuid.uuid4()), "amount_minor": 3, "currency": "EUR"}
    boss.post(f"{API}/people/{bea.id}/payments", json=paid)
    for person, payment, field in (
        (ann.person.id, paid["id"], "payment_id"),
        (bea.id, str(uuid.uuid4()), "payment_id"),
        ("nobody", paid["id"], "person_id"),
    ):
        refused = boss.post(f"{API}/people/{person}/payments/{payment}/reversal", json={"reason": "x"})
        assert (refused.status_code, refused.json()["field"]) == (404, field), refused.text
    assert "people.take_back_payment" not in audit.acts


def test_a_payment_is_taken_back_once_however_many_do_it_at_once(service, audit):
    accounts, person = service.accounts, add_person(service, "ann", "annotator")
    paid = accounts.payments.note(
        "admin", person.id, payment_id=str(uuid.uuid4()), amount_minor=1, currency="EUR", note=""
    )

    def take_back(number: int) -> str:
        try:
            return accounts.payments.take_back("admin", person.id, paid.id, f"reason {number}").reversal.reason
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(take_back, range(8)))
    (found,) = accounts.payments.all(person.id)
    assert sorted(told) == sorted([found.reversal.reason, *["refused"] * 7])
    assert audit.acts.count("people.take_back_payment") == 1
    assert owed([], [found]) == {}
    assert owed([], [paid]) == {"EUR": -1}
