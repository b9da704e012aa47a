"""Consent, limits, breaks, flags, gold items, time and pay, and being forgotten, over HTTP."""

import csv
import io
import uuid

import pytest

from heeler.feedback import writing
from heeler.service import care as care_module
from heeler.service.accounts.care_settings import CareSettings
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.work_book import recount
from tests.unit.service.helpers import (
    API,
    PASSWORD,
    add_key,
    add_person,
    answer_to,
    bearer,
    make_run,
    signed_in,
    store_of,
)

POST, LEASES = f"{API}/runs/run/feedback", f"{API}/runs/run/leases"


class Clock:
    now_s = 1_800_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (writing, care_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def queries(tmp_path):
    return make_run(tmp_path, num_queries=12)


@pytest.fixture
def ann(client, service, queries):
    browser = signed_in(client, add_person(service, "ann", "annotator").name)
    browser.person = service.accounts.people.with_password("ann", PASSWORD)
    return browser


@pytest.fixture
def boss(client, service):
    add_person(service, "boss", "admin")
    return signed_in(client, "boss")


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["query_id"] for item in answer.json()["items"]]


def test_nobody_is_asked_or_answers_before_they_agreed(client, service, ann, boss, queries, audit):
    assert boss.put(f"{API}/consent", json={"text": "<b>A new</b> text."}).json()["version"] == "2"
    for refused in (
        ann.post(LEASES, json={}),
        ann.post(POST, json=answer_to(queries[0])),
        ann.post(f"{POST}/batch", json={"feedback": [answer_to(queries[0])]}),
        ann.post(f"{LEASES}/{queries[0].id}/flag", json={"category": "hate"}),
    ):
        assert (refused.status_code, refused.json()["field"]) == (403, "consent"), refused.text
    text = ann.get(f"{API}/session/consent").json()
    assert (text["text"], text["agreed"], len(text["earlier"])) == ("<b>A new</b> text.\n", False, 1)
    stale = {"version": "1", "text_sha256": text["earlier"][0]["text_sha256"]}
    assert ann.post(f"{API}/session/consent", json=stale).status_code == 409
    body = {"version": text["version"], "text_sha256": text["text_sha256"]}
    assert ann.post(f"{API}/session/consent", json=body).status_code == 204
    assert ann.get(f"{API}/session/consent").json()["agreed"]
    assert ids(ann.post(LEASES, json={})) == [queries[0].id]
    # The same text again is no new version.
    assert boss.put(f"{API}/consent", json={"text": "<b>A new</b> text."}).json()["version"] == "2"
    assert audit.acts.count("consents.change_text") == 1


def test_programs_need_agree_to_nothing(client, service, queries):
    program, _ = service.accounts.people.add("test", name="bot", email=None, kind="program", role="annotator")
    headers = bearer(add_key(service, program, "answer"))
    assert client.post(POST, json=answer_to(queries[0]), headers=headers).status_code == 200
    assert service.accounts.work.marks() == {}, "nobody's time is counted"


def answer(browser, clock, query, *, after_s=30.0, taken_s=30.0):
    clock.now_s += after_s
    sent = browser.post(POST, json=answer_to(query, time_taken_s=taken_s))
    assert sent.status_code == 200, sent.text


def test_a_break_is_due_and_a_day_ends(ann, boss, queries, clock, service):
    changes = {"break_after_min": 5, "day_hours": 0.1, "day_items": 5}
    assert boss.patch(f"{API}/care", json=changes).status_code == 200
    for query in queries[:3]:
        answer(ann, clock, query, after_s=100)
    today = ann.get(f"{API}/session/care").json()
    assert (today["items"], today["worked_s"], today["left_items"]) == (3, 230, 2)
    assert (today["left_s"], today["break_in_s"], today["break_due"]) == (130, 70, False)
    assert len(ids(ann.post(LEASES, json={"count": 10}))) == 2, "no more than is left of the day"
    answer(ann, clock, queries[3], after_s=100)
    assert ann.get(f"{API}/session/care").json()["break_due"]
    clock.now_s += 300
    assert not ann.get(f"{API}/session/care").json()["break_due"], "they had one"
    answer(ann, clock, queries[4], after_s=100)
    refused = ann.post(LEASES, json={})
    assert (refused.status_code, refused.json()["field"]) == (429, "care")
    assert "it goes on at 2027-01-16 00:00 (UTC)" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 3600
    answer(ann, clock, queries[5])
    clock.now_s += 24 * 3600
    assert len(ids(ann.post(LEASES, json={}))) == 1


