"""Answers over HTTP: acknowledged once they are kept, the same again is the same, and what is wrong names its field."""

import uuid

import pytest
from starlette.testclient import TestClient

from heeler.core.errors import StoreError
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.kinds import AIDS, FIRST_FOR, QUESTIONS, VIEWS
from heeler.feedback.sides import is_flipped
from heeler.feedback.told import ACTIONS
from heeler.service.bodies import LeaseOut
from heeler.service.client import answer_body
from heeler.service.context import Service
from tests.unit.service.helpers import (
    API,
    Lines,
    add_key,
    add_person,
    answer_to,
    ask,
    bearer,
    make_run,
    signed_in,
    store_of,
)

POST, BATCH, LEASES = f"{API}/runs/run/feedback", f"{API}/runs/run/feedback/batch", f"{API}/runs/run/leases"


@pytest.fixture
def queries(tmp_path):
    return make_run(tmp_path)


@pytest.fixture
def ann(client: TestClient, service: Service, queries):
    """A program with the key of an annotator."""
    person = add_person(service, "ann", "annotator")
    program = TestClient(client.app, headers=bearer(add_key(service, person, "answer")))
    program.person = person  # type: ignore[attr-defined]
    return program


@pytest.fixture
def bea(client: TestClient, service: Service, queries):
    person = add_person(service, "bea", "annotator")
    return TestClient(client.app, headers=bearer(add_key(service, person, "answer")))


def kept(tmp_path) -> list:
    with store_of(tmp_path) as store:
        return [answer for _, answer in store.feedback_after(0, limit=1000, up_to_step=None)]


def refused(answer) -> tuple[int, str | None]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["field"]


def test_an_answer_is_kept_under_the_person_whom_the_service_knows(ann, queries, tmp_path):
    body = answer_to(queries[0], time_taken_s=2.5, confidence=0.75)
    answer = ann.post(POST, json=body)
    assert (answer.status_code, answer.json()) == (200, {"key": body["key"], "position": 1})
    (found,) = kept(tmp_path)
    assert (found.key, found.query_id, found.kind, found.value) == (
        body["key"],
        queries[0].id,
        "preference",
        body["value"],
    )
    assert (found.annotator, found.time_taken_s, found.confidence) == (ann.person.id, 2.5, 0.75)
    assert found.answered_step is None


def test_the_same_again_is_answered_the_same(ann, queries, tmp_path):
    bodies = [answer_to(query) for query in queries]
    first = [ann.post(POST, json=body).json() for body in bodies]
    again = [ann.post(POST, json=body).json() for body in reversed(bodies)]
    assert [answer["position"] for answer in first] == [1, 2, 3]
    assert again == list(reversed(first))
    assert ann.post(BATCH, json={"feedback": bodies}).json() == {"items": first}
    assert len(kept(tmp_path)) == 3


def test_the_same_key_with_another_body_is_refused(ann, bea, queries, tmp_path):
    body = answer_to(queries[0])
    assert ann.post(POST, json=body).status_code == 200
    assert refused(ann.post(POST, json=body | {"value": {"choice": "right"}})) == (409, "key")
    assert refused(bea.post(POST, json=body)) == (409, "key")
    assert [answer.value for answer in kept(tmp_path)] == [{"choice": "left"}]


