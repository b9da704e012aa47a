"""Releases over HTTP: two people, each in their own session, and one to take them back."""

import uuid
from collections.abc import Callable

import numpy as np
import pytest
from starlette.testclient import TestClient

from heeler.core.rundir import RunDirectory
from heeler.service.context import Service
from heeler.service.permissions import SCOPES, Permission
from tests.unit.service.helpers import API, add_key, add_person, bearer, make_run, signed_in

PATH = f"{API}/runs/run/releases"
Someone = Callable[[str], TestClient]


@pytest.fixture
def people(client: TestClient, service: Service, tmp_path) -> Someone:
    """Somebody's browser by their name; the run has checkpoints."""
    make_run(tmp_path)
    for step in (100, 200):
        state = {"lineage": {"policy_version": step // 100, "answers": 7}}
        RunDirectory(tmp_path / "run").save_checkpoint(step, {"w": np.zeros(2)}, state, keep=5)
    for name, role in {"olga": "operator", "omar": "operator", "ada": "admin", "ann": "annotator"}.items():
        add_person(service, name, role)
    return lambda name: signed_in(client, name)


def proposal(step: int = 200) -> dict[str, object]:
    return {"id": str(uuid.uuid4()), "step": step}


def proposed(browser: TestClient, step: int = 200) -> str:
    answer = browser.post(PATH, json=proposal(step))
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def approve(browser: TestClient, release: str):
    return browser.post(f"{PATH}/{release}/approve")


def id_of(service: Service, name: str) -> str:
    return next(person.id for person in service.accounts.people.page(after="", limit=99) if person.name == name)


def states(browser: TestClient) -> list[tuple[int, str]]:
    return [(item["step"], item["state"]) for item in browser.get(PATH).json()["items"]]


def test_two_people_put_a_checkpoint_into_use_and_one_takes_it_back(people, service, audit, tmp_path):
    olga, omar = people("olga"), people("omar")
    body = proposal()
    first = olga.post(PATH, json=body).json()
    assert olga.post(PATH, json=body).json() == first
    assert (first["state"], first["policy_version"], first["answers"]) == ("proposed", 2, 7)
    assert approve(omar, first["id"]).json()["state"] == "in use"
    assert states(olga) == [(200, "in use")]
    assert olga.post(f"{PATH}/{first['id']}/withdraw").json()["state"] == "withdrawn"
    assert states(omar) == [(200, "withdrawn")]
    lines = [(line[0], *line[1:3], line[3]["release"]) for line in audit.lines if line[1].startswith("release")]
    olga_id, omar_id = id_of(service, "olga"), id_of(service, "omar")
    assert lines == [
        (olga_id, "release.propose", "run", first["id"]),
        (omar_id, "release.approve", "run", first["id"]),
        (olga_id, "release.withdraw", "run", first["id"]),
    ]


def test_nobody_is_two_people(people, audit):
    olga = people("olga")
    release = proposed(olga)
    for browser in (olga, people("olga")):
        answer = approve(browser, release)
        assert (answer.status_code, answer.json()["field"]) == (403, "person")
        assert "another person has to" in answer.json()["detail"]
    assert states(olga) == [(200, "proposed")]
    assert "release.approve" not in audit.acts


def test_a_key_promotes_nothing(people, client, service):
    """Who makes keys could make one for another person."""
    assert Permission.PROMOTE not in SCOPES
    ada = people("ada")
    add_person(service, "ava", "admin")
    body = {"person_id": id_of(service, "ava"), "label": "x", "scopes": ["promote"], "days": 1}
    assert ada.post(f"{API}/keys", json=body).json()["field"] == "scopes[0]"
    person = service.accounts.people.get(id_of(service, "ava"))
    key = TestClient(client.app, headers=bearer(add_key(service, person, *SCOPES)))
    release = proposed(ada)
    assert key.post(PATH, json=proposal()).status_code == 403
    assert approve(key, release).status_code == 403
    assert key.post(f"{PATH}/{release}/withdraw").json()["state"] == "withdrawn", "to stop, one is enough"


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "annotator"}])
def test_what_somebody_proposed_who_may_no_more_is_not_approved(people, service, change):
    release = proposed(people("olga"))
    service.accounts.people.change("test", id_of(service, "olga"), change)
    answer = approve(people("omar"), release)
    assert (answer.status_code, answer.json()["field"]) == (409, "release")
    assert "may not do so any more" in answer.json()["detail"]
    assert states(people("ada")) == [(200, "proposed")]


def test_annotators_see_no_releases_and_make_none(people):
    ann, release = people("ann"), proposed(people("olga"))
    assert ann.get(PATH).status_code == 403
    assert ann.post(PATH, json=proposal()).status_code == 403
    assert approve(ann, release).status_code == 403
    assert ann.post(f"{PATH}/{release}/withdraw").status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"id": "x", "step": 200}, 422, "id"),
        ({"id": str(uuid.uuid4()), "step": -1}, 422, "step"),
        ({"id": str(uuid.uuid4()), "step": 150}, 409, "step"),
        ({"id": str(uuid.uuid4())}, 422, "step"),
        ({"id": str(uuid.uuid4()), "step": 200, "person": "x"}, 422, "person"),
    ],
)
def test_bad_proposals_are_refused_by_field(people, audit, body, status, field):
    answer = people("olga").post(PATH, json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert "release.propose" not in audit.acts


@pytest.mark.parametrize("release", ["none", "0c9e8a1b-7c1d-4f6e-9b1a-2d3c4b5a6f70", "..%2frun"])
def test_releases_that_are_not_there(people, release):
    olga = people("olga")
    assert approve(olga, release).status_code == 404
    assert olga.post(f"{PATH}/{release}/withdraw").status_code == 404


def test_what_the_log_cannot_hold_is_not_done(people, audit):
    olga, omar = people("olga"), people("omar")
    from heeler.core.errors import RunError

    release = proposed(olga)
    audit.fails = RunError("cannot write audit.jsonl: No space left on device")
    assert olga.post(PATH, json=proposal()).status_code == 503
    assert approve(omar, release).status_code == 503
    audit.fails = None
    assert states(olga) == [(200, "proposed")]