@pytest.mark.parametrize("jump_s", [-5 * 3600.0, 5 * 3600.0])
def test_a_clock_that_jumps_blocks_nobody(ann, boss, queries, clock, jump_s, service):
    boss.patch(f"{API}/care", json={"day_hours": 1, "break_after_min": 30})
    answer(ann, clock, queries[0])
    answer(ann, clock, queries[1], after_s=jump_s)
    answer(ann, clock, queries[2], after_s=-jump_s)
    answer(ann, clock, queries[3])
    assert len(ids(ann.post(LEASES, json={}))) == 1
    work = ann.get(f"{API}/session/work").json()
    assert (work["items"], work["worked_s"]) == (4, 120)
    assert not ann.get(f"{API}/session/care").json()["break_due"]


def test_work_is_counted_once_whenever_the_service_was_killed(tmp_path, ann, queries, clock, service, audit):
    """The last answers were counted in memory only; another service counts them from the store, and none twice."""
    for query in queries[:3]:
        answer(ann, clock, query)
    service.runs.count_work()
    service.book.write()
    for query in queries[3:6]:
        answer(ann, clock, query)
    service.runs.count_work()
    again = create_app(ServiceConfig(runs=tmp_path), audit).state.service
    again.runs.count_work()
    again.book.write()
    (day,) = again.accounts.work.days(ann.person.id)
    with store_of(tmp_path) as store:
        reference = recount([store], CareSettings(), ann.person.id)
    assert (day.items, day.milliseconds) == (reference.items, reference.milliseconds) == (6, 180_000)
    again.runs.count_work()
    again.book.write()
    assert again.accounts.work.days(ann.person.id) == [day]
    again.close()


def test_pay_is_by_the_rate_of_its_time_and_payments_are_noted_once(ann, boss, queries, clock, audit):
    care, person = f"{API}/care", f"{API}/people/{ann.person.id}"
    assert boss.patch(care, json={"rate_minor": 1200}).status_code == 422
    assert boss.patch(care, json={"rate_minor": 1200, "currency": "EUR"}).status_code == 200
    answer(ann, clock, queries[0])
    assert boss.patch(f"{person}/care", json={"rate_minor": 2401}).json()["rate_minor"] == 2401
    answer(ann, clock, queries[1])
    work = boss.get(f"{person}/work").json()
    assert [(d["rate_minor"], d["worked_s"], d["pay_minor"]) for d in work["days"]] == [(1200, 30, 10), (2401, 30, 21)]
    assert work["owed_minor"] == {"EUR": 31}
    body = {"id": str(uuid.uuid4()), "amount_minor": 30, "currency": "EUR", "note": "<script>"}
    first = boss.post(f"{person}/payments", json=body).json()
    assert boss.post(f"{person}/payments", json=body).json() == first
    assert boss.post(f"{person}/payments", json=body | {"amount_minor": 31}).status_code == 409
    own = ann.get(f"{API}/session/work").json()
    assert (own["owed_minor"], len(own["payments"])) == ({"EUR": 1}, 1)
    assert audit.acts.count("people.pay") == 1
    assert "<script>" not in repr(audit.lines)
    (mine,) = [item for item in boss.get(f"{API}/work").json()["items"] if item["name"] == "ann"]
    assert (mine["items"], mine["owed_minor"]) == (2, {"EUR": 1})
    boss.patch(f"{API}/people/{ann.person.id}", json={"name": "=cmd()"})
    text = boss.get(f"{API}/work.csv")
    assert text.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [(row["name"], row["items"], row["pay_minor"]) for row in rows] == [
        ("'=cmd()", "1", "10"),
        ("'=cmd()", "1", "21"),
    ]


def test_flagged_items_go_only_to_who_chose_to_see_them(client, service, ann, boss, queries):
    add_person(service, "bea", "annotator")
    bea = signed_in(client, "bea")
    (first,) = ids(ann.post(LEASES, json={}))
    flag = {"category": "violence", "note": "mail jo@example.org <img src=x>"}
    assert ann.post(f"{LEASES}/{first}/flag", json=flag).status_code == 204
    assert first not in ids(ann.post(LEASES, json={"count": 12}))
    assert first not in ids(bea.post(LEASES, json={}))
    chosen = bea.patch(f"{API}/session/preferences", json={"avoid": ["hate"], "time_zone": "Europe/Berlin"}).json()
    assert (chosen["avoid"], chosen["time_zone"]) == (["hate"], "Europe/Berlin")
    ann.delete(f"{LEASES}/{queries[1].id}")
    assert first in ids(bea.post(LEASES, json={"count": 12}))
    assert bea.patch(f"{API}/session/preferences", json={"avoid": ["rude"]}).json()["field"] == "avoid[0]"
    assert bea.patch(f"{API}/session/preferences", json={"time_zone": "../etc"}).json()["field"] == "time_zone"
    (found,) = boss.get(f"{API}/runs/run/flags").json()["items"]
    assert (found["query_id"], found["note"]) == (first, "mail [e-mail] <img src=x>")
    assert boss.delete(f"{API}/runs/run/flags/{first}/violence").status_code == 204
    assert boss.delete(f"{API}/runs/run/flags/{first}/violence").status_code == 404


