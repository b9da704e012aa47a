"""The audit log: who did what, in a file of which no line can be changed or taken out unseen.

Each line carries the SHA-256 of the one before (`audit_entry` says how), so that a change breaks the chain at its
place. That the end was not cut is shown by `audit.head` beside it, which names the newest entry. The line is flushed
first, the head after it: a crash in between leaves the log one entry ahead of its head, never behind, and the next
writer puts the head right before it adds anything. An entry is acknowledged when `AuditLog.append` returns.

Entries carry the ids of persons, never names or addresses. What an id stands for is kept elsewhere, and can be removed
there without touching the chain.

A chain without a secret is evidence, not a lock: who may write to both files can add entries, and can write the whole
chain anew. `verify` takes a hash that was written down elsewhere, and that such a chain does not have.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from heeler.core.audit_check import AuditProblem, AuditReport, verify
from heeler.core.audit_entry import GENESIS, AuditEntry, make_entry, parse
from heeler.core.audit_file import Head, Snapshot, head_path, locked, read_head, snapshot, write_head
from heeler.core.errors import ConfigError, RunError
from heeler.core.lines import line_start
from heeler.core.rundir import write_atomically

__all__ = [
    "AUDIT_NAME",
    "GENESIS",
    "AuditEntry",
    "AuditLog",
    "AuditProblem",
    "AuditReport",
    "entries",
    "newest_number",
    "verify",
]

AUDIT_NAME = "audit.jsonl"
"""Of the log in a run's directory."""

ITSELF = "heeler"
"""Who stands as the person where the log writes about itself."""


class AuditLog:
    """Adds entries to an audit log; any number of threads, processes and other `AuditLog`s may do so at once.

    Every append takes the file's lock, reads the true end, writes one line and flushes it and the head to the disk. So
    it takes milliseconds, not microseconds: it is for acts of people and of the learner, not for steps.

    What a crash left of a line that it cut short goes to `audit.torn-N` before the next entry, and entry N says so.

    Args:
        path: of the file, mostly `audit.jsonl` of a run; made by the first append.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = AuditLog(Path(folder) / "audit.jsonl")
    ...     entry = log.append("p-7", "release.promote", "release-3", gate="passed")
    ...     verify(log.path, expected_head=entry.sha256).is_sound
    True
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, person: str, act: str, subject: str = "", **details: Any) -> AuditEntry:
        """Write that `person` did `act` to `subject`. When this returns, the entry survives a power cut.

        Args:
            person: the id of who did it; for what no person did, the program's part, such as `learner`.
            act: what was done, in a word such as `release.promote`.
            subject: the id of what it was done to.
            details: plain JSON values. No names, addresses or secrets: nothing can be taken out later.

        Raises:
            DataError: an argument is not what it should be; nothing was written.
            RunError: the disk is full, read-only or failing, or the log has been tampered with. The chain stays valid
                as it was. Where the disk failed in the very last step the entry may be there all the same.
        """
        make_entry(person, act, subject, details, number=1, previous=GENESIS)
        with self._writing() as descriptor:
            head = self._true_head(descriptor)
            if self._aside(head).exists():
                head = self._write(descriptor, head, self._note(head))
            entry = self._entry(head, person, act, subject, details)
            self._write(descriptor, head, entry)
        return entry

    @contextmanager
    def _writing(self) -> Generator[int]:
        try:
            # Where there is a head there is a log; an empty one must not take the place of one that was removed.
            flags = os.O_RDWR if head_path(self.path).exists() else os.O_RDWR | os.O_CREAT
            with locked(self.path, flags, fcntl.LOCK_EX) as descriptor:
                yield descriptor
        except OSError as error:
            if error.errno == errno.ENOENT and head_path(self.path).exists():
                _refuse(self.path, "the file is missing")
            raise RunError(
                f"cannot write {self.path}: {error.strerror or error}; make it writable and free some space"
            ) from error

    def _true_head(self, descriptor: int) -> Head:
        """The newest entry; a torn line after it is put aside.

        Raises:
            RunError: the log does not end as its head says, and no crash explains it.
        """
        head = read_head(self.path)
        if head is None:
            _refuse(self.path, f"{head_path(self.path).name} is damaged")
        size = os.fstat(descriptor).st_size
        if size < head.size:
            _refuse(self.path, f"entry {head.number} is the newest by {head_path(self.path).name}, and it is cut off")
        if head.number:
            start = line_start(descriptor, head.size - 1)
            newest = parse(os.pread(descriptor, head.size - 1 - start, start))
            if newest is None or (newest.number, newest.sha256) != (head.number, head.sha256):
                _refuse(self.path, f"entry {head.number} is not where {head_path(self.path).name} has it")
        rest = os.pread(descriptor, size - head.size, head.size)
        return self._after_crash(descriptor, head, rest) if rest else head

    def _after_crash(self, descriptor: int, head: Head, rest: bytes) -> Head:
        """Deal with what stands after the head's entry: a whole line that the head lacks, or a piece of one."""
        line, newline, more = rest.partition(b"\n")
        entry = parse(line) if newline else None
        if more and not head.number:
            _refuse(self.path, f"{head_path(self.path).name} is missing")
        if more or (entry is not None and (entry.number, entry.previous) != (head.number + 1, head.sha256)):
            _refuse(self.path, f"something was added after entry {head.number}")
        # What was being written aside when a process was killed.
        for leftover in self.path.parent.glob(f".{self.path.stem}.*.tmp"):
            leftover.unlink()
        if entry is not None:
            # Who wrote the line may have been killed before it was flushed.
            os.fsync(descriptor)
            head = Head(number=entry.number, sha256=entry.sha256, size=head.size + len(rest))
            write_head(self.path, head)
            return head
        aside = self._aside(head)
        earlier = aside.read_bytes() if aside.exists() else b""
        # A crash between these two steps brings the same piece here again.
        if not earlier.endswith(rest):
            write_atomically(aside, earlier + rest)
        os.ftruncate(descriptor, head.size)
        return head

    def _aside(self, head: Head) -> Path:
        """Where a torn line goes that was to follow `head`; once it is there, the next entry tells of it."""
        return self.path.with_suffix(f".torn-{head.number + 1}")

    def _note(self, head: Head) -> AuditEntry:
        """The entry that tells what was put aside."""
        aside = self._aside(head)
        torn = aside.read_bytes()
        told = {"file": aside.name, "num_bytes": len(torn), "sha256_of_file": hashlib.sha256(torn).hexdigest()}
        return self._entry(head, ITSELF, "audit.torn", self.path.name, told)

    def _entry(self, head: Head, person: str, act: str, subject: str, details: dict[str, Any]) -> AuditEntry:
        return make_entry(person, act, subject, details, number=head.number + 1, previous=head.sha256)

    def _write(self, descriptor: int, head: Head, entry: AuditEntry) -> Head:
        line = entry.line()
        after = Head(number=entry.number, sha256=entry.sha256, size=head.size + len(line))
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(descriptor, line[written:], head.size + written)
            os.fsync(descriptor)
            write_head(self.path, after)
        except BaseException:
            # What the caller is not told of must not stand there, unless the head knows it already.
            with suppress(OSError):
                if read_head(self.path) == head:
                    os.ftruncate(descriptor, head.size)
                    os.fsync(descriptor)
            raise
        return after