def test_a_batch_is_kept_whole_or_not_at_all(ann, queries, tmp_path):
    bodies = [answer_to(query) for query in queries]
    wrong = [bodies[0], bodies[1] | {"value": {"choice": "up"}}, bodies[2]]
    assert refused(ann.post(BATCH, json={"feedback": wrong})) == (422, "feedback[1].value.choice")
    assert kept(tmp_path) == []
    answer = ann.post(BATCH, json={"feedback": bodies})
    assert [item["position"] for item in answer.json()["items"]] == [1, 2, 3]
    assert [item["key"] for item in answer.json()["items"]] == [body["key"] for body in bodies]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"query_id": "unknown"}, 422, "query_id"),
        ({"kind": "rating"}, 422, "kind"),
        ({"kind": "nonsense"}, 422, "kind"),
        ({"key": "no-uuid"}, 422, "key"),
        ({"key": str(uuid.UUID(int=1)).upper().replace("0", "A")}, 422, "key"),
        ({"value": {"choice": "both"}}, 422, "value.choice"),
        ({"value": {"choise": "left"}}, 422, "value.choise"),
        ({"value": {}}, 422, "value.choice"),
        ({"value": "left"}, 422, "value"),
        ({"value": None}, 422, "value"),
        ({"time_taken_s": -1}, 422, "time_taken_s"),
        ({"time_taken_s": 10**400}, 422, "time_taken_s"),
        ({"confidence": 1.5}, 422, "confidence"),
        ({"confidence": True}, 422, "confidence"),
        ({"annotator": "somebody else"}, 422, "annotator"),
        ({"answered_step": 5}, 422, "answered_step"),
    ],
)
def test_what_is_wrong_is_named(ann, queries, tmp_path, changes, status, field):
    assert refused(ann.post(POST, json=answer_to(queries[0]) | changes)) == (status, field)
    batch = ann.post(BATCH, json={"feedback": [answer_to(queries[1]), answer_to(queries[0]) | changes]})
    assert refused(batch) == (status, f"feedback[1].{field}")
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("rating", {"score": 6, "low": 0, "high": 5}, "value.score"),
        ("rating", {"score": 10**400, "low": 0, "high": 5}, "value.score"),
        ("evaluation", {"marks": [{"time_s": -0.5, "sign": 1}]}, "value.marks[0].time_s"),
        ("evaluation", {"marks": [{"time_s": 0.5, "sign": 2}]}, "value.marks[0].sign"),
        ("critique", {"text": "there", "start": 0, "end": 99}, "value.end"),
        ("critique", {"text": " ", "start": 0, "end": 1}, "value.text"),
        ("correction", {"step": 4, "action": [0.0, 0.0]}, "value.step"),
        ("correction", {"step": 0, "action": [0.0]}, "value.action"),
    ],
)
def test_every_kind_names_what_is_wrong(ann, tmp_path, queries, kind, value, field):
    body = answer_to(ask(tmp_path, kind), kind=kind) | {"value": value}
    assert refused(ann.post(POST, json=body)) == (422, field)
    assert kept(tmp_path) == []


def test_a_better_action_that_the_world_does_not_have_is_refused(ann, tmp_path):
    with store_of(tmp_path) as store:
        store.set_setting(ACTIONS, ActionBounds(is_discrete=False, low=(-1, -1), high=(1, 1)).to_setting())
    body = answer_to(ask(tmp_path, "correction"), kind="correction")
    assert refused(ann.post(POST, json=body | {"value": {"step": 0, "action": [0, 1e9]}})) == (422, "value.action[1]")
    assert kept(tmp_path) == []
    assert ann.post(POST, json=body | {"value": {"step": 0, "action": [0, 1]}}).status_code == 200


def test_a_segment_of_another_run_is_unknown_here(ann, tmp_path):
    with store_of(tmp_path) as store:
        own = store.queries([ask(tmp_path, "demonstration").id])[0].segment_ids[0]
    make_run(tmp_path, "other", num_queries=1)
    ask(tmp_path, "critique", "other")
    with store_of(tmp_path, "other") as store:
        foreign = [i for query in store.open_queries(10) for i in query.segment_ids if i != own][-1]
    with store_of(tmp_path) as store:
        assert foreign not in store.segment_facts([foreign])
        query = next(query for query in store.open_queries(10) if query.kind == "demonstration")
    body = answer_to(query, kind="demonstration") | {"value": {"segment_id": foreign}}
    assert refused(ann.post(POST, json=body)) == (422, "value.segment_id")
    body = answer_to(query, kind="demonstration") | {"value": {"segment_id": own}}
    assert ann.post(POST, json=body).status_code == 200