def test_gold_items_look_like_others_and_results_are_for_admins(ann, boss, queries):
    gold = f"{API}/runs/run/gold"
    assert boss.post(gold, json={"query_id": queries[5].id, "value": {"choice": "left"}}).status_code == 204
    assert boss.post(gold, json={"query_id": "x", "value": {}}).json()["field"] == "query_id"
    assert boss.patch(f"{API}/runs/run/settings", json={"gold_share": 0.5}).json()["gold_share"] == 0.5
    shapes, seen = set(), 0
    for _ in range(11):
        (lease,) = ann.post(LEASES, json={}).json()["items"]
        shapes.add(tuple(sorted(lease)))
        seen += lease["query_id"] == queries[5].id
        body = {"key": str(uuid.uuid4()), "query_id": lease["query_id"], "kind": "preference"}
        assert ann.post(POST, json=body | {"value": {"choice": "right"}}).status_code == 200
    assert len(shapes) == 1
    assert seen == 1, "with a chance of a half, eleven draws without it come once in two thousand"
    expected = [{"person_id": ann.person.id, "num_asked": 1, "num_right": 0}]
    assert boss.get(f"{API}/runs/run/gold-results").json()["items"] == expected
    assert ann.get(f"{API}/runs/run/gold-results").status_code == 403
    assert [item["query_id"] for item in boss.get(gold).json()["items"]] == [queries[5].id]
    assert boss.delete(f"{gold}/{queries[5].id}").status_code == 204


@pytest.mark.parametrize("how", ["keep", "remove"])
def test_a_person_can_be_forgotten_while_the_service_runs(client, service, ann, boss, queries, how, tmp_path, audit):
    assert ann.post(POST, json=answer_to(queries[0])).status_code == 200
    service.runs.count_work()
    service.book.write()
    done = boss.post(f"{API}/people/{ann.person.id}/forget", json={"answers": how}).json()
    assert done == {"answers": how, "num_runs": 1, "num_answers": 1}
    assert ann.post(POST, json=answer_to(queries[1])).status_code == 401
    assert boss.get(f"{API}/people/{ann.person.id}").status_code == 404
    assert len(boss.get(POST).json()["items"]) == (how == "keep")
    service.book.write()
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("people.db*"))
    assert ann.person.id not in repr(service.accounts.work.days())
    assert everything
    acts = [act for act in audit.acts if "forget" in act or "withdraw" in act]
    assert acts == ["people.forget.begin", "feedback.withdraw", "people.forget"]
    again = boss.post(f"{API}/people/{ann.person.id}/forget", json={"answers": how})
    assert (again.status_code, again.json()["field"]) == (404, "person_id")


def test_whoever_is_stopped_on_the_way_can_do_it_again(service, ann, boss, queries, audit, monkeypatch, tmp_path):
    """Once for each line in the audit log, after which nothing was written."""
    make_run(tmp_path, "second", num_queries=2)
    assert ann.post(POST, json=answer_to(queries[0])).status_code == 200
    path, append = f"{API}/people/{ann.person.id}/forget", audit.append
    for stop_at in ("people.forget.begin", "feedback.withdraw", "people.forget"):

        def fail(person, act, subject="", stop_at=stop_at, **details):
            if act == stop_at:
                raise RuntimeError("killed")
            append(person, act, subject, **details)

        monkeypatch.setattr(audit, "append", fail)
        assert boss.post(path, json={"answers": "remove"}).status_code == 500
    monkeypatch.setattr(audit, "append", append)
    # What was said first holds.
    assert boss.post(path, json={"answers": "keep"}).json()["answers"] == "remove"
    assert boss.get(POST).json()["items"] == []
    assert service.accounts.forgettings.waiting() == []


def test_ones_own_account_is_deleted_with_the_password(ann, boss, queries, client, service):
    path = f"{API}/session/forget"
    wrong = ann.post(path, json={"answers": "keep", "password": "not mine at all"})
    assert (wrong.status_code, wrong.json()["field"]) == (403, "password")
    assert ann.post(path, json={"answers": "keep", "password": PASSWORD}).status_code == 200
    assert ann.get(f"{API}/session").status_code == 401
    for admin in [person for person in service.accounts.people.page(after="", limit=9) if person.role == "admin"]:
        left = boss.post(f"{API}/people/{admin.id}/forget", json={"answers": "keep"}) if admin.name != "boss" else None
        assert left is None or left.status_code == 200
    assert boss.post(path, json={"answers": "keep", "password": PASSWORD}).status_code == 409, "the last admin stays"
