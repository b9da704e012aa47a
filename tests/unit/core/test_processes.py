"""Processes are told from others that come to have their number, and are ended with what they have started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import RunError
from heeler.core.processes import Process, is_alive, kill, this_process

# Says who it is, starts what it is told to, and sleeps.
SLEEPER = """
import json, subprocess, sys, time
from heeler.core.processes import this_process
started = [subprocess.Popen(["sleep", "1000"], start_new_session=own == "own").pid for own in sys.argv[1:]]
print(json.dumps([this_process().to_dict(), started]), flush=True)
time.sleep(1000)
"""
Start = Callable[..., tuple[Process, list[int], subprocess.Popen[str]]]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[subprocess.Popen[str]] = []
    left: list[int] = []

    def starts(*children: str, code: str = SLEEPER) -> tuple[Process, list[int], subprocess.Popen[str]]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", code, *children]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        begun.append(process)
        assert process.stdout is not None
        told, started = json.loads(process.stdout.readline())
        left.extend(started)
        return Process(**told), started, process

    yield starts
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_process_is_ended_with_what_it_has_started(start: Start) -> None:
    process, children, handle = start("", "")
    assert is_alive(process)
    killed = kill(process)
    assert set(killed.pids) == {process.pid, *children}
    assert killed.pids[0] == process.pid
    assert not any(map(lives, killed.pids))
    assert not is_alive(process)
    assert handle.wait(10) == -signal.SIGKILL
    assert 0 <= killed.took_s < 5


def test_what_it_started_in_a_session_of_its_own_goes_on(start: Start) -> None:
    """So does a web service beside a learner, which may be the one that ends it."""
    process, (same, own), _ = start("", "own")
    assert set(kill(process).pids) == {process.pid, same}
    assert lives(own)


def test_another_process_with_its_number_is_let_be(start: Start) -> None:
    process, _, handle = start()
    before = replace(process, started=process.started - 1)
    assert not is_alive(before)
    assert kill(before).pids == ()
    assert handle.poll() is None
    assert is_alive(process)


def test_one_that_has_ended_is_ended_already(start: Start) -> None:
    process, _, handle = start()
    handle.kill()
    time.sleep(0.05)
    assert kill(process).pids == (), "not waited for, but dead"
    handle.wait()
    assert kill(process).pids == ()


@pytest.mark.parametrize("field", ["boot", "namespace"])
def test_a_process_of_another_machine_is_refused(start: Start, field: str) -> None:
    process, _, handle = start()
    with pytest.raises(RunError, match=rf"process {process.pid} of elsewhere is none of this machine"):
        kill(replace(process, host="elsewhere", **{field: "another"}))
    assert handle.poll() is None


def test_a_process_of_another_user_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process, _, handle = start()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    with pytest.raises(RunError, match="belongs to another user"):
        kill(process)
    assert handle.poll() is None


def test_whoever_asks_outlives_it() -> None:
    """A program that was started by the learner may be the one that stops it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        learner = this_process()
        assert learner is not None
        if os.fork() == 0:
            killed = kill(learner)
            os.write(write, b"%d" % len(killed.pids))
            os._exit(0)
        signal.pause()
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"1"
    os.close(read)
    os.close(write)


# Has a child that has a child, as pools of workers may, and goes on starting others.
FORKS = """
import json, os, time
from heeler.core.processes import this_process
if os.fork() == 0:
    os.fork()
    time.sleep(1000)
print(json.dumps([this_process().to_dict(), []]), flush=True)
while True:
    if os.fork() == 0:
        time.sleep(1000)
    time.sleep(0.002)
"""


def test_one_that_goes_on_starting_others_leaves_none(start: Start) -> None:
    process, _, handle = start(code=FORKS)
    time.sleep(0.1)
    killed = kill(process)
    assert len(killed.pids) > 3
    handle.wait()
    assert not any(map(lives, killed.pids))
    with_its_session = [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if lives(pid) and b"os.fork()" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert with_its_session == []


def test_a_process_that_does_not_end_is_told_of(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one would that waits in the kernel for a disk; here the signals come to nothing."""
    process, _, handle = start()
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    began_s = time.monotonic()
    with pytest.raises(RunError, match=rf"{process.pid} did not end within 0.2 s"):
        kill(process, within_s=0.2)
    assert time.monotonic() - began_s < 5
    assert handle.poll() is None
