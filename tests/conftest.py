"""Temporary files in memory, and stores of both kinds: whatever a test says of one on SQLite must hold of one on
PostgreSQL.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import PostgresServer, programs
from tests.unit.feedback.helpers import Home, open_store

_MEMORY, _ROOM_MB = Path("/dev/shm"), 2048


def _keep_temporary_files_in_memory() -> None:
    """Where there is room, and nobody chose a place: stores wait for the disk at each commit, thousands of times.

    What tests kill is a process. What it wrote outlives it in memory as well.
    """
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_MB << 20
    if "TMPDIR" not in os.environ and has_room and os.access(_MEMORY, os.W_OK | os.X_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_keep_temporary_files_in_memory()
# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("heeler", deadline=None)
settings.load_profile("heeler")

Homes = Callable[..., AbstractContextManager[Home]]


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
    """Makes places for new stores, one after the other; with `begun=True` a server has the tables already."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    begun_store = functools.cache(begun_on)

    @contextmanager
    def new_home(*, begun: bool = False) -> Iterator[Home]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if server is None:
                yield Home(folder, folder / "heeler.db")
                return
            url = server.new_database(like=begun_store(server) if begun else None)
            yield Home(folder, url)
            server.drop(url)

    return new_home


def begun_on(server: PostgresServer) -> str:
    """A store with what `Home.open` begins it with, to copy: to make the tables takes longer than most tests."""
    url = server.new_database()
    with tempfile.TemporaryDirectory() as name:
        open_store(Path(name), url).close()
    return url


@pytest.fixture
def home(homes: Homes, request: pytest.FixtureRequest) -> Iterator[Home]:
    """A place for one new store."""
    with homes(begun="store" in request.fixturenames) as place:
        yield place
