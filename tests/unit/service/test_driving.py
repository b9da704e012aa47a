"""Worlds that people drive: what they show becomes a segment, and none is left open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from heeler.core.errors import DataError
from heeler.core.nouns import Query, Segment
from heeler.service import driving
from heeler.service.context import Service
from tests.shown_runs import make_asking_run, stretches
from tests.unit.service.helpers import API, Lines, add_person, signed_in, store_of

CART_POLE = stretches("CartPole-v1", 2, num_steps=5)


@pytest.fixture
def query(tmp_path: Path) -> Query:
    asked = make_asking_run(tmp_path, "run", ["demonstration", "rating"], CART_POLE, env_id="CartPole-v1")
    return asked[0]


@pytest.fixture
def ann(client: TestClient, service: Service, query: Query) -> Iterator[TestClient]:
    add_person(service, "ann", "annotator")
    browser = signed_in(client, "ann")
    browser.post(f"{API}/runs/run/leases", json={"count": 2})
    yield browser


def drive(browser: TestClient, query: Query, more: str = "", body: Any = None) -> Any:
    return browser.post(f"{API}/runs/run/leases/{query.id}/drive{more}", json=body)


def test_what_is_driven_becomes_the_demonstration(
    ann: TestClient, service: Service, audit: Lines, query: Query, tmp_path: Path
) -> None:
    begun = drive(ann, query).json()
    assert (begun["num_steps"], begun["ended"], begun["actions"]["counts"]) == (0, False, [2])
    assert begun["picture"]
    assert drive(ann, query, "/finish").status_code == 409, "nothing was shown yet"
    after = drive(ann, query, "/steps", {"actions": [[0], [1], [1]]}).json()
    assert after["num_steps"] == 3
    assert after["observation"] != begun["observation"]
    driven = drive(ann, query, "/finish").json()
    assert drive(ann, query, "/finish").json() == driven, "asked again it is the same"
    with store_of(tmp_path) as store:
        segment = store.segment(driven["segment_id"])
    assert isinstance(segment, Segment)
    assert segment.action.tolist() == [[0], [1], [1]]
    np.testing.assert_allclose(segment.observation[0], begun["observation"], atol=1e-4)
    np.testing.assert_array_equal(segment.observation[1:], segment.next_observation[:-1])
    np.testing.assert_allclose(segment.next_observation[-1], after["observation"], atol=1e-4)
    person = service.accounts.people.with_password("ann", "correct horse battery staple")
    assert person is not None
    assert segment.trajectory_id.startswith("demonstration/")
    assert person.id not in segment.trajectory_id
    assert segment.env_id == "CartPole-v1"
    assert audit.acts.count("segments.add") == 1
    body = {
        "key": "00000000-0000-4000-8000-000000000001",
        "query_id": query.id,
        "kind": "demonstration",
        "value": {"segment_id": driven["segment_id"]},
    }
    assert ann.post(f"{API}/runs/run/feedback", json=body).status_code == 200


def test_an_episode_ends_and_nothing_more_happens(ann: TestClient, query: Query, tmp_path: Path) -> None:
    drive(ann, query)
    ended = drive(ann, query, "/steps", {"actions": [[1]] * 60}).json()
    assert ended["ended"]
    assert 5 < ended["num_steps"] < 60
    assert drive(ann, query, "/steps", {"actions": [[1]]}).json() == ended
    driven = drive(ann, query, "/finish").json()
    assert driven["num_steps"] == ended["num_steps"]
    with store_of(tmp_path) as store:
        segment = store.segment(driven["segment_id"])
    assert isinstance(segment, Segment)
    assert abs(segment.next_observation[-1][2]) > 0.2, "the terminal state and not the next episode's first"
    assert drive(ann, query, "/steps", {"actions": [[1]]}).status_code == 409, "it was finished"


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([[2]], "actions[0]: expected a whole number from 0 to 1, got 2"),
        ([[0], [0.5]], "actions[1]: expected a whole number from 0 to 1, got 0.5"),
        ([[0, 1]], "actions[0]: expected 1 numbers, got 2"),
        ([], "actions: List should have at least 1 item after validation, not 0"),
        ([[0]] * 101, "actions: List should have at most 100 items after validation, not 101"),
    ],
)
def test_actions_that_are_none_are_refused_and_change_nothing(
    ann: TestClient, query: Query, actions: list[list[float]], message: str
) -> None:
    drive(ann, query)
    refused = drive(ann, query, "/steps", {"actions": actions})
    assert (refused.status_code, refused.json()["detail"]) == (422, message)
    assert drive(ann, query, "/steps", {"actions": [[1]]}).json()["num_steps"] == 1


def test_numbers_are_kept_within_their_bounds(client: TestClient, service: Service, tmp_path: Path) -> None:
    (asked,) = make_asking_run(tmp_path, "run", ["demonstration"], stretches("Pendulum-v1", 1), env_id="Pendulum-v1")
    add_person(service, "ann", "annotator")
    browser = signed_in(client, "ann")
    browser.post(f"{API}/runs/run/leases", json={})
    drive(browser, asked)
    refused = drive(browser, asked, "/steps", {"actions": [[2.5]]})
    assert refused.json()["detail"] == "actions[0]: expected numbers from [-2.0] to [2.0], got [2.5]"
    raw = browser.post(
        f"{API}/runs/run/leases/{asked.id}/drive/steps",
        content='{"actions": [[NaN]]}',
        headers={"Content-Type": "application/json"},
    )
    assert raw.status_code in (400, 422)
    assert drive(browser, asked, "/steps", {"actions": [[-2.0]]}).json()["num_steps"] == 1


def test_only_who_holds_the_lease_drives(client: TestClient, service: Service, ann: TestClient, query: Query) -> None:
    add_person(service, "bea", "annotator")
    bea = signed_in(client, "bea")
    drive(ann, query)
    for more, body in (("", None), ("/steps", {"actions": [[1]]}), ("/finish", None)):
        assert drive(bea, query, more, body).status_code == 404


def test_only_demonstrations_are_driven(ann: TestClient, tmp_path: Path) -> None:
    leases = ann.post(f"{API}/runs/run/leases", json={"count": 2}).json()["items"]
    (other,) = [lease for lease in leases if lease["kind"] == "rating"]
    refused = ann.post(f"{API}/runs/run/leases/{other['query_id']}/drive")
    assert refused.status_code == 409


def test_no_world_is_left_open(
    ann: TestClient, service: Service, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    close = driving.Drive.close
    monkeypatch.setattr(driving.Drive, "close", lambda drive: (closed.append(drive), close(drive))[1])
    drive(ann, query)
    drive(ann, query)
    assert len(closed) == 1, "another beginning closes the one before"
    monkeypatch.setattr(driving, "IDLE_S", 0.0)
    assert drive(ann, query, "/steps", {"actions": [[1]]}).status_code == 404, "left alone for too long"
    assert len(closed) == 2
    monkeypatch.setattr(driving, "IDLE_S", 60.0)
    drive(ann, query)
    service.drives.close()
    assert len(closed) == 3


def test_too_many_at_once_are_asked_to_wait(ann: TestClient, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "MAX_DRIVES", 0)
    refused = drive(ann, query)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


def test_a_drive_has_a_last_step(ann: TestClient, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "MAX_STEPS", 2)
    drive(ann, query)
    found = drive(ann, query, "/steps", {"actions": [[0], [1], [0]]}).json()
    assert (found["num_steps"], found["ended"]) == (2, True)


def test_who_is_forgotten_while_driving_leaves_nothing(
    ann: TestClient, service: Service, query: Query, tmp_path: Path
) -> None:
    """By the service, which closes the world; or by another process, of which the store knows first."""
    drive(ann, query)
    drive(ann, query, "/steps", {"actions": [[0], [1]]})
    person = next(person for person in service.accounts.people.page(after="", limit=9) if person.name == "ann")
    before = set((tmp_path / "run" / "segments").iterdir())
    with store_of(tmp_path) as store:
        segment = service.drives.run(lambda: service.drives.of(person.id, query.id).finish(person.id))
        store.withdrawals.forget(person.id, "remove")
        with pytest.raises(DataError, match="forgotten"):
            store.add_segments([segment], shown_by=person.id)
    assert drive(ann, query, "/finish").status_code == 404, "no lease is left"
    add_person(service, "boss", "admin")
    boss = signed_in(TestClient(ann.app), "boss")
    assert boss.post(f"{API}/people/{person.id}/forget", json={"answers": "remove"}).status_code == 200
    assert service.drives.run(lambda: service.drives._open) == {}
    assert drive(ann, query, "/finish").status_code == 401
    assert set((tmp_path / "run" / "segments").iterdir()) == before