def test_a_query_of_another_run_is_unknown_here(ann, tmp_path, queries):
    make_run(tmp_path, "other", num_queries=1)
    critique = ask(tmp_path, "critique", "other")
    body = answer_to(critique, kind="critique") | {"value": {"text": "there", "start": 0, "end": 1}}
    assert refused(ann.post(POST, json=body)) == (422, "query_id")


@pytest.mark.parametrize("path", [POST, BATCH])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"key": "\\ud800"}'])
def test_what_is_no_json_object_is_refused(ann, path, body):
    answer = ann.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_form_is_no_json(ann, queries):
    answer = ann.post(POST, content=b"{}", headers={"Content-Type": "text/plain"})
    assert refused(answer) == (415, "Content-Type")


def test_a_batch_has_a_size(ann, queries, service):
    assert refused(ann.post(BATCH, json={"feedback": []})) == (422, "feedback")
    many = [answer_to(queries[0]) for _ in range(service.config.max_batch + 1)]
    assert refused(ann.post(BATCH, json={"feedback": many})) == (422, "feedback")


def test_the_wrong_run(ann, queries, tmp_path):
    assert refused(ann.post(f"{API}/runs/nowhere/feedback", json=answer_to(queries[0]))) == (404, "run")
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "config.yaml").write_text("recipe: ppo\n")
    assert refused(ann.post(f"{API}/runs/young/feedback", json=answer_to(queries[0]))) == (409, "run")
    assert not (tmp_path / "young" / "heeler.db").exists(), "to look makes nothing"


def test_leases_tell_what_is_asked_and_nothing_of_who_made_it(ann, queries, tmp_path):
    answer = ann.post(LEASES, json={"count": 2})
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["query_id"] for item in items] == [query.id for query in queries[:2]]
    for item, query in zip(items, queries, strict=False):
        assert set(item) == {"query_id", "kind", "form", "segments", "expires_unix_s", "flip", "aids", "view"}
        assert item["segments"] == [{"id": i, "num_steps": 4} for i in query.segment_ids]
        assert item["form"]["question"] == "Which of the two does it better?"
        assert item["form"]["controls"][0]["choices"][0] == ["left", "Left is better"]
        assert item["flip"] == is_flipped(query.id, ann.person.id)
        assert not item["aids"] and item["view"] is None


def test_a_run_may_ask_in_its_own_words(ann, queries, tmp_path):
    with store_of(tmp_path) as store:
        store.set_setting(QUESTIONS, {"preference": "Which of the two is safer?", "rating": "How safe is this?"})
    (item,) = ann.post(LEASES, json={"count": 1}).json()["items"]
    assert item["form"]["question"] == "Which of the two is safer?"
    assert item["form"]["controls"][0]["choices"][0] == ["left", "Left is better"]


def test_people_are_asked_first_what_they_are_best_at(ann, bea, queries, tmp_path):
    with store_of(tmp_path) as store:
        store.set_setting(FIRST_FOR, {ann.person.id: [queries[2].id, queries[1].id]})
    asked = [item["query_id"] for item in ann.post(LEASES, json={"count": 2}).json()["items"]]
    assert asked == [queries[2].id, queries[1].id]
    assert bea.post(LEASES, json={"count": 2}).json()["items"][0]["query_id"] == queries[0].id


def test_leases_tell_of_kinds_that_people_find_hard(ann, queries, tmp_path):
    with store_of(tmp_path) as store:
        store.set_setting(AIDS, ["preference"])
        view = {"first_better": 0.75, "best": [[0, 1], [2, 3]], "worst": [[1, 2], [0, 1]]}
        store.set_setting(VIEWS, {queries[1].id: view})
    first, second = ann.post(LEASES, json={"count": 2}).json()["items"]
    assert first["aids"] and second["aids"]
    assert first["view"] is None and second["view"] == view


