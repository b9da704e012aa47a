"""Stores of both kinds: whatever a test says of one on SQLite must hold of one on PostgreSQL."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.postgres import PostgresServer, programs
from tests.unit.feedback.helpers import Home

Homes = Callable[[], AbstractContextManager[Home]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test session's own."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: sudo apt-get install postgresql")
    server = PostgresServer(folder)
    yield server
    server.remove()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def homes(request: pytest.FixtureRequest) -> Homes:
    """Makes places for new stores, one after the other."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None

    @contextmanager
    def new_home() -> Iterator[Home]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if server is None:
                yield Home(folder, folder / "heeler.db")
                return
            url = server.new_database()
            yield Home(folder, url)
            server.drop(url)

    return new_home


@pytest.fixture
def home(homes: Homes) -> Iterator[Home]:
    """A place for one new store."""
    with homes() as place:
        yield place
