"""Where the service writes who did what. Any object with `append` does; a file of JSON lines is here."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from heeler.core.errors import StoreError


class Audit(Protocol):
    """Keeps what people did."""

    def append(self, person: str, act: str, subject: str = "", **details: Any) -> object:
        """Write that `person` did `act` to `subject`; once it returns, the line survives a power cut.

        Args:
            person: the id of who did it; for what no person did, the program's part, such as `service`.
            act: what was done, in a word such as `people.add`.
            subject: the id of what it was done to.
            details: plain JSON values, no names, addresses or secrets.
        """
        ...


class FileAudit:
    """One JSON object a line, each flushed to the disk before `append` returns.

    Args:
        path: the file; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def append(self, person: str, act: str, subject: str = "", **details: Any) -> None:
        """Write a line.

        Raises:
            StoreError: the disk is full or read-only; no part of the line stays.
        """
        entry = {"unix_s": time.time(), "person": person, "act": act, "subject": subject, "details": details}
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                raise StoreError(f"audit log {self._path}: {error.strerror or error}; nothing was changed") from error

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            try:
                written = 0
                while written < len(line):
                    written += os.write(descriptor, line[written:])
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
