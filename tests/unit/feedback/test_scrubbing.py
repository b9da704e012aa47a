"""Nothing of who was forgotten stays in any byte of an SQLite file, nor in its write-ahead log."""

import sqlite3
import threading
from pathlib import Path

import pytest

from heeler.core.errors import StoreError
from heeler.feedback import database as database_module
from heeler.feedback import scrubbing
from heeler.feedback.database import Database
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons, make_answer, open_store

ANN = "4f2b8a60-1d0e-4c9b-9e0a-6a1f0c1d2e3f"


def count(folder: Path) -> int:
    """How often ann's id stands in the files of the store."""
    return sum(path.read_bytes().count(ANN.encode()) for path in folder.glob("heeler.db*"))


def fill(store: Store) -> None:
    """Answers of ann and of others, so mixed that pages of indices split and merge."""
    queries = add_comparisons(store, 150)
    store.add_annotator(ANN, "person", "a note about her")
    for place, query in enumerate(queries):
        names = [ANN] if place % 3 else [ANN, "ann"]
        store.add_feedback([make_answer(query, name, annotator=name, time_taken_s=place / 7) for name in names])
        store.flags.add(query.id, ANN if place % 2 else f"{place}-other", "hate", "a swear word " * (place % 5))


@pytest.mark.parametrize("answers", ["keep", "remove"])
def test_no_byte_of_the_file_or_its_log_tells(tmp_path: Path, answers: str) -> None:
    with open_store(tmp_path) as store, open_store(tmp_path) as other:
        fill(store)
        assert other.counts()["feedback"] == 200
        assert count(tmp_path) > 300, "the file and the log are what they stand in"
        store.withdrawals.forget(ANN, "remove" if answers == "remove" else "keep")
        assert count(tmp_path) == 0
        assert store.counts() == other.counts()
        assert other.counts()["feedback"] == (200 if answers == "keep" else 50)


def test_without_it_they_would_be_there_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above looks for can be found; and the next one to open the file removes it."""
    with open_store(tmp_path) as store:
        fill(store)
        with monkeypatch.context() as killed:
            killed.setattr(Database, "scrub", lambda self: None)
            store.withdrawals.forget(ANN, "remove")
        assert count(tmp_path) > 0
        open_store(tmp_path).close()
        assert count(tmp_path) == 0


def test_a_transaction_that_fails_marks_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "heeler.db")
    with pytest.raises(RuntimeError), database.writing() as connection:
        scrubbing.mark(connection)
        raise RuntimeError("in the middle")
    before = (tmp_path / "heeler.db-wal").stat().st_size
    database.scrub()
    assert (tmp_path / "heeler.db-wal").stat().st_size == before, "nothing was written"
    database.close()


def test_who_reads_without_pause_is_told_of_and_does_not_keep_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    with open_store(tmp_path) as store:
        fill(store)
        reader = sqlite3.connect(tmp_path / "heeler.db", isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM feedback").fetchone() == (200,)
        with pytest.raises(StoreError, match="others read it without pause"):
            store.withdrawals.forget(ANN, "remove")
        assert store.withdrawals.newest() == 1, "they are forgotten"
        open_store(tmp_path).close()
        reader.close()
        store.withdrawals.forget(ANN, "remove")
        assert count(tmp_path) == 0


def test_writers_wait_for_it_and_lose_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, open_store(tmp_path) as other:
        fill(store)
        queries = add_comparisons(store, 151)[150:]
        given: list[int] = []

        def answer() -> None:
            for number in range(20):
                other.add_annotator(f"late {number}", "person")
                given.extend(other.add_feedback([make_answer(queries[0], number, annotator=f"late {number}")]))

        thread = threading.Thread(target=answer)
        thread.start()
        store.withdrawals.forget(ANN, "remove")
        thread.join()
        assert len(set(given)) == 20
        assert store.counts()["feedback"] == 50 + 20
    assert count(tmp_path) == 0
