"""Fixtures of the service."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.testclient import TestClient

from heeler.service.accounts import passwords
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from tests.unit.service.chatting import Place, ScriptedEngine, make_talks, setup_of
from tests.unit.service.helpers import HERE, Lines, begin_people


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with the least work: what is tested is not how long it takes."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(passwords, "_HASHER", quick)
    monkeypatch.setattr(passwords, "_NOBODYS", quick.hash("nobody's"))


@pytest.fixture
def audit() -> Lines:
    return Lines()


@pytest.fixture
def client(tmp_path: Path, audit: Lines) -> Iterator[TestClient]:
    """A program without a key; its app serves `tmp_path`."""
    begin_people(tmp_path)
    app = create_app(ServiceConfig(runs=tmp_path), audit)
    with TestClient(app, base_url=HERE) as client:
        yield client


@pytest.fixture
def service(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def places(tmp_path: Path, audit: Lines) -> Iterator[Callable[..., Place]]:
    """Makes a service with a chat, by an engine and settings of the chat."""
    opened: list[Place] = []
    make_talks(tmp_path)

    def make(engine: ScriptedEngine, **settings: Any) -> Place:
        place = Place(tmp_path, setup_of(engine, **settings), audit)
        place.client.__enter__()
        opened.append(place)
        return place

    yield make
    for place in opened:
        place.client.__exit__(None, None, None)
        assert not place.service.chat._num_each, "all that was held was let go of"  # type: ignore[union-attr]


@pytest.fixture
def place(places: Callable[..., Place], engine: ScriptedEngine) -> Place:
    return places(engine)