def test_an_answer_says_whether_a_models_view_was_opened(ann, queries, tmp_path, service):
    view = {"first_better": 0.75, "best": [[0, 1], [2, 3]], "worst": [[1, 2], [0, 1]]}
    with store_of(tmp_path) as store:
        store.set_setting(AIDS, ["preference"])
        store.set_setting(VIEWS, {queries[0].id: view, queries[1].id: view})
    leases = [LeaseOut.model_validate(item) for item in ann.post(LEASES, json={"count": 3}).json()["items"]]
    answers = zip(leases, (True, False, None), strict=True)
    bodies = [answer_body(lease, {"choice": "left"}, view_opened=opened) for lease, opened in answers]
    assert ann.post(POST, json=bodies[0]).status_code == 200
    assert ann.post(POST, json=bodies[0]).status_code == 200, "the same again is the same answer"
    other = {**bodies[0], "view": {**bodies[0]["view"], "opened": False}}
    assert refused(ann.post(POST, json=other)) == (409, "key")
    assert ann.post(BATCH, json={"feedback": bodies[1:]}).status_code == 200
    expected = [{**view, "opened": True}, {**view, "opened": False}, None]
    with store_of(tmp_path) as store:
        assert [answer.view for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == expected
    add_person(service, "boss", "admin")
    assert [item["view"] for item in signed_in(ann, "boss").get(POST).json()["items"]] == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"opened": "yes"}, "view.opened"),
        ({"opened": None}, "view.opened"),
        ({"best": [[0, 1]]}, "view.best"),
        ({"worst": [[0, 1], [2, 9]]}, "view.worst[1][1]"),
        ({"first_better": 2}, "view.first_better"),
        ({"opend": True}, "view.opend"),
    ],
)
def test_a_view_that_cannot_have_been_offered_is_refused(ann, queries, tmp_path, changes, field):
    view = {"opened": True, "first_better": 0.75, "best": [[0, 1], [2, 3]], "worst": [[1, 2], [0, 1]]}
    assert refused(ann.post(POST, json=answer_to(queries[0], view=view | changes))) == (422, field)
    with store_of(tmp_path) as store:
        assert store.counts()["feedback"] == 0


def test_sides_are_swapped_for_half_of_all():
    flips = [is_flipped(f"query-{n}", f"person-{n % 7}") for n in range(2000)]
    assert 900 < sum(flips) < 1100
    assert len({is_flipped("one query", f"person-{n}") for n in range(20)}) == 2


def test_nobody_is_asked_what_another_holds(ann, bea, queries):
    first = ann.post(LEASES, json={"count": 2}).json()["items"]
    second = bea.post(LEASES, json={"count": 5}).json()["items"]
    assert [item["query_id"] for item in second] == [queries[2].id]
    assert ann.delete(f"{LEASES}/{first[0]['query_id']}").status_code == 204
    third = bea.post(LEASES, json={"count": 5}).json()["items"]
    assert [item["query_id"] for item in third] == [queries[2].id, queries[0].id], "what is held comes first"


@pytest.mark.parametrize("count", [0, 101, "2", 1.5])
def test_a_lease_has_a_size(ann, queries, count):
    assert refused(ann.post(LEASES, json={"count": count})) == (422, "count")


def test_a_lease_that_ran_out_is_told_only_where_another_answers_now(ann, bea, queries, service, monkeypatch):
    lease = ann.post(LEASES, json={"count": 1}).json()["items"][0]
    import heeler.feedback.store as store_module
    import heeler.feedback.writing as writing_module

    class Later:
        @staticmethod
        def time() -> float:
            return lease["expires_unix_s"] + 1

    monkeypatch.setattr(store_module, "time", Later)
    monkeypatch.setattr(writing_module, "time", Later)
    assert bea.post(LEASES, json={"count": 1}).json()["items"][0]["query_id"] == lease["query_id"]
    late = ann.post(POST, json=answer_to(queries[0]))
    assert refused(late) == (409, "query_id")
    assert "the lease on" in late.json()["detail"]
    assert bea.post(POST, json=answer_to(queries[0])).status_code == 200
    assert refused(bea.post(POST, json=answer_to(queries[0]))) == (409, "query_id"), "once each"


