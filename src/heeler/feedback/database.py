"""The store's connections: one writer at a time, readers beside it, migrations on opening, errors in plain words."""

import fcntl
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from heeler.core.errors import StoreAway, StoreError
from heeler.feedback import postgres, scrubbing
from heeler.feedback.schema import VERSION_TABLE

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another before it gives up."""

_CACHE_KIB = 32 * 1024

_SQLITE_REASONS = {
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder is there and writable",
    sqlite3.SQLITE_PERM: "it may not be opened; check its permissions",
    sqlite3.SQLITE_FULL: "the disk is full; make room and go on (nothing of this write was kept)",
    sqlite3.SQLITE_IOERR: "the disk failed or is full; make room and go on (nothing of this write was kept)",
    sqlite3.SQLITE_BUSY: f"another program kept it locked for {BUSY_TIMEOUT_S:g} s; close that program",
    sqlite3.SQLITE_NOTADB: "it is not a heeler store; name the heeler.db of a run, or a new file",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a copy",
}


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """Where a kind of database gets its tables from."""

    folder: Path
    """Of Alembic: `env.py` and `versions/`."""
    version_table: str
    """Where the schema's revision is written; our own name, so that nobody else's database is taken for ours."""
    noun: str = "store"
    """What messages call such a database."""
    example: str = "the heeler.db of a run"
    """A file that is one, for messages."""


STORE = Migrations(folder=Path(__file__).with_name("migrations"), version_table=VERSION_TABLE)
"""A run's store."""


