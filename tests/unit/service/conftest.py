"""Fixtures of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.testclient import TestClient

from heeler.service.accounts import passwords
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
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
