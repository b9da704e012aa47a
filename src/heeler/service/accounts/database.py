"""people.db, and the one way to change it: within a transaction whose line in the audit log comes before its commit."""

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from heeler.core.errors import StoreError
from heeler.feedback.database import Database, Migrations
from heeler.service.accounts.schema import VERSION_TABLE, generation
from heeler.service.audit import Audit

PEOPLE = Migrations(
    folder=Path(__file__).with_name("migrations"),
    version_table=VERSION_TABLE,
    noun="people's database",
    example="the people.db of a folder of runs",
)
FILE_NAME = "people.db"


class AccountsDatabase:
    """The open database of people.

    Args:
        path: of people.db; made where it is missing, for its owner's eyes alone.
        audit: takes a line for every change.

    Raises:
        StoreError: it cannot be opened or written.
    """

    def __init__(self, path: Path, audit: Audit) -> None:
        try:
            # SQLite gives its other files the permissions of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"people's database {path}: {error.strerror or error}") from error
        self._files = (str(path), f"{path}-wal")
        self._database = Database(path, PEOPLE)
        self._audit = audit
        self._on_change: list[Callable[[], None]] = []

    def on_change(self, forget: Callable[[], None]) -> None:
        """Have `forget` called after each change, for what was remembered of people."""
        self._on_change.append(forget)

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one state."""
        return self._database.reading()

    @contextmanager
    def changing(self, person: str, act: str, subject: str, **details: Any) -> Generator[Connection]:
        """A transaction that is committed on leaving, after its line was written to the audit log.

        Args:
            person: who does it.
            act: what it is.
            subject: the id of whom or what it is done to.
            details: plain JSON values; no names, addresses or secrets.
        """
        try:
            with self._database.writing() as connection:
                yield connection
                connection.execute(update(generation).values(number=generation.c.number + 1))
                self._audit.append(person, act, subject, **details)
        finally:
            for forget in self._on_change:
                forget()

    def stamp(self) -> tuple[tuple[int, int] | None, ...]:
        """Changes whenever anything is written to the database, by whomever; to look costs next to nothing."""
        return tuple(_stamp(name) for name in self._files)

    def generation(self) -> int:
        """Grows with every act, by whomever, and not with what is merely noted."""
        with self._database.reading() as connection:
            return connection.execute(select(generation.c.number)).scalar_one()

    def noting(self) -> AbstractContextManager[Connection]:
        """A transaction for what is no act of anybody: when something was last used, what ran out."""
        return self._database.writing()

    def scrub(self) -> None:
        """Leave nothing in the file of what a marked transaction removed.

        Raises:
            StoreError: the disk is full or fails, or others read it without pause.
        """
        self._database.scrub()

    def close(self) -> None:
        """Close it."""
        self._database.close()


def _stamp(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
