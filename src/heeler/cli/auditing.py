"""`heeler audit`: whether a run's audit log is sound, and what it says."""

import json as json_lines
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from heeler.cli.arguments import OK, USAGE, Json, Run, print_json, sub_command
from heeler.core.errors import ConfigError

if TYPE_CHECKING:
    from heeler.core.audit import AuditEntry, AuditReport

ExpectHead = Annotated[
    str | None, tyro.conf.arg(metavar="SHA", help="a head hash that you wrote down earlier; it must be in the chain")
]


def audit(arguments: Sequence[str]) -> int:
    """Check a run's audit log, or show it: heeler audit verify RUN, heeler audit show RUN."""
    return sub_command("audit", {"verify": verify, "show": show}, arguments, about=audit.__doc__ or "")


def verify(run: Run, *, expect_head: ExpectHead = None, json: Json = False) -> int:
    """Look at every byte of a run's audit log; exit code 2 where something is wrong, and each problem named.

    Who can write to the run can write its whole log anew. Write down the head hash that this prints where they cannot
    reach it, and give it the next time.

    Args:
        run: the run's directory; nothing in it is changed.
        expect_head: a head hash that you wrote down earlier; it must be in the chain.
        json: print the result as JSON.
    """
    from heeler.core.audit import verify as examine

    path = _log_of(run)
    report = examine(path, expected_head=expect_head)
    if json:
        print_json({"run": str(run), **report.to_dict()})
    elif report.is_sound:
        print(_sound_in_words(path, report))
    else:
        for problem in report.problems:
            print(f"heeler: {path}: {problem}", file=sys.stderr)
    return OK if report.is_sound else USAGE


def _sound_in_words(path: Path, report: "AuditReport") -> str:
    if not report.num_entries:
        return _nothing_yet(path)
    entries = "1 entry" if report.num_entries == 1 else f"{report.num_entries:,} entries"
    words = f"{path}: sound, {entries}\nhead {report.head}"
    if report.expected_number is not None:
        words += f"\nThe hash that you expected is that of entry {report.expected_number}."
    return words


def show(run: Run, *, last: int = 20, json: Json = False) -> int:
    """Print a run's newest audit entries, oldest first: number, time, person, act, subject and details.

    Args:
        run: the run's directory.
        last: how many entries at most.
        json: print the result as JSON.
    """
    from heeler.core.audit import entries, newest_number

    path = _log_of(run)
    if last < 1:
        raise ConfigError(f"--last must be >= 1, got {last}")
    shown = entries(path, after=max(0, newest_number(path) - last), limit=last)
    if json:
        print_json({"run": str(run), "entries": [entry.to_dict() for entry in shown]})
    else:
        print("\n".join(map(_in_words, shown)) if shown else _nothing_yet(path))
    return OK


def _log_of(run: Path) -> Path:
    from heeler.core.audit import AUDIT_NAME
    from heeler.core.rundir import RunDirectory

    # `heeler serve` keeps the log of a whole folder of runs in that folder.
    path = run / AUDIT_NAME
    return path if path.is_file() else RunDirectory.open(run).path / AUDIT_NAME


def _nothing_yet(path: Path) -> str:
    return f"{path}: there is no audit log yet; nothing was done in this run that is written there"


def _in_words(entry: "AuditEntry") -> str:
    details = json_lines.dumps(entry.details) if entry.details else ""
    words = (_printable(word) for word in (entry.person, entry.act, entry.subject, details) if word)
    return "  ".join((f"{entry.number:>6}", _time(entry.unix_s), *words))


def _printable(text: str) -> str:
    """Newlines and a terminal's control characters as escapes: no entry may look like two, or like another."""
    return text if text.isprintable() else ascii(text)


def _time(unix_s: float) -> str:
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):  # a clock that has lost its mind
        return f"{unix_s} s"
