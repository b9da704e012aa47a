"""A hard stop ends the learner, and the run says by whom; whatever comes between."""

import fcntl
import json
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heeler.core import hard_stop as module
from heeler.core.audit import AUDIT_NAME, AuditLog, entries, verify
from heeler.core.errors import ConflictError, RunError
from heeler.core.hard_stop import HARD_STOP_NAME, HardStop, hard_stop, newest, settle
from heeler.core.rundir import RunDirectory


def new_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", {})


@contextmanager
def learner(directory: RunDirectory) -> Iterator[int]:
    """A process that holds the run and does nothing else."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with directory.locked():
            os.write(write, b"x")
            signal.pause()
        os._exit(0)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    try:
        yield child
    finally:
        if os.waitpid(child, os.WNOHANG)[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def told(directory: RunDirectory) -> list[tuple[str, str]]:
    assert verify(directory.path / AUDIT_NAME).problems == ()
    return [(entry.person, entry.act) for entry in entries(directory.path / AUDIT_NAME, after=0, limit=100)]


def test_the_learner_ends_and_the_log_says_by_whom(directory: RunDirectory) -> None:
    marked: list[HardStop] = []
    with learner(directory) as pid:
        stop = hard_stop(directory, new_id(), "p-7", mark=marked.append)
    assert not directory.is_locked()
    (entry,) = entries(directory.path / AUDIT_NAME, after=0, limit=9)
    assert (entry.person, entry.act, entry.subject) == ("p-7", "run.hard_stop", "run")
    assert (entry.details["id"], entry.details["pid"], entry.details["num_processes"]) == (stop.id, pid, 1)
    assert stop.took_s is not None
    assert stop.took_s < 1
    assert stop.outcome == f"process {pid} ended within {stop.took_s:.2f} s; the newest checkpoint is kept"
    assert marked == [stop]


def test_without_a_learner_there_is_nothing_to_stop(directory: RunDirectory) -> None:
    with pytest.raises(ConflictError, match="no learner is at work on this run"):
        hard_stop(directory, new_id(), "p-7")
    assert newest(directory) is None
    assert not (directory.path / AUDIT_NAME).exists()


def test_the_same_stop_again_ends_no_other_learner(directory: RunDirectory) -> None:
    """Who was not answered asks again, and the run may have been resumed meanwhile."""
    stop_id = new_id()
    with learner(directory):
        first = hard_stop(directory, stop_id, "p-7")
    marked: list[HardStop] = []
    with learner(directory):
        again = hard_stop(directory, stop_id, "p-7", mark=marked.append)
        assert directory.is_locked()
    assert again == first
    assert marked == [first]
    assert told(directory) == [("p-7", "run.hard_stop")]


def test_who_was_killed_by_another_way_is_not_looked_for(directory: RunDirectory) -> None:
    """The number in the lock may be anybody's by now."""
    with learner(directory) as pid:
        os.kill(pid, signal.SIGKILL)
    assert (directory.path / ".lock").read_bytes() != b""
    with pytest.raises(ConflictError, match="no learner"):
        hard_stop(directory, new_id(), "p-7")


def test_a_stopper_that_dies_on_the_way_leaves_it_to_the_next_learner(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place, broken in enumerate(("kill", "AuditLog")):
        with monkeypatch.context() as patch, learner(directory):
            patch.setattr(module, broken, dies)
            with pytest.raises(KeyboardInterrupt):
                hard_stop(directory, new_id(), "p-7")
        stop = settle(directory)
        assert stop is not None and stop.is_noted
        assert told(directory) == [("p-7", "run.hard_stop")] * (place + 1)
        assert settle(directory) is None
    assert "p-7" not in (directory.path / HARD_STOP_NAME).read_text(), "only the log knows whom it was"


def test_a_full_disk_keeps_nobody_from_stopping(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def refuses(log: AuditLog, *_: object, **__: object) -> None:
        raise RunError(f"cannot write {log.path}: No space left on device; make it writable and free some space")

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(AuditLog, "append", refuses)
    with learner(directory), pytest.raises(RunError, match="No space left"):
        hard_stop(directory, new_id(), "p-7")
    assert not directory.is_locked()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}'])
def test_what_cannot_be_read_is_as_if_it_were_not_there(directory: RunDirectory, content: str) -> None:
    (directory.path / HARD_STOP_NAME).write_text(content)
    assert newest(directory) is None
    assert settle(directory) is None
    with learner(directory):
        hard_stop(directory, new_id(), "p-7")
    assert json.loads((directory.path / HARD_STOP_NAME).read_text())["is_noted"] is True


@pytest.mark.parametrize("torn", [b'{"act":"comm', b"\x00" * 100, b'{"act":"command.obeyed"}'])
def test_a_line_that_the_learner_was_writing_is_put_aside(directory: RunDirectory, torn: bytes) -> None:
    log = AuditLog(directory.path / AUDIT_NAME)
    log.append("learner", "run.begin")
    with learner(directory):
        with log.path.open("ab") as file:
            file.write(torn)
        hard_stop(directory, new_id(), "p-7")
    assert told(directory) == [("learner", "run.begin"), ("heeler", "audit.torn"), ("p-7", "run.hard_stop")]
    assert (directory.path / "audit.torn-2").read_bytes() == torn


def test_a_log_that_the_learner_keeps_locked_is_free_once_it_has_ended(directory: RunDirectory) -> None:
    path = directory.path / AUDIT_NAME
    AuditLog(path).append("learner", "run.begin")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with directory.locked(), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(write, b"x")
            signal.pause()
    os.read(read, 1)
    stop = hard_stop(directory, new_id(), "p-7")
    os.waitpid(child, 0)
    assert stop.took_s is not None and stop.took_s < 1
    assert told(directory) == [("learner", "run.begin"), ("p-7", "run.hard_stop")]
