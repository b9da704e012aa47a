"""Audit logs for tests: made as `AuditLog` makes them, and made at once where there must be many lines."""

from pathlib import Path

from heeler.core.audit import GENESIS, AuditEntry, AuditLog, AuditReport, verify
from heeler.core.audit_entry import make_entry
from heeler.core.audit_file import Head, write_head


def make_log(folder: Path, num_entries: int = 4) -> AuditLog:
    """A small log, appended line by line."""
    log = AuditLog(folder / "audit.jsonl")
    for number in range(1, num_entries + 1):
        log.append(f"p-{number % 2}", "release.promote", f"release-{number}", gate="passed", returns=[number, 0.5])
    return log


def chain(num_entries: int, previous: str = GENESIS, first: int = 1, act: str = "budget.set") -> list[AuditEntry]:
    """Entries that follow one another, without a file."""
    entries: list[AuditEntry] = []
    for number in range(first, first + num_entries):
        entries.append(make_entry("p-1", act, "", {"budget": number}, number=number, previous=previous))
        previous = entries[-1].sha256
    return entries


def put(path: Path, entries: list[AuditEntry], num_known: int | None = None) -> None:
    """Write a log whole; its head knows the first `num_known` entries, all of them by default."""
    lines = [entry.line() for entry in entries]
    path.write_bytes(b"".join(lines))
    known = len(entries) if num_known is None else num_known
    if known:
        size = sum(map(len, lines[:known]))
        write_head(path, Head(number=known, sha256=entries[known - 1].sha256, size=size))


def kinds(report: AuditReport) -> set[str]:
    return {problem.kind for problem in report.problems}


def kinds_in(path: Path) -> set[str]:
    return kinds(verify(path))
