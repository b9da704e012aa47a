"""The audit log under SIGKILL, rivals and disks that refuse: what was acknowledged is there, in a sound chain."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.core.audit import AuditLog, entries, verify
from tests.unit.core.audit_logs import kinds_in, make_log

# Appends without end, or as often as it is told to, and prints number and hash once an entry was acknowledged.
WRITER = """
import sys
from pathlib import Path
from heeler.core.audit import AuditLog

log, person, count = AuditLog(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
while count:
    entry = log.append(person, "answer", "query", padding="x" * 2000)
    print(entry.number, entry.sha256, flush=True)
    count -= 1
"""

# For every n: a child that appends three times and is killed at its n-th step on the disk. A step is a call of any of
# these functions: done in half, or not at all, or done whole. The child tells what was acknowledged through a file.
KILLED_AT_EACH = """
import os, signal, sys
from pathlib import Path
from heeler.core.audit import AuditLog

STEPS = ("pwrite", "fsync", "replace", "ftruncate", "unlink", "open")

def armed(at, moment):
    count = 0
    def wrap(name):
        real = getattr(os, name)
        def step(*arguments, **named):
            nonlocal count
            count += 1
            if count == at and moment == "half" and name == "pwrite":
                real(arguments[0], arguments[1][:len(arguments[1]) // 2], arguments[2])
            if count == at and moment == "after":
                real(*arguments, **named)
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        setattr(os, name, step)
    for name in STEPS:
        wrap(name)

def appends(folder, at, moment):
    told = (folder / "told").open("w", buffering=1)
    log = AuditLog(folder / "audit.jsonl")
    armed(at, moment)
    for _ in range(3):
        entry = log.append("p-1", "answer")
        print(entry.number, entry.sha256, file=told)

root, prepare, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
for at in range(1, 200):
    folder = root / str(at)
    folder.mkdir()
    if prepare != "empty":
        AuditLog(folder / "audit.jsonl").append("p-0", "start")
    if prepare == "torn":
        with (folder / "audit.jsonl").open("ab") as file:
            file.write(b'{"act":"answ')
    child = os.fork()
    if child == 0:
        appends(folder, at, moment)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(at)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def run(script: str, *arguments: object) -> str:
    process = start(script, *arguments)
    output = ended(process)
    assert process.returncode == 0
    return output


def ended(process: subprocess.Popen[str]) -> str:
    """What else it prints until its end. (`communicate` would lose what has been read ahead.)"""
    with process:
        return process.stdout.read()


def begin(*writers: subprocess.Popen[str]) -> None:
    """Let them go at the same moment."""
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()


def acknowledged(output: str) -> dict[int, str]:
    # The last line of a killed process may be torn; the entry is there, but nobody was told.
    lines = (line.split() for line in output.splitlines(keepends=True) if line.endswith("\n"))
    return {int(number): sha256 for number, sha256 in lines}


def check_holds(path: Path, told: dict[int, str]) -> None:
    """All that was acknowledged is there, and nothing is wrong but a torn end."""
    assert kinds_in(path) <= {"torn"}
    kept = {entry.number: entry.sha256 for entry in entries(path, after=0, limit=10**6)}
    assert {number: kept.get(number) for number in told} == told


def test_two_processes_may_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    writers = [start(WRITER, path, f"p-{place}", 200) for place in range(2)]
    begin(*writers)
    told = [acknowledged(ended(writer)) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(own) for own in told] == [200, 200]
    report = verify(path)
    assert (report.num_entries, report.problems) == (400, ())
    check_holds(path, told[0] | told[1])
    persons = [entry.person for entry in entries(path, after=0, limit=1000)]
    assert [persons.count(person) for person in ("p-0", "p-1")] == [200, 200]
    # They took turns: neither waited for the other to be done.
    assert sum(a != b for a, b in itertools.pairwise(persons)) >= 10


def test_every_acknowledged_entry_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    moments = random.Random(0)
    told: dict[int, str] = {}
    for attempt in range(12):
        writers = [start(WRITER, path, f"p-{attempt}-{place}", -1) for place in range(2)]
        begin(*writers)
        first = [writer.stdout.readline() for writer in writers]
        time.sleep(moments.uniform(0, 0.1))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for line, writer in zip(first, writers, strict=True):
            told |= acknowledged(line + ended(writer))
            assert writer.returncode == -signal.SIGKILL
        check_holds(path, told)
    assert len(told) >= 2 * 12
    AuditLog(path).append("p-1", "stop")
    report = verify(path)
    assert report.problems == ()
    # Two for each kill whose acknowledgement was on its way, a note for each torn line, and the last.
    assert report.num_entries <= len(told) + 12 * 3 + 1


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("prepare", ["empty", "sound", "torn"])
def test_killed_at_every_step(tmp_path: Path, prepare: str, moment: str) -> None:
    num_steps = int(run(KILLED_AT_EACH, tmp_path, prepare, moment))
    assert 20 <= num_steps < 199
    num_torn = 0
    for at in range(1, num_steps + 1):
        folder = tmp_path / str(at)
        path = folder / "audit.jsonl"
        told = acknowledged((folder / "told").read_text())
        assert len(told) == 3 or at < num_steps
        check_holds(path, told)
        num_torn += not verify(path).is_sound
        before = verify(path).num_entries
        entry = AuditLog(path).append("p-2", "stop")
        check_holds(path, told | {entry.number: entry.sha256})
        assert verify(path).problems == ()
        acts = [entry.act for entry in entries(path, after=0, limit=100)]
        torn = sorted(file.name for file in folder.glob("audit.torn-*"))
        # Each torn line is in a file of its own and told once, whenever the kill came.
        assert acts.count("audit.torn") == len(torn)
        assert len(acts) - before in (1, 2)
        assert acts.count("answer") - len(told) in (0, 1)
        assert not [file.name for file in folder.iterdir() if file.name.endswith(".tmp")]
        if prepare == "torn":
            assert (folder / "audit.torn-2").read_bytes().startswith(b'{"act":"answ')
    assert num_torn >= {"empty": 0, "sound": 0, "torn": 3}[prepare] + (3 if moment == "half" else 0)


# The kernel refuses every write beyond the limit, as it would on a disk that is full.
FULL_DISK = """
import resource, sys
from pathlib import Path
from heeler.core.audit import AuditLog, verify
from heeler.core.errors import RunError

log = AuditLog(Path(sys.argv[1]))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
number = log.append("p-1", "answer").number
resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + int(sys.argv[2]), limits[1]))
try:
    while True:
        number = log.append("p-1", "answer").number
except RunError as error:
    print(error)
print(number, *verify(log.path).problems)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
print(log.append("p-1", "answer").number)
"""


@pytest.mark.parametrize("room", [0, 1, 100, 2000])
def test_a_full_disk_leaves_the_chain_valid(tmp_path: Path, room: int) -> None:
    path = tmp_path / "audit.jsonl"
    message, number, after = run(FULL_DISK, path, room).splitlines()
    assert message == f"cannot write {path}: File too large; make it writable and free some space"
    assert int(after) == int(number) + 1
    assert (int(number) > 1) == (room == 2000)
    report = verify(path)
    assert (report.num_entries, report.problems) == (int(after), ())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.head", "audit.jsonl"]


# Everything is imported before rights are given up, as the interpreter's own files may be out of reach afterwards.
UNPRIVILEGED = """
import os, sys
from pathlib import Path
from heeler.core.audit import AuditLog, entries, verify
from heeler.core.errors import RunError

path = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(verify(path).is_sound, len(entries(path, after=0, limit=9)))
try:
    AuditLog(path).append("p-1", "stop")
except RunError as error:
    print(error)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that a user without rights can reach; pytest's own cannot be entered by others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("writable", ["nothing", "audit.jsonl"])
def test_a_read_only_log_is_read_and_left_as_it_was(public_folder: Path, writable: str) -> None:
    """Where only the log can be written, its head cannot: the line is taken back."""
    path = make_log(public_folder, 3).path
    for file in public_folder.iterdir():
        file.chmod(0o666 if file.name == writable else 0o444)
    public_folder.chmod(0o555)
    before = {file.name: file.read_bytes() for file in public_folder.iterdir()}
    state, message = run(UNPRIVILEGED, path).splitlines()
    assert state == "True 3"
    refused = path if writable == "nothing" else path.with_name("audit.head")
    assert message.startswith(f"cannot write {refused}: Permission denied; ")
    assert {file.name: file.read_bytes() for file in public_folder.iterdir()} == before
