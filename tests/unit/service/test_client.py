"""The client against a service that was really started: every route, refusals, and what is asked twice."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from heeler.core import live
from heeler.core.audit import AuditLog
from heeler.core.errors import ConfigError, ConflictError, DataError, StoreError
from heeler.core.live import LiveStretch
from heeler.core.rundir import RunDirectory
from heeler.service import app
from heeler.service.accounts.accounts import Accounts
from heeler.service.client import Client, Conflict, Invalid, NotFound, Unavailable, Unreachable
from heeler.service.client import transport as client_transport
from tests.shown_runs import make_asking_run, make_watched_run, stretches
from tests.unit.service.chatting import make_talks
from tests.unit.service.client_calls import CALLS, World
from tests.unit.service.helpers import PASSWORD, Served, make_keys

ROUTES = sorted(
    f"{entry.method} {(entry.prefix + entry.path).removeprefix('/api/v1')}"
    for module in app._ROUTES
    for entry in module.ROUTES
    if not entry.is_page
)
SCOPES = ("answer", "chat", "read_runs", "read_feedback", "steer", "read_audit", "settings", "people", "care")


def make_runs(folder: Path) -> None:
    hopper = stretches("Hopper-v5", 80, num_steps=5)
    make_asking_run(folder, "run", ["preference"] * 40, hopper)
    make_asking_run(folder, "cart", ["demonstration"], stretches("CartPole-v1", 1, num_steps=5), env_id="CartPole-v1")
    make_watched_run(folder, "grid")
    path = folder / "run"
    (path / "metrics.jsonl").write_text("".join(f'{{"step": {step}, "update": {step}}}\n' for step in range(1, 8)))
    for step in (100, 200):
        state = {"lineage": {"policy_version": step // 100, "answers": 7}}
        RunDirectory(path).save_checkpoint(step, {"w": np.zeros(2)}, state, keep=5)
    assert hopper[0].snapshot is not None
    live.say_watching(path)
    live.leave(path, LiveStretch(snapshot=hopper[0].snapshot, fps=12.5, step=5))


def make_operators(folder: Path, *names: str) -> None:
    accounts = Accounts(folder / "people.db", AuditLog(folder / "audit.jsonl"), session_idle_s=1, session_s=1)
    for name in names:
        person, _ = accounts.people.add("test", name=name, email=None, kind="person", role="operator")
        accounts.people.set_password("test", person.id, PASSWORD)
    accounts.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder)
    make_operators(folder, "olga", "omar")
    make_talks(folder)
    (ann_key,), (boss_key,) = make_keys(folder, "annotator", "answer", "chat"), make_keys(folder, "admin", *SCOPES)
    with (
        Served(folder, requests_per_s=1000, request_burst=10_000, chat=True) as served,
        Client(served.url, key=ann_key, patience_s=5) as ann,
        Client(served.url, key=boss_key, patience_s=5) as boss,
        Client(served.url, patience_s=5) as olga,
        Client(served.url, patience_s=5) as omar,
    ):
        olga.account.sign_in("olga", PASSWORD)
        omar.account.sign_in("omar", PASSWORD)
        yield World(url=served.url, ann=ann, boss=boss, olga=olga, omar=omar)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """(method, path, status) of everything that clients ask meanwhile."""
    found: list[tuple[str, str, int]] = []
    send = httpx2.Client.send

    def sending(client: httpx2.Client, request: httpx2.Request, **options: object) -> httpx2.Response:
        response = send(client, request, **options)  # type: ignore[arg-type]
        found.append((request.method, request.url.path, response.status_code))
        return response

    monkeypatch.setattr(httpx2.Client, "send", sending)
    return found


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_has_a_method(world: World, asked: list[tuple[str, str, int]], route: str) -> None:
    assert route in CALLS, f"the client has no method for {route}, or client_calls does not call it"
    CALLS[route](world)
    method, _, path = route.partition(" ")
    prefix = "" if path.startswith("/v1/") else "/api/v1"
    pattern = prefix + re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
    assert [status for how, where, status in asked if how == method and re.fullmatch(pattern, where) and status < 300]


def test_no_call_is_for_a_route_that_is_gone(world: World) -> None:
    paths = world.boss.description()["paths"]
    described = {f"{method.upper()} {path.removeprefix('/api/v1')}" for path in paths for method in paths[path]}
    assert described == set(ROUTES) == set(CALLS)


def test_pages_follow_each_other(world: World, monkeypatch: pytest.MonkeyPatch, asked: list) -> None:
    monkeypatch.setattr(client_transport, "PAGE_SIZE", 2)
    assert [row["step"] for row in world.boss.metrics("run", after_step=2)] == [3, 4, 5, 6, 7]
    assert len(asked) == 4
    told = [world.boss.command("run", "pause").id for _ in range(5)]
    found = world.boss.commands("run")
    assert [next(found).id for _ in range(5)] == told[::-1]
    names = {person.name for person in world.boss.people.all()}
    assert {"olga", "omar"} <= names


def test_a_page_is_asked_for_once_it_is_wanted(world: World, asked: list) -> None:
    found = world.boss.runs()
    assert asked == []
    next(found)
    assert len(asked) == 1


def test_refusals_carry_what_the_problem_says(world: World) -> None:
    lease = world.lease()
    with pytest.raises(DataError, match=r"value.choice: expected one of") as invalid:
        world.ann.answer("run", lease, {"choice": "up"})
    assert isinstance(invalid.value, Invalid)
    assert (invalid.value.status, invalid.value.field) == (422, "value.choice")
    assert invalid.value.refusal.title == "Unprocessable Entity"
    key = str(uuid.uuid4())
    world.ann.answer("run", lease, {"choice": "left"}, key=key)
    with pytest.raises(ConflictError) as conflict:
        world.ann.answer("run", lease, {"choice": "right"}, key=key)
    assert (type(conflict.value), conflict.value.status, conflict.value.field) == (Conflict, 409, "key")
    with pytest.raises(LookupError) as unknown:
        world.boss.run("none")
    assert (type(unknown.value), unknown.value.field) == (NotFound, "run")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_refused_here(world: World, asked: list, name: str) -> None:
    with pytest.raises(DataError, match=r"run: expected a name"):
        world.boss.run(name)
    assert asked == []


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "%2e%2e", "ü x"])
def test_odd_names_are_asked_for_as_they_are(world: World, name: str) -> None:
    with pytest.raises(NotFound):
        world.boss.run(name)


def test_a_key_and_a_session_do_not_go_together(world: World) -> None:
    with pytest.raises(ConfigError, match="make a Client without a key"):
        world.ann.account.sign_in("olga", PASSWORD)


class Breaking:
    """A way to a service on which the answer to the next requests is lost, after the service has given it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failures: Exception | int) -> None:
        self.statuses: list[int] = []
        self._failures = list(failures)
        request = httpx2.Client.request

        def broken(client: httpx2.Client, *arguments: object, **named: object) -> httpx2.Response:
            answer = request(client, *arguments, **named)  # type: ignore[arg-type]
            self.statuses.append(answer.status_code)
            failure = self._failures.pop(0) if self._failures else None
            if isinstance(failure, Exception):
                raise failure
            return answer if failure is None else httpx2.Response(failure)

        monkeypatch.setattr(httpx2.Client, "request", broken)