class Database:
    """A migrated database with one guarded writer connection and a pool of readers.

    On SQLite every write and the closing checkpoint also hold an advisory lock on `FILE.lock`: SQLite before 3.51.3 can
    damage a write-ahead log when two processes write or checkpoint at the same instant. The kernel drops the lock of a
    process that is killed. On PostgreSQL writers of all processes take turns as well, so that positions become visible
    in their order; a server that was started again is connected to again.

    Args:
        target: path of an SQLite file, or `postgresql://HOST/DATABASE`, or an SQLAlchemy URL of either.
        migrations: what kind of database it is.

    Raises:
        StoreError: it cannot be opened or written, is of another kind, or was written by a newer heeler.
    """

    def __init__(self, target: str | Path, migrations: Migrations = STORE) -> None:
        self._migrations = migrations
        self._url = url = _url(target)
        self.is_file = url.get_backend_name() == "sqlite"
        """Whether it is an SQLite file, and not on a server."""
        self.name = url.database if self.is_file and url.database else postgres.shown(url)
        self._closed = False
        self._thread_lock = threading.Lock()
        self._process_lock: _FileLock | None = None
        self._learner_lock: postgres.LearnerLock | None = None
        self._engines: list[Engine] = []
        try:
            with self._plain_errors():
                self._writer, self._readers = self._open_file(url) if self.is_file else self._open_server(url)
            self._engines += [self._readers, self._writer]
            with self.writing() as connection:
                _migrate(connection, migrations, self.name)
            # It is done again when it is needed, and must keep nobody out.
            with suppress(StoreError):
                self.scrub()
        except BaseException:
            self.close()
            raise

    def _open_file(self, url: URL) -> tuple[Engine, Engine]:
        path, lock = Path(self.name), Path(f"{self.name}.lock")
        # A new file beside somebody else's would already be a change; heeler's own stores have their lock beside them.
        if lock.exists():
            self._process_lock = _FileLock(lock)
        with self._alone():
            _refuse_foreign_file(path, self._migrations)
        self._process_lock = self._process_lock or _FileLock(lock)
        return _sqlite_engine(url, "BEGIN IMMEDIATE", writable=True), _sqlite_engine(url, "BEGIN", writable=False)

    def _open_server(self, url: URL) -> tuple[Engine, Engine]:
        return postgres.server_engines(url, busy_timeout_s=BUSY_TIMEOUT_S)

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """The writer connection in a transaction: committed on leaving, rolled back when anything is raised.

        Raises:
            StoreError: the database refused, in plain words; nothing of the transaction was kept.
            StoreAway: its server is away, or was lost; where that was during the commit, all was kept, or nothing.
        """
        with self._thread_lock, self._plain_errors(), self._alone(), self._writer.begin() as connection:
            if not self.is_file:
                postgres.wait_to_write(connection)
                # Within the transaction: if the server ends after this, the transaction ends with it.
                self._stay_sole_learner()
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A reader connection that sees one consistent state and cannot write.

        Raises:
            StoreError: the database refused, in plain words; a StoreAway where its server is away.
        """
        with self._plain_errors():
            # A learner that only reads for a while must notice as well that its server was started again.
            self._stay_sole_learner()
            with self._readers.connect() as connection:
                yield connection

    @contextmanager
    def sole_learner(self) -> Generator[None]:
        """Keep every other learner out, wherever it runs, until the block ends or this process does.

        A file is left to the lock of its run's directory.

        Raises:
            StoreError: another learner is at work on this database.
        """
        if self.is_file:
            yield
            return
        lock = postgres.LearnerLock(self._url, busy_timeout_s=BUSY_TIMEOUT_S)
        try:
            with self._plain_errors():
                is_alone = lock.take()
            if not is_alone:
                raise StoreError(
                    f"{self._migrations.noun} {self.name}: another learner is at work on it; stop that one first, or "
                    "wait a minute if its machine died"
                )
            self._learner_lock = lock
            yield
        finally:
            self._learner_lock = None
            lock.release()

    def _stay_sole_learner(self) -> None:
        if self._learner_lock is not None and not self._learner_lock.keep():
            raise StoreError(
                f"{self._migrations.noun} {self.name}: another learner has taken it over while the connection to its "
                "server was lost; nothing more is written. Stop one of the two"
            )

    def scrub(self) -> None:
        """Leave nothing in an SQLite file of what a marked transaction removed; on a server nothing is done.

        Raises:
            StoreError: the disk is full or fails, or others have been reading without pause; the next one to open the
                file does it.
        """
        if not self.is_file:
            return
        with self._thread_lock, self._plain_errors(), self._alone():
            try:
                is_clean = scrubbing.scrub(self._writer)
            except sqlite3.Error as error:
                raise StoreError(f"{self._migrations.noun} {self.name}: {_sqlite_reason(error)}") from error
        if not is_clean:
            raise StoreError(
                f"{self._migrations.noun} {self.name}: others read it without pause, so that what was removed is still "
                "in its write-ahead log; do it again"
            )

    def close(self) -> None:
        """Close every connection; the last one out folds SQLite's write-ahead log into the file."""
        with self._thread_lock:
            if self._closed:
                return
            self._closed = True
            try:
                with self._plain_errors(closing=True), self._alone():
                    for engine in self._engines:
                        engine.dispose()
            finally:
                if self._process_lock is not None:
                    self._process_lock.close()

    def _alone(self) -> AbstractContextManager[object]:
        return self._process_lock.held() if self._process_lock is not None else nullcontext()

    @contextmanager
    def _plain_errors(self, *, closing: bool = False) -> Generator[None]:
        noun = self._migrations.noun
        if self._closed and not closing:
            raise StoreError(f"{noun} {self.name}: it has been closed; open it again")
        try:
            yield
        except DBAPIError as error:
            kind = StoreAway if not self.is_file and postgres.is_away(error) else StoreError
            raise kind(f"{noun} {self.name}: {_reason(error)}") from error
        except PoolTimeoutError as error:
            raise StoreError(
                f"{noun} {self.name}: all of its connections are in use; ask less of it at once"
            ) from error
        except OSError as error:
            raise StoreError(f"{noun} {self.name}: {error.strerror or error} ({error.filename})") from error


