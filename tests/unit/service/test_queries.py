"""Queries as admins look at them: what they show, and setting aside what nobody is to be asked."""

import pytest

from heeler.feedback.kinds import QUESTIONS
from tests.shown_runs import make_asking_run, stretches
from tests.unit.service.helpers import API, add_person, answer_to, make_run, signed_in, store_of

RUN = f"{API}/runs/run"


@pytest.fixture
def queries(tmp_path):
    return make_run(tmp_path)


@pytest.fixture
def people(client, service):
    for name, role in (("ann", "annotator"), ("olga", "operator"), ("ada", "admin")):
        add_person(service, name, role)
    return {name: signed_in(client, name) for name in ("ann", "olga", "ada")}


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["query_id"] for item in answer.json()["items"]]


def test_what_is_set_aside_is_asked_of_nobody_and_noted(people, queries, audit):
    ann, olga, ada = people.values()
    first, second, third = (query.id for query in queries)
    assert ids(ann.post(f"{RUN}/leases", json={})) == [first]
    assert olga.post(f"{RUN}/set-aside", json={"query_id": first}).status_code == 403
    for _ in range(2):
        assert ada.post(f"{RUN}/set-aside", json={"query_id": first}).status_code == 204
    assert ids(ann.post(f"{RUN}/leases", json={"count": 9})) == [second, third]
    assert ids(olga.get(f"{RUN}/set-aside")) == [first]
    assert olga.get(f"{RUN}/queries/{first}").json()["set_aside"]
    assert ann.post(f"{RUN}/feedback", json=answer_to(queries[0])).status_code == 200, "what was on its way is taken"
    assert ada.delete(f"{RUN}/set-aside/{first}").status_code == 204
    again = ada.delete(f"{RUN}/set-aside/{first}")
    assert (again.status_code, again.json()["field"]) == (404, "query_id")
    noted = [(act, subject, details) for _, act, subject, details in audit.lines if act.startswith("queries.")]
    details = {"query_id": first}
    assert noted == [("queries.set_aside", "run", details), ("queries.put_back", "run", details)]


def test_nothing_is_set_aside_that_the_audit_log_does_not_tell(people, queries, audit):
    audit.fails = RuntimeError("full")
    body = {"query_id": queries[0].id}
    assert people["ada"].post(f"{RUN}/set-aside", json=body).status_code == 500
    audit.fails = None
    assert ids(people["ada"].get(f"{RUN}/set-aside")) == []


@pytest.mark.parametrize(("query_id", "status", "field"), [("nope", 422, "query_id"), ("x" * 65, 422, "query_id")])
def test_what_is_no_query_is_refused_by_name(people, queries, query_id, status, field):
    refused = people["ada"].post(f"{RUN}/set-aside", json={"query_id": query_id})
    assert (refused.status_code, refused.json()["field"]) == (status, field)
    assert people["ada"].get(f"{RUN}/queries/{query_id}").status_code == 404
    assert people["ada"].get(f"{RUN}/queries/{query_id}/segments/0").status_code == 404


def test_lists_come_in_pages(people, queries):
    ada = people["ada"]
    for query in queries:
        ada.post(f"{RUN}/set-aside", json={"query_id": query.id})
    first = ada.get(f"{RUN}/set-aside?limit=2").json()
    rest = ada.get(f"{RUN}/set-aside?limit=2&cursor={first['next']}").json()
    found = [item["query_id"] for item in first["items"] + rest["items"]]
    assert found == sorted(query.id for query in queries)
    assert rest["next"] is None


def test_the_newest_queries_come_first_with_how_many_answered(people, queries):
    first, second, third = queries
    assert people["ann"].post(f"{RUN}/feedback", json=answer_to(second)).status_code == 200
    page = people["olga"].get(f"{RUN}/queries?limit=2").json()
    rest = people["olga"].get(f"{RUN}/queries?limit=2&cursor={page['next']}").json()
    found = [(item["query_id"], item["kind"], item["num_answers"]) for item in page["items"] + rest["items"]]
    assert found == [(query.id, "preference", int(query is second)) for query in (third, second, first)]
    assert rest["next"] is None
    assert people["olga"].get(f"{RUN}/queries?cursor=x").json()["field"] == "cursor"


def test_items_are_shown_to_who_reads_answers_without_a_lease(people, tmp_path, client):
    (query,) = make_asking_run(tmp_path, "run", ["preference"], stretches("CartPole-v1", 2, 5), "CartPole-v1")
    ann, olga = people["ann"], people["olga"]
    path = f"{RUN}/queries/{query.id}"
    told = olga.get(path).json()
    assert (told["kind"], told["num_segments"], told["set_aside"]) == ("preference", 2, False)
    assert told["question"].endswith("?")
    with store_of(tmp_path) as store:
        store.set_setting(QUESTIONS, {"preference": "Which of the two is safer?"})
    assert olga.get(path).json()["question"] == "Which of the two is safer?"
    shown = olga.get(f"{path}/segments/1").json()
    assert shown["num_steps"] == 5
    film = olga.get(f"{path}/segments/1/film")
    assert (film.status_code, film.headers["content-type"]) == (200, "image/webp")
    assert film.content[8:12] == b"WEBP"
    beyond = olga.get(f"{path}/segments/2")
    assert (beyond.status_code, beyond.json()["detail"]) == (404, "there is no segment '2'")
    for where in ("", "/segments/1", "/segments/1/film"):
        assert ann.get(path + where).status_code == 403
        assert client.get(path + where).status_code == 401


def test_what_holds_for_a_person_alone_is_told_apart(people):
    ada = people["ada"]
    ann = next(one for one in ada.get(f"{API}/people").json()["items"] if one["name"] == "ann")
    path = f"{API}/people/{ann['id']}/care"
    assert ada.get(path).json()["own"] == []
    changed = ada.patch(path, json={"day_hours": 8.0, "day_items": 3}).json()
    assert (changed["own"], changed["day_hours"]) == (["day_hours", "day_items"], 8.0)
    assert ada.patch(path, json={"day_hours": None}).json()["own"] == ["day_items"]
