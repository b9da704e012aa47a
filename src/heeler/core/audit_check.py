"""Whether an audit log is what was written, and where it is not."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from heeler.core.audit_entry import GENESIS, parse
from heeler.core.audit_file import Head, Snapshot, head_path, snapshot
from heeler.core.errors import ConfigError

Kind = Literal["changed", "cut at the end", "cut in the middle", "reordered", "inserted", "torn", "head", "other head"]


@dataclass(frozen=True, kw_only=True)
class AuditProblem:
    """One thing that is wrong."""

    kind: Kind
    """`torn` is a line cut short, as a crash leaves it; `head` that `audit.head` itself is missing or damaged;
    `other head` that the chain lacks the hash that was expected. The rest is what was done to lines."""
    line: int | None
    """In the file, from 1 on; where something is missing, the line that it should stand in. None for `audit.head`."""
    message: str

    def __str__(self) -> str:
        return f"{'' if self.line is None else f'line {self.line}: '}{self.kind}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What `verify` found."""

    num_entries: int
    """Lines that are as they were written, whether they stand in their place or not."""
    head: str
    """SHA-256 of the newest entry; `GENESIS` where there is none."""
    problems: tuple[AuditProblem, ...]
    expected_number: int | None = None
    """The number of the entry that has the expected hash."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"is_sound": self.is_sound, **asdict(self), "problems": [asdict(problem) for problem in self.problems]}


@dataclass(frozen=True)
class _Link:
    """An entry and where it stands: line `place`, which ends at byte `end`."""

    place: int
    end: int
    number: int
    previous: str
    sha256: str


@dataclass(frozen=True)
class _Lines:
    """The lines of a file, sorted out."""

    chain: Sequence[_Link]
    """The longest row of entries with rising numbers, after a beginning with number 0."""
    strays: Sequence[_Link]
    """Entries that are whole but not in that row."""
    broken: Sequence[int]
    """Lines that are no entries."""
    count: int

    def absent(self, after: int, before: int) -> int:
        """How many numbers between two are nowhere in the file."""
        if before == after + 1:
            return 0
        return before - after - 1 - len({link.number for link in self.strays if after < link.number < before})

    def broken_between(self, after: int, before: int) -> Sequence[int]:
        return self.broken[bisect_left(self.broken, after) : bisect_left(self.broken, before)]


def verify(path: Path, *, expected_head: str | None = None) -> AuditReport:
    """Look at every byte of an audit log and of its head.

    A log that is one entry ahead of its head is sound: a crash leaves it so. One that is not there at all is empty.

    The files are judged by each other, so who can rewrite both deceives this: they can write a whole new chain, add
    entries to its end, or remove both files, and nothing is found wrong. Against that, write down a head hash now and
    then where they cannot reach it, and give it as `expected_head`: if it is in the chain, everything up to that entry
    is what it was. It may be an old one, since a log grows; what came after it is not covered.

    Args:
        path: of the log, mostly `audit.jsonl` of a run.
        expected_head: 64 hexadecimal digits that an `AuditReport.head` once was.

    Raises:
        ConfigError: `expected_head` is no SHA-256.
        RunError: a file cannot be read.
    """
    wanted = None if expected_head is None else expected_head.strip().lower()
    if wanted is not None and (len(wanted) != 64 or set(wanted) - set("0123456789abcdef")):
        raise ConfigError(f"expected head must be a SHA-256 of 64 hexadecimal digits, got {expected_head!r}")
    with snapshot(path) as shot:
        lines = _sorted_out(shot)
    name = head_path(path).name
    problems = [*_strays(lines), *_breaks(lines), *_end(lines, shot, name)]
    if shot.head is not None and all(problem.kind == "torn" for problem in problems):
        # Otherwise what is wrong with the lines explains it.
        problems += _size(lines, shot.head, name)
    number = next((link.number for link in lines.chain if link.sha256 == wanted), None)
    if wanted is not None and number is None:
        message = f"no entry of the chain has the hash {wanted}: the chain was cut before it, or written anew"
        problems.append(AuditProblem(kind="other head", line=None, message=message))
    problems.sort(key=lambda problem: (problem.line is None, problem.line))
    num_entries = len(lines.chain) - 1 + len(lines.strays)
    return AuditReport(
        num_entries=num_entries, head=lines.chain[-1].sha256, problems=tuple(problems), expected_number=number
    )


def _sorted_out(shot: Snapshot) -> _Lines:
    links: list[_Link] = []
    broken: list[int] = []
    place = end = 0
    for place, line in enumerate(shot.lines(), 1):
        end += len(line) + 1
        entry = parse(line)
        if entry is None:
            broken.append(place)
        else:
            links.append(_Link(place, end, entry.number, entry.previous, entry.sha256))
    rising = _longest_rising([link.number for link in links])
    strays = [link for index, link in enumerate(links) if index not in rising]
    chain = [_Link(0, 0, 0, "", GENESIS), *(links[index] for index in sorted(rising))]
    return _Lines(chain, strays, broken, place)


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Places of a longest strictly rising row, so that as few lines as can be are called out of place.

    >>> sorted(_longest_rising([1, 4, 3, 2, 5]))
    [0, 3, 4]
    """
    ends: list[int] = []  # ends[n]: the smallest number that a row of n + 1 ends in, and at which place
    places: list[int] = []
    before: list[int | None] = []
    for place, number in enumerate(numbers):
        length = bisect_left(ends, number)
        ends[length : length + 1] = [number]
        places[length : length + 1] = [place]
        before.append(places[length - 1] if length else None)
    row: set[int] = set()
    place = places[-1] if places else None
    while place is not None:
        row.add(place)
        place = before[place]
    return row