class _FileLock:
    """An advisory lock between processes (and between two stores of one process) on an empty file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    @contextmanager
    def held(self) -> Generator[None]:
        """Wait for the lock, at most `BUSY_TIMEOUT_S`."""
        deadline, pause_s = time.monotonic() + BUSY_TIMEOUT_S, 0.0005
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    reason = f"another process has been writing for {BUSY_TIMEOUT_S:g} s; see what holds it"
                    raise StoreError(f"store lock {self._path}: {reason}") from None
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.02)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _url(target: str | Path) -> URL:
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(Path(target).absolute()))
    url = postgres.parsed_url(target)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError(f"store {target!r}: a store must outlive its process; name a file")
    return url


def _sqlite_engine(url: URL, begin: str, *, writable: bool) -> Engine:
    """An engine whose transactions start with `begin`, so that SQLite sees exactly the transactions that we mean."""
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        # The driver would otherwise open transactions of its own, and none before CREATE TABLE.
        connection.isolation_level = None
        if writable:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(f"store {url.database}: SQLite cannot keep a write-ahead log here; use a local disk")
        # A commit that was acknowledged survives a power cut only if each one is synced.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Keys are random, so that each new row needs another page of their index; SQLite's own cache holds 2 MiB.
        if writable:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        connection.execute(f"PRAGMA query_only = {'OFF' if writable else 'ON'}")

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _refuse_foreign_file(path: Path, migrations: Migrations) -> None:
    """Look at an existing file without changing it or its folder, before any connection that could."""
    if path.is_dir():
        raise StoreError(f"{migrations.noun} {path}: it is a folder; name a file, such as {migrations.example}")
    if not path.exists():
        return
    if not os.access(path, os.W_OK):
        raise StoreError(f"{migrations.noun} {path}: {_SQLITE_REASONS[sqlite3.SQLITE_READONLY]}")
    if path.stat().st_size == 0:
        return
    # Without a write-ahead log the file is complete, and SQLite need not make one to read it.
    mode = {"mode": "ro"} if Path(f"{path}-wal").exists() else {"immutable": "1"}
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={**mode, "uri": "true"})
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
    with engine.connect() as connection:
        _refuse_newer(connection, migrations, str(path))


def _migrate(connection: Connection, migrations: Migrations, name: str) -> None:
    """Bring the schema to this version's, within the caller's transaction."""
    if _refuse_newer(connection, migrations, name) == _revisions(migrations.folder)[0]:
        return
    config = Config()
    config.set_main_option("script_location", str(migrations.folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(connection: Connection, migrations: Migrations, name: str) -> str | None:
    """The schema's revision, None for a new database.

    Raises:
        StoreError: it is another program's, or its revision is not known here.
    """
    noun, options = migrations.noun, {"version_table": migrations.version_table}
    try:
        revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    except CommandError as error:
        raise StoreError(f"{noun} {name}: its schema has several versions at once ({error}); restore a copy") from error
    tables = inspect(connection).get_table_names()
    if tables and migrations.version_table not in tables:
        example = migrations.example if connection.dialect.name == "sqlite" else "an empty one, as createdb makes it"
        raise StoreError(f"{noun} {name}: this database belongs to another program; name {example}")
    known = _revisions(migrations.folder)
    if revision is not None and revision not in known:
        raise StoreError(
            f"{noun} {name}: written by a newer heeler (schema {revision}; this one knows up to {known[0]}); "
            "nothing was changed. Upgrade heeler to open it"
        )
    return revision


@functools.cache
def _revisions(folder: Path) -> tuple[str, ...]:
    """Of a folder of migrations, the newest first. Alembic runs every script of it to find them."""
    return tuple(entry.revision for entry in ScriptDirectory(str(folder)).walk_revisions())


def _reason(error: DBAPIError) -> str:
    original: Any = error.orig
    return _sqlite_reason(original) if isinstance(original, sqlite3.Error) else postgres.reason(error)


def _sqlite_reason(error: sqlite3.Error) -> str:
    # The low byte is the error's class, the rest tells which system call failed.
    return _SQLITE_REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error))