def test_overlap_and_lease_time_are_an_admins_to_change(client, service, ann, bea, queries, audit):
    add_person(service, "boss", "admin")
    boss = signed_in(client, "boss")
    path = f"{API}/runs/run/settings"
    assert boss.get(path).json() == {"overlap": 1, "lease_s": 600.0, "gold_share": 0.05, "compare_share": 0.1}
    assert ann.post(POST, json=answer_to(queries[0])).status_code == 200
    assert refused(bea.post(POST, json=answer_to(queries[0]))) == (409, "query_id")
    assert boss.patch(path, json={"overlap": 2}).json() == {
        "overlap": 2,
        "lease_s": 600.0,
        "gold_share": 0.05,
        "compare_share": 0.1,
    }
    assert bea.post(POST, json=answer_to(queries[0])).status_code == 200
    assert boss.patch(path, json={"lease_s": 60}).json() == {
        "overlap": 2,
        "lease_s": 60.0,
        "gold_share": 0.05,
        "compare_share": 0.1,
    }
    assert refused(boss.patch(path, json={"overlap": 0})) == (422, "overlap")
    assert refused(boss.patch(path, json={"lease_s": 1})) == (422, "lease_s")
    assert refused(boss.patch(path, json={"overlapp": 3})) == (422, "overlapp")
    changes = [line[1:] for line in audit.lines if line[1].startswith("settings")]
    assert changes == [("settings.overlap", "run", {"value": 2}), ("settings.lease_s", "run", {"value": 60})]


def test_operators_read_every_answer_in_order(client, service, ann, bea, queries):
    for who, query in ((ann, queries[0]), (bea, queries[1]), (ann, queries[2])):
        assert who.post(POST, json=answer_to(query)).status_code == 200
    key = add_key(service, add_person(service, "olga", "operator"), "read_feedback")
    first = client.get(POST, params={"limit": 2}, headers=bearer(key)).json()
    assert [item["position"] for item in first["items"]] == [1, 2]
    rest = client.get(POST, params={"limit": 2, "cursor": first["next"]}, headers=bearer(key)).json()
    assert [item["query_id"] for item in rest["items"]] == [queries[2].id]
    end = client.get(POST, params={"cursor": rest["next"]}, headers=bearer(key)).json()
    assert end == {"items": [], "next": rest["next"]}
    assert refused(client.get(POST, params={"cursor": "x"}, headers=bearer(key))) == (422, "cursor")


def test_every_commit_of_answers_has_its_line_and_without_it_nothing_is_kept(ann, queries, tmp_path, audit: Lines):
    ann.post(POST, json=answer_to(queries[0]))
    person, act, subject, details = audit.lines[-1]
    assert (person, act, subject) == (ann.person.id, "feedback.add", "run")
    assert details["by"] == {ann.person.id: 1}
    audit.fails = StoreError("audit log: No space left on device")
    body = answer_to(queries[1])
    answer = ann.post(POST, json=body)
    assert refused(answer) == (503, None)
    assert int(answer.headers["retry-after"]) > 0
    assert len(kept(tmp_path)) == 1
    audit.fails = None
    assert ann.post(POST, json=body).json()["position"] == 2
    num_lines = len(audit.lines)
    assert ann.post(POST, json=body).json()["position"] == 2
    assert len(audit.lines) == num_lines, "what changes nothing has no line"


def test_a_run_that_was_replaced_is_opened_anew(ann, queries, tmp_path, service, monkeypatch):
    assert ann.post(POST, json=answer_to(queries[0])).status_code == 200
    monkeypatch.setattr("heeler.service.runs._LOOK_EVERY_S", 0.0)
    (tmp_path / "run").rename(tmp_path.parent / f"{tmp_path.name}-moved")
    assert refused(ann.post(POST, json=answer_to(queries[1]))) == (404, "run")
    fresh = make_run(tmp_path)
    assert ann.post(POST, json=answer_to(fresh[0])).json()["position"] == 1
    assert len(kept(tmp_path)) == 1