LOST = httpx2.ReadError("the line went dead")


@pytest.mark.parametrize("failure", [LOST, httpx2.ReadTimeout("slow"), 502, 503, 504])
def test_an_answer_whose_receipt_was_lost_is_kept_once(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception | int
) -> None:
    lease = world.lease()
    way = Breaking(monkeypatch, failure, failure)
    receipt = world.ann.answer("run", lease, {"choice": "left"})
    assert way.statuses == [200, 200, 200]
    assert [found.key for found in world.boss.feedback("run") if found.query_id == lease.query_id] == [receipt.key]


def test_what_would_be_done_twice_is_not_asked_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for failure in (LOST, 503):
        way, name = Breaking(monkeypatch, failure), str(uuid.uuid4())
        with pytest.raises(StoreError) as caught:
            world.boss.people.add(name)
        assert way.statuses == [201]
        assert isinstance(caught.value, Unreachable if failure is LOST else Unavailable)
        assert ("look before you ask again" in str(caught.value)) == (failure is LOST)
        assert name in [person.name for person in world.boss.people.all()]


def test_what_was_taken_away_before_the_line_broke_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    query_id = world.lease().query_id
    world.boss.gold.add("run", query_id, {"choice": "left"})
    way = Breaking(monkeypatch, LOST)
    world.boss.gold.remove("run", query_id)
    assert way.statuses == [204, 404]
    with pytest.raises(NotFound):
        world.boss.gold.remove("run", query_id)