def entries(path: Path, *, after: int, limit: int) -> list[AuditEntry]:
    """A page of the log: the first `limit` entries whose number is above `after`, in order.

    Only some lines are read, however long the file is. What is returned is whole and chained; the rest of the file is
    looked at by `verify` alone.

    Args:
        path: of the log; an empty page where it is not there yet.
        after: the last number of the page before, 0 for the first page.
        limit: how many at most.

    Raises:
        ConfigError: `after` or `limit` is out of range.
        RunError: the log cannot be read or is damaged there.
    """
    if after < 0 or limit < 1:
        raise ConfigError(f"after must be >= 0 and limit >= 1, got {after} and {limit}")
    with snapshot(path) as shot:
        if _newest(path, shot) <= after:
            return []
        start = _offset(path, shot, after + 1)
        page = [parse(line) for line in islice(shot.lines(start), limit)]
    found: list[AuditEntry] = []
    for number, entry in enumerate(page, after + 1):
        follows = not found or (entry is not None and entry.previous == found[-1].sha256)
        if entry is None or entry.number != number or not follows:
            _refuse(path, f"line {number} is damaged")
        found.append(entry)
    return found


def newest_number(path: Path) -> int:
    """The number of the newest entry; 0 where there is none yet.

    Raises:
        RunError: the log cannot be read, or its end is damaged or cut.
    """
    with snapshot(path) as shot:
        return _newest(path, shot)


def _newest(path: Path, shot: Snapshot) -> int:
    number = 0
    if shot.end:
        last = parse(next(shot.lines(line_start(shot.descriptor, shot.end - 1))))
        number = _refuse(path, "its last line is damaged") if last is None else last.number
    if shot.head is None or shot.head.number > number:
        _refuse(path, f"it does not end as {head_path(path).name} says")
    return number


def _offset(path: Path, shot: Snapshot, number: int) -> int:
    """Where the line of entry `number` begins, by bisection."""
    low, high = 0, shot.end
    while low < high:
        start = line_start(shot.descriptor, (low + high) // 2)
        line = next(shot.lines(start))
        entry = parse(line)
        if entry is None:
            _refuse(path, f"the line from byte {start:,} on is damaged")
        if entry.number < number:
            low = start + len(line) + 1
        else:
            high = start
    return low


def _refuse(path: Path, reason: str) -> NoReturn:
    raise RunError(
        f"{path}: {reason}; `heeler audit verify` names everything that is wrong. Put the log and its head back from a "
        "copy, or move both away to begin a new log"
    )
