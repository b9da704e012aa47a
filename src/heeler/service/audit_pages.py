"""Audit logs as pages: the service's own and a run's, together, the newest entry first."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from heeler.core.audit import AuditEntry, entries, newest_number, verify
from heeler.service.bodies_operate import AuditCheckOut, AuditEntryOut, AuditPageOut
from heeler.service.problems import Problem

_AT_ONCE = 200
_MAX_LOOKED_AT = 5_000
"""Lines of one log that are looked at for one page; what was not found by then is on the next."""

Wanted = Callable[[AuditEntry], bool]


@dataclass(frozen=True, kw_only=True)
class AuditSource:
    """A log, and what of it belongs on the page."""

    name: str
    path: Path
    is_wanted: Wanted


@dataclass
class _Reader:
    """Reads one log from its newest entry back."""

    source: AuditSource
    before: int
    """Entries of lower numbers are still to come."""
    num_looked_at: int = 0

    def __post_init__(self) -> None:
        self._found = self._search()
        self.next: AuditEntry | None = next(self._found, None)

    @property
    def is_cut_short(self) -> bool:
        """Whether there may be more, which was not looked for."""
        return self.next is None and self.before > 1

    def take(self) -> AuditEntry:
        """The next entry, which is then behind."""
        entry = self.next
        assert entry is not None
        self.next = None
        self.before = entry.number
        self.next = next(self._found, None)
        return entry

    def _search(self) -> Iterator[AuditEntry]:
        below = self.before
        while below > 1 and self.num_looked_at < _MAX_LOOKED_AT:
            after = max(0, below - 1 - _AT_ONCE)
            page = entries(self.source.path, after=after, limit=below - 1 - after)
            self.num_looked_at += len(page)
            for entry in reversed(page):
                if self.source.is_wanted(entry):
                    yield entry
            below = after + 1
        # What was not wanted is behind as well.
        self.before = below


def page(sources: list[AuditSource], *, cursor: str | None, limit: int) -> AuditPageOut:
    """Entries of all sources, the newest first. Each log stays in its own order, whatever the clock did.

    Raises:
        Problem: 422, the cursor is none of ours.
        RunError: a log cannot be read or is damaged there.
    """
    befores = _befores(sources, cursor)
    readers = [_Reader(source, before) for source, before in zip(sources, befores, strict=True)]
    items = [_out(reader.source.name, entry) for reader, entry in islice(_merged(readers), limit)]
    has_more = any(reader.next is not None or reader.is_cut_short for reader in readers)
    following = ".".join(str(reader.before) for reader in readers)
    return AuditPageOut(items=items, next=following if has_more else None, checks=None)


def _merged(readers: list[_Reader]) -> Iterator[tuple[_Reader, AuditEntry]]:
    while True:
        waiting = [(reader.next.unix_s, reader) for reader in readers if reader.next is not None]
        # Where a search was cut short, older entries of the other log may belong after what it would have found.
        if not waiting or any(reader.is_cut_short for reader in readers):
            return
        _, newest = max(waiting, key=lambda pair: pair[0])
        yield newest, newest.take()


def _befores(sources: list[AuditSource], cursor: str | None) -> list[int]:
    if cursor is None:
        return [newest_number(source.path) + 1 for source in sources]
    parts = cursor.split(".")
    if len(parts) != len(sources) or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise Problem(422, f"cursor: expected `next` of the page before, got {cursor!r}", field="cursor")
    return [min(int(part), newest_number(source.path) + 1) for part, source in zip(parts, sources, strict=True)]


def _out(log: str, entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut.model_validate({"log": log, **asdict(entry)})


class AuditChecks:
    """Verifies whole logs, one at a time, and again only once they have grown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[float, ...], AuditCheckOut]] = {}

    def check(self, source: AuditSource) -> AuditCheckOut:
        """Whether a log is as it was written.

        Raises:
            RunError: it cannot be read.
        """
        with self._lock:
            stamp = (*_stamp(source.path), *_stamp(source.path.with_suffix(".head")))
            known = self._known.get(source.path)
            if known is None or known[0] != stamp:
                report = verify(source.path)
                found = AuditCheckOut(
                    log=source.name,
                    is_sound=report.is_sound,
                    num_entries=report.num_entries,
                    head=report.head,
                    problems=[str(problem) for problem in report.problems[:20]],
                )
                self._known[source.path] = known = (stamp, found)
            return known[1]


def _stamp(path: Path) -> tuple[float, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_size


def without_answers(entry: AuditEntry) -> bool:
    """Whether an entry is of anything but answers, of which there are many."""
    return entry.act != "feedback.add"


def of_run(name: str) -> Wanted:
    """Whether an entry of the service's log is about this run."""
    return lambda entry: entry.subject == name or _named(entry.details) == name


def _named(details: Mapping[str, object]) -> object:
    return details.get("run")
