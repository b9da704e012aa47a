"""A backup that is taken while others write: one moment of the store, whole, and a store itself."""

import errno
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.errors import RunError, StoreError
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.loop.backing_up import back_up_run
from heeler.loop.config import to_dict
from tests.faults.test_store_kill import WRITER, acknowledged, kill, start
from tests.unit.feedback.helpers import add_comparisons, make_answer, open_store
from tests.unit.loop.tiny import tiny_preferences


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run that has not learned yet."""
    return RunDirectory.create(tmp_path / "run", to_dict(tiny_preferences())).path


@pytest.fixture
def answered(path: Path) -> Path:
    """The same, with three answers."""
    with open_store(path) as store:
        store.add_feedback([make_answer(query) for query in add_comparisons(store, 3)])
    return path


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_backup_of_a_store_that_is_written_to_is_one_moment_of_it(path: Path, tmp_path: Path) -> None:
    writer = start(WRITER, path, path / "heeler.db", 0)
    files, told = [], []
    for number in range(4):
        told += [writer.stdout.readline() for _ in range(4)]
        before = acknowledged(told)
        backup = back_up_run(path, tmp_path / f"copy-{number}.db", segments=tmp_path / "clips")
        assert backup.num_answers >= len(before), "what was acknowledged before is in it"
        assert backup.refused_segments == []
        files.append(backup.file)
    told += kill(writer).splitlines(keepends=True)
    with open_store(path) as store:
        final = store.feedback_after(0, limit=10**6, up_to_step=None)
    assert len(final) >= len(acknowledged(told)) >= 16
    assert names(tmp_path) == {"run", "clips", *(file.name for file in files)}, "each is one file"
    sizes = []
    for file in files:
        with Store.open(file, segments_dir=tmp_path / "clips") as copy:
            kept = copy.feedback_after(0, limit=10**6, up_to_step=None)
            assert kept == final[: len(kept)]
            queries = copy.queries([answer.query_id for _, answer in kept])
            assert set(copy.segments(i for query in queries for i in query.segment_ids))
            sizes.append(len(kept))
            # It is a store that one can go on with.
            assert copy.add_feedback([make_answer(queries[0], "more")]) == [kept[-1][0] + 1]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_the_command(answered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.db"
    assert main(["backup", str(answered), str(copy), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(copy), "num_answers": 3, "num_segments": 6, "refused_segments": []}
    assert not (tmp_path / "clips").exists()
    before = copy.read_bytes()
    assert main(["backup", str(answered), str(copy)]) == 2
    assert "is there already, and a backup never replaces anything" in capsys.readouterr().err
    assert copy.read_bytes() == before
    assert main(["backup", str(answered), str(answered / "heeler.db")]) == 2


def test_a_segment_that_is_damaged_is_named_and_the_rest_is_copied(
    answered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = sorted((answered / "segments").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert main(["backup", str(answered), str(tmp_path / "copy.db"), "--segments", str(tmp_path / "clips")]) == 1
    told = capsys.readouterr()
    assert f"segments/{first.name}: the file is missing" in told.err
    assert f"segments/{second.name}: not a readable segment" in told.err
    assert "3 answers about 6 segments" in told.out
    assert len(names(tmp_path / "clips")) == 4
    # Whatever the folder has already stays, though the run has lost it.
    kept = next((tmp_path / "clips").iterdir())
    (answered / "segments" / kept.name).unlink()
    assert len(back_up_run(answered, tmp_path / "again.db", segments=tmp_path / "clips").refused_segments) == 2


def test_a_backup_is_restored_by_putting_it_back(answered: Path, tmp_path: Path) -> None:
    copy = back_up_run(answered, tmp_path / "copy.db", segments=tmp_path / "clips").file
    with open_store(answered) as store:
        before = store.feedback_after(0, limit=9, up_to_step=None)
    shutil.rmtree(answered / "segments")
    for file in answered.glob("heeler.db*"):
        file.unlink()
    shutil.copy(copy, answered / "heeler.db")
    shutil.copytree(tmp_path / "clips", answered / "segments")
    with open_store(answered) as store:
        assert store.feedback_after(0, limit=9, up_to_step=None) == before
        for _, answer in before:
            store.segments(store.queries([answer.query_id])[0].segment_ids)


def test_a_run_without_a_store_has_none_to_copy(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no store to copy yet"):
        back_up_run(path, tmp_path / "copy.db")
    assert not (path / "heeler.db").exists()


def test_a_store_that_is_damaged_is_not_taken_for_a_backup(answered: Path, tmp_path: Path) -> None:
    with sqlite3.connect(answered / "heeler.db") as connection:
        connection.execute("INSERT INTO query_segments VALUES ('nothing', 0, 'nothing')")
    connection.close()
    with pytest.raises(StoreError, match=r"the copy is damaged, .*\(a row of query_segments refers to nothing\)"):
        back_up_run(answered, tmp_path / "copy.db")
    assert names(tmp_path) == {"run"}


def test_a_place_that_cannot_be_written(answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"cannot write .*nowhere/copy.db: unable to open database file; name a file"):
        back_up_run(answered, tmp_path / "nowhere" / "copy.db")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StoreError, match=r"cannot write .*copy.db: No space left on device"):
            back_up_run(answered, tmp_path / "copy.db")
    assert names(tmp_path) == {"run"}
