"""Stores that cannot be opened or written: a clear message each time, and nothing that is there is harmed."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.core.errors import StoreError
from heeler.feedback import database
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons, make_answer, open_store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def make_store(folder: Path) -> None:
    with open_store(folder) as store:
        store.add_feedback([make_answer(query) for query in add_comparisons(store, 3)])


def execute(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "heeler.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    make_store(tmp_path)
    execute(tmp_path, "UPDATE heeler_schema SET version_num = '9999'", "CREATE TABLE from_the_future (id INTEGER)")
    before = contents(tmp_path)
    with pytest.raises(
        StoreError, match=r"heeler.db: written by a newer heeler \(schema 9999; this one knows .* 0005\)"
    ):
        open_store(tmp_path)
    assert contents(tmp_path) == before


def test_a_store_with_two_versions_at_once_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path)
    execute(tmp_path, "INSERT INTO heeler_schema VALUES ('0000')")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="several versions at once"):
        open_store(tmp_path)
    assert contents(tmp_path) == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "heeler.db").write_text("notes that somebody would miss\n" * 100)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=r"heeler.db: it is not a heeler store"):
        open_store(tmp_path)
    assert contents(tmp_path) == before


def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    execute(tmp_path, "CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('0001')")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=r"heeler.db: this database belongs to another program"):
        open_store(tmp_path)
    assert contents(tmp_path) == before


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path)
    data = bytearray((tmp_path / "heeler.db").read_bytes())
    data[100:4096] = bytes(len(data[100:4096]))
    (tmp_path / "heeler.db").write_bytes(data)
    with pytest.raises(StoreError, match=r"heeler.db: the file is damaged"):
        open_store(tmp_path)
    assert (tmp_path / "heeler.db").read_bytes() == data


def test_a_folder_in_the_place_of_a_file_or_none_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "heeler.db").mkdir()
    with pytest.raises(StoreError, match="it is a folder; name a file"):
        open_store(tmp_path)
    with pytest.raises(StoreError, match="No such file or directory"):
        Store.open(tmp_path / "nowhere" / "heeler.db", segments_dir=None)
    (tmp_path / "segments").write_text("a file")
    with pytest.raises(StoreError, match=r"segments folder .* File exists"):
        Store.open(tmp_path / "other.db", segments_dir=tmp_path / "segments")


def test_a_store_that_another_program_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with open_store(tmp_path) as store:
        (query,) = add_comparisons(store, 1)
        rival = sqlite3.connect(tmp_path / "heeler.db", isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program kept it locked"):
            store.add_feedback([make_answer(query)])
        assert store.counts()["feedback"] == 0  # readers go on
        rival.execute("ROLLBACK")
        rival.close()
        assert store.add_feedback([make_answer(query)]) == [1]


def test_a_rival_that_holds_the_writers_lock_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
    with open_store(tmp_path) as store:
        rival = database.Database(tmp_path / "heeler.db")
        with rival.writing(), pytest.raises(StoreError, match=r"another process has been writing for 0\.2 s"):
            store.set_consumed("learner", 1)
        store.set_consumed("learner", 1)
        rival.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that a user without rights can reach; pytest's own cannot be entered by others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# Everything is imported before rights are given up, as the interpreter's own files may be out of reach afterwards.
UNPRIVILEGED = """
import os, sys
from pathlib import Path
from heeler.core.errors import StoreError
from tests.unit.feedback.helpers import make_answer, open_store

folder = Path(sys.argv[1])
with open_store(folder) as warm_up:
    pass
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open_store(folder)
except StoreError as error:
    print(error)
"""


def run(script: str, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("writable", [(), ("heeler.db.lock",), (".", "heeler.db.lock")])
def test_a_read_only_store_is_refused_and_left_as_it_was(public_folder: Path, writable: tuple[str, ...]) -> None:
    make_store(public_folder)
    before = contents(public_folder)
    if os.getuid() == 0:
        for name in writable:
            (public_folder / name).chmod(0o777)
        message = run(UNPRIVILEGED, public_folder)
    else:
        for name in {"heeler.db", "heeler.db.lock", "."} - set(writable):
            (public_folder / name).chmod(0o555)
        with pytest.raises(StoreError) as caught:
            open_store(public_folder)
        message = str(caught.value)
        public_folder.chmod(0o755)
    assert "heeler.db" in message
    assert any(words in message for words in ("read-only", "Permission denied", "cannot be opened"))
    assert contents(public_folder) == before


# The kernel refuses every write beyond the limit, as it would on a disk that is full.
FULL_DISK = """
import resource, sys
from pathlib import Path
from heeler.core.errors import StoreError
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_segment, open_store

folder = Path(sys.argv[1])
store = open_store(folder)
queries = add_comparisons(store, 4)
store.add_feedback([make_answer(queries[0])])
limits = resource.getrlimit(resource.RLIMIT_FSIZE)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

used = (folder / "heeler.db-wal").stat().st_size
limit(used + 100_000)
number = 0
try:
    while True:
        store.add_feedback([make_answer(queries[0], number, time_taken_s=1.0)])
        number += 1
except StoreError as error:
    print(error)
limit(100)
try:
    store.add_segments([make_segment(100), make_segment(101)])
except StoreError as error:
    print(error)
limit(limits[0])
store.add_segments([make_segment(100), make_segment(101)])
store.add_feedback([make_answer(query) for query in queries])
print(number)
"""


def test_a_full_disk_loses_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    store_message, segments_message, number = run(FULL_DISK, tmp_path).splitlines()
    assert "heeler.db: the disk" in store_message
    assert "nothing of this write was kept" in store_message
    assert "segments: File too large; it must be writable and the disk not full" in segments_message
    assert int(number) > 0
    with open_store(tmp_path) as store:
        assert store.counts()["feedback"] == int(number) + 4
        assert store.counts()["segments"] == 10
    assert not list((tmp_path / "segments").glob("*.tmp"))
    connection = sqlite3.connect(tmp_path / "heeler.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
