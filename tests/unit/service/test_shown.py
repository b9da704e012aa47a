"""What a leased query shows: to whom, what of it, and the film that is kept."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from heeler.core.nouns import Query
from heeler.envs import draw
from heeler.service import films
from heeler.service.context import Service
from heeler.service.films import MAX_PICTURES, film_of
from heeler.service.pictures import SIZE
from heeler.service.worlds import look_at
from tests.shown_runs import make_asking_run, stretches, texts
from tests.unit.service.helpers import API, add_person, make_run, signed_in

HOPPER = stretches("Hopper-v5", 4)


@pytest.fixture
def queries(tmp_path: Path) -> list[Query]:
    return make_asking_run(tmp_path, "run", ["preference", "preference"], HOPPER)


@pytest.fixture
def ann(client: TestClient, service: Service) -> Iterator[TestClient]:
    add_person(service, "ann", "annotator")
    yield signed_in(client, "ann")


def lease(browser: TestClient, count: int = 1) -> list[dict[str, Any]]:
    found = browser.post(f"{API}/runs/run/leases", json={"count": count})
    assert found.status_code == 200, found.text
    return found.json()["items"]


def url(query: Query, place: int, more: str = "") -> str:
    return f"{API}/runs/run/leases/{query.id}/segments/{place}{more}"


def test_only_who_holds_the_lease_is_shown_anything(
    client: TestClient, service: Service, ann: TestClient, queries: list[Query]
) -> None:
    add_person(service, "ada", "admin")
    ada = signed_in(client, "ada")
    for more in ("", "/film"):
        assert ann.get(url(queries[0], 0, more)).status_code == 404, "not leased yet"
    lease(ann)
    for more in ("", "/film"):
        assert ann.get(url(queries[0], 0, more)).status_code == 200
        assert ann.get(url(queries[1], 0, more)).status_code == 404, "another query"
        assert ada.get(url(queries[0], 0, more)).status_code == 404, "an admin holds no lease"
        assert ann.get(url(queries[0], 2, more)).json()["field"] == "place"
        assert ann.get(url(queries[0], -1, more)).status_code == 404
    ann.delete(f"{API}/runs/run/leases/{queries[0].id}")
    assert ann.get(url(queries[0], 0)).status_code == 404, "given back"


def test_a_lease_that_ran_out_shows_nothing(ann: TestClient, service: Service, queries: list[Query]) -> None:
    lease(ann)
    store = service.runs.open("run").store
    person = service.accounts.people.page(after="", limit=10)
    names = {found.name: found.id for found in person}
    store.lease(names["ann"], 1, overlap=1, duration_s=-1.0)
    assert ann.get(url(queries[0], 0)).status_code == 404


def test_what_is_told_of_a_segment(ann: TestClient, queries: list[Query]) -> None:
    lease(ann)
    found = ann.get(url(queries[0], 1))
    assert found.headers["cache-control"] == "private, max-age=86400, immutable"
    assert found.headers["vary"] == "Cookie"
    shown, segment = found.json(), HOPPER[1]
    assert (shown["num_steps"], shown["step_s"], shown["can_drive"]) == (25, 0.008, True)
    assert shown["actions"] == {"discrete": False, "size": 3, "low": [-1.0] * 3, "high": [1.0] * 3, "counts": None}
    assert shown["curves"]["steps"] == list(range(25))
    np.testing.assert_allclose(shown["curves"]["action"], segment.action, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(shown["curves"]["observation"], segment.observation, rtol=1e-4, atol=1e-7)
    assert "123.25" not in found.text, "what it was worth is not told"
    assert "policy" not in found.text
    assert "trajectory" not in found.text


def test_a_film_is_drawn_once_and_kept(
    ann: TestClient, queries: list[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease(ann)
    film = ann.get(url(queries[0], 0)).json()["film"]
    found = ann.get(url(queries[0], 0, "/film"))
    assert found.headers["content-type"] == "image/webp"
    kept = tmp_path / "run" / "media" / f"{queries[0].segment_ids[0]}.webp"
    assert kept.read_bytes() == found.content
    sheet = np.asarray(Image.open(BytesIO(found.content)).convert("RGB")).astype(int)
    assert sheet.shape == (5 * SIZE, 5 * SIZE, 3)
    assert HOPPER[0].snapshot is not None
    frames = draw("Hopper-v5", HOPPER[0].snapshot[film["steps"]], (SIZE, SIZE)).astype(int)
    for place in (0, 7, 24):
        row, column = divmod(place, film["columns"])
        cell = sheet[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE]
        assert np.abs(cell - frames[place]).mean() < 3, "the picture of its step"
    monkeypatch.setattr(films, "sheet", lambda segment: pytest.fail("it is drawn again"))
    assert ann.get(url(queries[0], 0, "/film")).content == found.content


def test_a_film_that_cannot_be_kept_is_shown_all_the_same(
    ann: TestClient, queries: list[Query], tmp_path: Path
) -> None:
    (tmp_path / "run" / "media").write_text("no folder")
    lease(ann)
    assert ann.get(url(queries[0], 0, "/film")).status_code == 200


@pytest.mark.parametrize("num_steps", [1, 2, 25, 60, 61, 1000])
def test_a_film_shows_the_first_and_the_last_step(num_steps: int) -> None:
    steps = film_of(num_steps).steps
    assert (steps[0], steps[-1]) == (0, num_steps - 1)
    assert len(steps) == min(num_steps, MAX_PICTURES)
    assert sorted(set(steps)) == steps


def test_a_world_that_cannot_be_drawn_is_shown_in_numbers(ann: TestClient, tmp_path: Path) -> None:
    made = make_run(tmp_path)
    lease(ann)
    shown = ann.get(url(made[0], 0)).json()
    assert shown["film"] is None
    assert shown["actions"] == {"discrete": False, "size": 2, "low": None, "high": None, "counts": None}
    assert shown["can_drive"] is False
    assert ann.get(url(made[0], 0, "/film")).status_code == 404


def test_texts_are_shown_as_they_are(ann: TestClient, tmp_path: Path) -> None:
    made = make_asking_run(tmp_path, "run", ["preference"], texts("Blue. 🌍", "<b>Grey</b>"))
    lease(ann)
    shown = ann.get(url(made[0], 1)).json()
    assert shown["text"] == {
        "prompt": [{"role": "user", "content": "What is the sky?"}],
        "completion": "<b>Grey</b>",
    }
    assert ann.get(url(made[0], 0)).json()["num_steps"] == 7
    assert shown["film"] is None
    assert ann.get(url(made[0], 0, "/film")).status_code == 404


def test_worlds_that_are_code_of_a_run_are_not_made_here() -> None:
    assert look_at({"env": {"id": "antigravity:World"}}) is None
    assert look_at({"env": {"id": "Nowhere-v1"}}) is None
    assert look_at({"env": {"id": "Hopper-v5", "kwargs": {"gravity": 3}}}) is None
    assert look_at({}) is None
    found = look_at({"env": {"id": "CartPole-v1", "num_envs": 64, "num_threads": None, "unknown": 3}})
    assert found is not None
    assert (found.config.num_envs, found.step_s, found.actions.counts) == (1, 0.02, [2])
    assert found.can_be_driven
    humanoid = look_at({"env": {"id": "Humanoid-v5"}})
    assert humanoid is not None
    assert not humanoid.can_be_driven