def _strays(lines: _Lines) -> Iterator[AuditProblem]:
    in_chain = {link.number: link for link in lines.chain}
    for link in lines.strays:
        twin = in_chain.get(link.number)
        if twin is None:
            yield AuditProblem(kind="reordered", line=link.place, message=f"entry {link.number} does not belong here")
        else:
            which = "the same" if twin.sha256 == link.sha256 else "another"
            message = f"{which} entry {link.number} stands in line {twin.place} too"
            yield AuditProblem(kind="inserted", line=link.place, message=message)


def _breaks(lines: _Lines) -> Iterator[AuditProblem]:
    """What is wrong between one entry of the chain and the next."""
    for a, b in pairwise(lines.chain):
        absent, broken = lines.absent(a.number, b.number), lines.broken_between(a.place, b.place)
        if b.number == a.number + 1 and b.previous != a.sha256:
            before = "the beginning" if a.place == 0 else f"line {a.place}"
            message = f"`previous` of entry {b.number} is not the hash of {before}: one of the two was written anew"
            yield AuditProblem(kind="changed", line=b.place, message=message)
        yield from _damaged(broken, absent, a.number + 1, b.number - 1)
        if absent > len(broken):
            message = f"{_missing(absent - len(broken), a.number + 1, b.number - 1)} before this"
            yield AuditProblem(kind="cut in the middle", line=b.place, message=message)


def _damaged(broken: Sequence[int], absent: int, first: int, last: int) -> Iterator[AuditProblem]:
    for place in broken:
        if absent:
            which = f"entry {first}" if first == last else f"one of the entries {first} to {last}"
            yield AuditProblem(kind="changed", line=place, message=f"this was {which}; it does not match its SHA-256")
        else:
            yield AuditProblem(kind="inserted", line=place, message="this is no entry, and none is missing here")


def _missing(count: int, first: int, last: int) -> str:
    if first == last:
        return f"entry {first} is missing"
    which = "entries" if count == last - first + 1 else f"{count} of the entries"
    return f"{which} {first} to {last} are missing"


def _end(lines: _Lines, shot: Snapshot, name: str) -> Iterator[AuditProblem]:
    """How the log ends, and how it should by its head."""
    last = lines.chain[-1]
    if shot.torn:
        message = f"{len(shot.torn):,} bytes without an end; the next append puts them aside"
        if shot.head is not None and shot.head.number > last.number:
            message = f"{len(shot.torn):,} bytes are left of a line that was whole"
        yield AuditProblem(kind="torn", line=lines.count + 1, message=message)
    broken = lines.broken_between(last.place, lines.count + 1)
    if shot.head is None:
        yield AuditProblem(kind="head", line=None, message=f"{name} is damaged")
    known = last.number if shot.head is None else shot.head.number
    absent = max(0, lines.absent(last.number, known + 1))
    if len(broken) == 1 and not absent and known == last.number and not shot.torn:
        message = "a line that no append came to the end of; the next one puts it aside"
        yield AuditProblem(kind="torn", line=broken[0], message=message)
    else:
        yield from _damaged(broken, absent, last.number + 1, known)
    if absent > len(broken):
        message = f"{_missing(absent - len(broken), last.number + 1, known)}; {name} knows entry {known}"
        yield AuditProblem(kind="cut at the end", line=lines.count + 1, message=message)
    if shot.head is not None:
        yield from _against_head(lines, shot.head, name)


def _size(lines: _Lines, head: Head, name: str) -> Iterator[AuditProblem]:
    end = lines.chain[head.number].end
    if end != head.size:
        message = f"{name} has entry {head.number} end at byte {head.size:,}, it ends at {end:,}"
        yield AuditProblem(kind="head", line=None, message=message)


def _against_head(lines: _Lines, head: Head, name: str) -> Iterator[AuditProblem]:
    last = lines.chain[-1]
    known = next((link for link in lines.chain if link.number == head.number), None)
    if known is not None and known.sha256 != head.sha256:
        message = f"entry {head.number} is not the one that {name} knows"
        yield AuditProblem(kind="changed", line=known.place, message=message)
    if last.number > head.number + 1 and head.number == 0:
        message = f"{name} is missing; it is written with every entry"
        yield AuditProblem(kind="head", line=None, message=message)
    elif last.number > head.number + 1:
        message = f"{name} knows no entry after {head.number}, but the log goes on to {last.number}"
        yield AuditProblem(kind="inserted", line=lines.count, message=message)
