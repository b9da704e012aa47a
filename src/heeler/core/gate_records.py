"""What a gate decided about a checkpoint, and all that it was decided on: files that cannot be altered unseen.

`gates/SHA256.json` in the run's directory is one record, named by the SHA-256 of its bytes. A release carries that
name, so that a record which was changed, or put in another's place, is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from heeler.core.errors import CheckpointError, RunError
from heeler.core.rundir import RunDirectory, write_atomically

FOLDER = "gates"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class GateRecord:
    """One decision of a gate."""

    candidate_sha256: str
    """Of the candidate's checkpoint."""
    current_sha256: str | None
    """Of the checkpoint of the release that it was compared with; None where no release was in use."""
    passed: bool
    reasons: tuple[str, ...]
    """In plain words."""
    details: Mapping[str, Any]
    """What was decided on, in plain JSON types: settings, suites, scores."""

    @cached_property
    def content(self) -> bytes:
        """Its file."""
        values = {"format": _FORMAT, **asdict(self)}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @cached_property
    def sha256(self) -> str:
        """Of its file: its name."""
        return hashlib.sha256(self.content).hexdigest()


class GateRecords:
    """The gate's records of one run.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.path = directory.path / FOLDER

    def keep(self, record: GateRecord) -> None:
        """Write a record; the same again changes nothing.

        Raises:
            RunError: the disk is full or read-only; nothing was written.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.path} cannot be made: {error.strerror or error}") from error
        path = self._file(record.sha256)
        if not path.exists() or path.read_bytes() != record.content:
            write_atomically(path, record.content)

    def get(self, sha256: str) -> GateRecord:
        """The record of that name.

        Raises:
            CheckpointError: there is none, or it was altered.
        """
        path = self._file(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise CheckpointError(f"the gate's record {path} is gone; put it back from a copy") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise CheckpointError(f"the gate's record {path} was altered: its SHA-256 is not its name")
        return _parsed(content, path)

    def all(self) -> list[GateRecord]:
        """Every record, the oldest file first.

        Raises:
            CheckpointError: one was altered.
        """
        if not self.path.is_dir():
            return []
        # A gate that is not decided yet keeps its scores in hidden files.
        found = [path for path in self.path.glob("*.json") if not path.name.startswith(".")]
        found.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [self.get(path.stem) for path in found]

    def _file(self, sha256: str) -> Path:
        return self.path / f"{sha256}.json"


def _parsed(content: bytes, path: Path) -> GateRecord:
    try:
        fields = json.loads(content)
        if fields.pop("format") != _FORMAT:
            raise ValueError("it is of another format")
        return GateRecord(**fields | {"reasons": tuple(fields["reasons"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the gate's record {path} cannot be read ({error})") from error
