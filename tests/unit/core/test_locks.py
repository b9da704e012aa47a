"""Locks that die with their holder, and a look at them that disturbs nobody."""

import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import RunError
from heeler.core.locks import held_alone, holder_of, is_held
from heeler.core.processes import is_alive, this_process
from heeler.core.rundir import RunDirectory


def test_a_second_holder_is_refused_and_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_alone(path, busy="taken"):
        assert is_held(path)
        with pytest.raises(RunError, match="taken"), held_alone(path, busy="taken"):
            pass
    assert not is_held(path)
    with held_alone(path, busy="taken"):
        pass


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_a_holder_that_is_killed_holds_no_more(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with held_alone(path, busy="taken"):
            os.write(write, b"x")
            signal.pause()
    os.read(read, 1)
    assert is_held(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not is_held(path)


def test_who_looks_again_and_again_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_held(path)

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        try:
            for _ in range(50):
                with held_alone(path, busy="taken", patience_s=5.0):
                    pass
        finally:
            over.set()
    for looker in lookers:
        looker.result()


def test_a_run_says_whether_a_learner_is_at_work_on_it(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", {})
    assert not directory.is_locked()
    with directory.locked():
        assert directory.is_locked()
    assert not directory.is_locked()


def test_the_holder_is_told_for_as_long_as_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder_of(path) is None
    with held_alone(path, busy="taken"):
        assert holder_of(path) == this_process()
    assert holder_of(path) is None
    assert path.read_bytes() == b""


def test_what_a_killed_holder_has_left_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text('{"pid": 1, "started": 0, "boot": "b", "namespace": "n", "host": "h"}')
    assert holder_of(path) is None
    with held_alone(path, busy="taken"):
        assert holder_of(path) == this_process()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_that_names_another_process_than_its_holder_is_not_believed(tmp_path: Path, is_there: bool) -> None:
    """Whoever can write to it could have any process ended otherwise."""
    path = tmp_path / "lock"
    other = subprocess.Popen(["sleep", "100"])
    me = this_process()
    assert me is not None
    try:
        started = int(Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[19])
        named = replace(me, pid=other.pid, started=started)
        assert is_alive(named)
        with held_alone(path, busy="taken"):
            path.write_text(json.dumps((named if is_there else replace(me, started=1)).to_dict()))
            with pytest.raises(RunError, match="does not say which process holds it"):
                holder_of(path)
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("content", [b"", b'{"pid": 1', b"[]", b'{"pid": 1}'])
def test_a_holder_that_does_not_sign_is_told_of(tmp_path: Path, content: bytes) -> None:
    """As those of the first versions did not."""
    path = tmp_path / "lock"
    with held_alone(path, busy="taken"):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"does not say which process holds it; `fuser .*lock` tells"):
            holder_of(path)


def test_a_full_disk_keeps_nobody_from_holding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with held_alone(tmp_path / "lock", busy="taken"):
        assert is_held(tmp_path / "lock")


def test_a_run_says_which_learner_is_at_work_on_it(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", {})
    assert directory.learner() is None
    with directory.locked():
        assert directory.learner() == this_process()
