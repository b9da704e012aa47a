"""One line of the audit log: its fields, its canonical JSON and its hash. Nothing here touches a disk.

Canonical JSON is ASCII, with sorted keys and no spaces, so that every entry has one form only. A line's `sha256` is
that of the line without this field; its `previous` is the `sha256` of the line before, and `GENESIS` in the first line.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from heeler.core.errors import DataError

GENESIS = "0" * 64
"""What the first line has for `previous`."""

MAX_LINE_BYTES = 65_536
"""The longest line that is written."""

MAX_PERSON_CHARACTERS = 200

_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int,),
    "unix_s": (int, float),
    "person": (str,),
    "act": (str,),
    "subject": (str,),
    "details": (dict,),
    "previous": (str,),
    "sha256": (str,),
}


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """Who did what to what."""

    number: int
    """From 1 on, without gaps. It gives the order; the clock does not."""
    unix_s: float
    """What the clock said, in Unix seconds; it may jump."""
    person: str
    """The person's id, never a name or an address."""
    act: str
    subject: str
    """What it was done to; empty where there is no such thing."""
    details: Mapping[str, Any]
    """Plain JSON values by name."""
    previous: str
    """`sha256` of the entry before."""
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def line(self) -> bytes:
        """As it stands in the file, its newline included."""
        return canonical(self.to_dict()) + b"\n"


def make_entry(
    person: str, act: str, subject: str, details: Mapping[str, Any], *, number: int, previous: str
) -> AuditEntry:
    """The entry with its hash, at the time that the clock says now.

    Raises:
        DataError: a field is not what it should be (named in the message).
    """
    _check_words(person, act, subject)
    fields: dict[str, Any] = {"number": number, "unix_s": round(time.time(), 6), "previous": previous}
    fields |= {"person": person, "act": act, "subject": subject, "details": _plain(details)}
    entry = AuditEntry(**fields, sha256=_sha256(fields))
    if len(entry.line()) > MAX_LINE_BYTES:
        raise DataError(
            f"details: the line would have {len(entry.line()):,} bytes, at most {MAX_LINE_BYTES:,} are written; "
            "keep what is long elsewhere, and its SHA-256 here"
        )
    return entry


def parse(line: bytes) -> AuditEntry | None:
    """The entry of a line without its newline; None where a byte of it is not as it was written."""
    try:
        row = json.loads(line)
        # What is equal as JSON but written otherwise has been touched too.
        if not isinstance(row, dict) or canonical(cast(dict[str, Any], row)) != line:
            return None
    except (ValueError, RecursionError):
        return None
    row = cast(dict[str, Any], row)
    # `type` and not `isinstance`: true is no number.
    if row.keys() != _TYPES.keys() or any(type(row[name]) not in types for name, types in _TYPES.items()):
        return None
    hashed = {name: value for name, value in row.items() if name != "sha256"}
    return AuditEntry(**row) if _sha256(hashed) == row["sha256"] and row["number"] > 0 else None


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one form in which a value is hashed and written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _sha256(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(fields)).hexdigest()


def _check_words(person: str, act: str, subject: str) -> None:
    for name, value in (("person", person), ("act", act), ("subject", subject)):
        # It may come from outside, where no types are checked.
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(f"{name}: expected text, got {type(value).__name__}")
    if not act:
        raise DataError("act: expected a word for what was done, got an empty text")
    if not person or len(person) > MAX_PERSON_CHARACTERS or "@" in person or any(map(str.isspace, person)):
        # What came is not repeated: it may be a name or an address.
        raise DataError(
            f"person: expected an id of 1 to {MAX_PERSON_CHARACTERS} characters without spaces or @ "
            f"(names and addresses do not belong here), got {len(person)} characters"
        )


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details as they come back from a file."""
    try:
        text = canonical(details)
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"details: expected plain JSON values and finite numbers, got another ({error})") from error
    if canonical(plain) != text:
        raise DataError("details: expected mappings with text for keys, got one with other keys")
    return plain
