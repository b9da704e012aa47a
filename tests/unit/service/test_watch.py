"""Runs that are watched while they act: what is shown, what is pressed, and what is refused."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from heeler.core import live
from heeler.core.nouns import Query
from heeler.service.context import Service
from tests.shown_runs import make_asking_run, make_watched_run, stretches
from tests.unit.service.helpers import API, Lines, add_person, signed_in, store_of

WATCH = f"{API}/runs/grid/watch"


@pytest.fixture
def shown(tmp_path: Path) -> list[Query]:
    make_asking_run(tmp_path, "run", ["evaluation"], stretches("CartPole-v1", 1, num_steps=5), env_id="CartPole-v1")
    return make_watched_run(tmp_path, "grid", num_stretches=4)


@pytest.fixture
def ann(client: TestClient, service: Service, shown: list[Query]) -> Iterator[TestClient]:
    add_person(service, "ann", "annotator")
    yield signed_in(client, "ann")


def press(browser: TestClient, query: Query, **changes: Any) -> Any:
    body = {"key": str(uuid.uuid4()), "query_id": query.id, "time_s": 0.75, "sign": 1} | changes
    return browser.post(f"{WATCH}/marks", json=body)


def test_who_comes_in_is_shown_the_newest_and_then_what_follows(ann: TestClient, shown: list[Query]) -> None:
    first = ann.get(WATCH).json()
    assert (first["env_id"], first["steps_per_second"]) == ("LavaGrid", 2.0)
    assert [one["query_id"] for one in first["items"]] == [query.id for query in shown[-2:]]
    assert first["items"][0]["num_steps"] == 3 and first["items"][0]["first_step"] == 6
    assert len(first["items"][0]["action"]) == 3
    after = first["items"][0]["number"] - 2
    later = ann.get(WATCH, params={"after": after}).json()["items"]
    assert [one["query_id"] for one in later] == [query.id for query in shown[1:]]
    assert ann.get(WATCH, params={"after": later[-1]["number"]}).json()["items"] == []


def test_to_ask_is_to_watch(ann: TestClient, tmp_path: Path) -> None:
    assert not live.is_watched(tmp_path / "grid", within_s=5.0)
    ann.get(WATCH)
    assert live.is_watched(tmp_path / "grid", within_s=5.0)


def test_the_film_is_one_sheet(ann: TestClient, shown: list[Query]) -> None:
    answer = ann.get(f"{WATCH}/{shown[0].id}/film")
    assert answer.status_code == 200 and answer.content.startswith(b"RIFF")
    assert answer.headers["content-type"] == "image/webp"


def test_a_press_is_kept_once_and_another_is_another(
    ann: TestClient, shown: list[Query], tmp_path: Path, audit: Lines
) -> None:
    key = str(uuid.uuid4())
    answers = [press(ann, shown[0], key=key) for _ in range(2)]
    answers.append(press(ann, shown[0], sign=-1, time_s=1.25))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json()
    with store_of(tmp_path, "grid") as store:
        kept = [answer for _, answer in store.feedback_after(0, limit=10, up_to_step=None)]
    assert [answer.value for answer in kept] == [
        {"marks": [{"time_s": 0.75, "sign": 1}]},
        {"marks": [{"time_s": 1.25, "sign": -1}]},
    ]
    assert {answer.kind for answer in kept} == {"evaluation"}
    assert audit.acts.count("feedback.add") == 2


def test_a_press_while_the_last_picture_stands_still_is_taken_for_a_while(ann: TestClient, shown: list[Query]) -> None:
    assert press(ann, shown[0], time_s=1.5 + 4.9).status_code == 200
    assert press(ann, shown[0], time_s=1.5 + 5.1).status_code == 422


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"time_s": -0.1}, 422, "time_s: expected 0 to 6.5"),
        ({"time_s": 1e300}, 422, "time_s: expected 0 to 6.5"),
        ({"time_s": "soon"}, 422, "time_s"),
        ({"sign": 0}, 422, "sign"),
        ({"sign": 2}, 422, "sign"),
        ({"sign": "good"}, 422, "sign"),
        ({"key": "k"}, 422, "key: expected a UUID"),
        ({"query_id": "nothing"}, 404, "stretch"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_presses_that_cannot_be_are_refused(
    ann: TestClient, shown: list[Query], changes: dict[str, Any], status: int, words: str
) -> None:
    answer = press(ann, shown[0], **changes)
    assert answer.status_code == status
    assert words in answer.text


def test_the_same_key_with_another_body_is_a_conflict(ann: TestClient, shown: list[Query]) -> None:
    key = str(uuid.uuid4())
    assert press(ann, shown[0], key=key).status_code == 200
    assert press(ann, shown[0], key=key, sign=-1).status_code == 409


def test_runs_that_ask_are_none_that_are_watched(ann: TestClient) -> None:
    answer = ann.get(f"{API}/runs/run/watch")
    assert answer.status_code == 409 and "none that is watched" in answer.text
    assert ann.get(f"{API}/runs/nowhere/watch").status_code == 404


def test_what_is_watched_is_asked_of_nobody_in_turn(ann: TestClient) -> None:
    assert ann.post(f"{API}/runs/grid/leases", json={"count": 5}).json()["items"] == []


def test_the_state_is_told(ann: TestClient, tmp_path: Path) -> None:
    assert ann.get(WATCH).json()["state"] == "stopped"
    (tmp_path / "grid" / "metrics.jsonl").write_text('{"step": 6, "update": 2, "minutes": 0.05, "signals": 3}\n')
    time.sleep(0.01)
    told = ann.get(WATCH).json()
    assert (told["minutes"], told["num_signals"]) == (0.05, 3)
