"""A store on PostgreSQL: which URLs name one, its connections, and its errors in plain words."""

import threading
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from heeler.core.errors import ConfigError, StoreError

DRIVER = "postgresql+psycopg"
EXAMPLE = "postgresql://HOST/DATABASE"
_DRIVER_NAMES = ("postgresql", DRIVER)
_SECRETS = ("password", "sslpassword")
_SHOWN = ("host", "port")

# Arbitrary numbers that all processes of heeler share: advisory locks of a database are named by numbers.
_WRITER_LOCK = 0x6865656C6572
_LEARNER_LOCK = _WRITER_LOCK + 1

# A machine that lost its power says no goodbye. Both sides ask after half a minute of silence, and give up after one.
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_CONNECT_TIMEOUT_S = 10
# How long a server may need to notice that a process of its own machine was killed.
_FAREWELL_S = 2.0

# It shuts down, has crashed, or starts up.
_AWAY_STATES = ("57P01", "57P02", "57P03")
_CONNECTION_STATES = "08"

_REASONS = {
    "25006": "it is read-only; name the server that may be written",
    "42501": "its user may not do this ({told}); let that user own the database",
    "53100": "the server's disk is full; make room and go on (nothing of this write was kept)",
    "53300": "the server has no connection left ({told}); close other programs or raise its max_connections",
    "55P03": "another program has been writing for too long; see in pg_stat_activity what holds it",
}


def parsed_url(target: str) -> URL:
    """A URL of SQLAlchemy that names an SQLite file or a PostgreSQL database.

    Raises:
        StoreError: it is another; what the message quotes holds no password.
    """
    try:
        url = make_url(target)
        backend = url.get_backend_name()
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # The causes quote parts of the URL, which may be parts of a password.
        raise StoreError(f"store {without_secrets(target)!r}: not a database URL; expected {EXAMPLE}") from None
    if backend == "sqlite":
        return url
    if url.drivername not in _DRIVER_NAMES:
        raise StoreError(
            f"store {without_secrets(target)!r}: stores are SQLite files or PostgreSQL databases; expected {EXAMPLE}"
        )
    if not url.database:
        raise StoreError(f"store {shown(url)}: it names a server and no database; expected {EXAMPLE}")
    return url.set(drivername=DRIVER)


def shown(url: URL) -> str:
    """The URL for messages: without secrets, and without options that do not tell which database it is."""
    query = {name: value for name, value in url.query.items() if name in _SHOWN}
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database, query).render_as_string()


def check_run_store(text: str) -> None:
    """Refuse what a run's configuration may not name as its store.

    Raises:
        ConfigError: it is no PostgreSQL URL, or holds a password; the message never quotes one.
    """
    try:
        url = parsed_url(text)
    except StoreError as error:
        raise ConfigError(str(error)) from None
    if url.get_backend_name() != "postgresql":
        raise ConfigError(f"store must be empty (heeler.db in the run's directory) or {EXAMPLE}, got {text!r}")
    if url.password is not None or any(name in url.query for name in _SECRETS):
        raise ConfigError(
            f"store {shown(url)}: the URL holds a password, and config.yaml is no place for one; leave it out, and "
            "give it by the environment variable PGPASSWORD or in the file ~/.pgpass"
        )


def without_secrets(target: str) -> str:
    """A URL that may not hold, as far as it can be shown: without user, password and options."""
    scheme, _, rest = target.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def server_engines(url: URL, *, busy_timeout_s: float) -> tuple[Engine, Engine]:
    """One engine that writes and one that cannot, on one pool of connections.

    Args:
        url: of `parsed_url`.
        busy_timeout_s: how long a writer waits for another.

    Raises:
        StoreError: the driver is missing.
    """
    # A connection is tried before it is lent out, so that a server which was started again is not noticed.
    writer = _engine(url, busy_timeout_s, isolation_level="READ COMMITTED", pool_pre_ping=True)
    return writer, writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _engine(url: URL, busy_timeout_s: float, **options: Any) -> Engine:
    arguments = {"client_encoding": "utf8", "connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "heeler"}
    try:
        # What the URL itself says of these comes first.
        own = {name: value for name, value in {**arguments, **_KEEPALIVES}.items() if name not in url.query}
        engine = create_engine(url, connect_args=own, **options)
    except ImportError as error:
        raise StoreError(
            f"store {shown(url)}: its driver is missing ({error}); pip install 'heeler[postgresql]'"
        ) from error
    settings = {f"tcp_{name}": str(value) for name, value in _KEEPALIVES.items()}
    settings["lock_timeout"] = f"{busy_timeout_s:g}s"
    statements = [f"SET {name} = '{value}'" for name, value in settings.items()]
    # Answers are acknowledged after their commit is on the disk, whatever the server does for others.
    durable = "set_config('synchronous_commit', 'on', false)"
    statements.append(f"SELECT {durable} WHERE current_setting('synchronous_commit') = 'off'")

    def on_connect(connection: Any, _: object) -> None:
        # Within a transaction they would be taken back with it.
        connection.autocommit = True
        connection.execute("; ".join(statements))
        connection.autocommit = False

    event.listen(engine, "connect", on_connect)
    return engine


def wait_to_write(connection: Connection) -> None:
    """Wait for this database's other writers, until the transaction ends.

    Positions are drawn before a commit and seen after it: with two writers at once a reader could meet the later one
    first, and never come back for the earlier.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))


class LearnerLock:
    """Says that this is the database's only learner, for as long as its connection lasts.

    Args:
        url: of `parsed_url`.
        busy_timeout_s: as of the other connections.
    """

    def __init__(self, url: URL, *, busy_timeout_s: float) -> None:
        self._engine = _engine(url, busy_timeout_s, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._connection: Connection | None = None
        self._thread_lock = threading.RLock()

    def take(self) -> bool:
        """Whether it is held now, which it is not while another learner holds it."""
        with self._thread_lock:
            connection, is_held = self._engine.connect(), False
            try:
                is_held = _wait_for_learner_lock(connection)
            finally:
                # A connection that was lost on the way holds nothing, and must not be taken for one that does.
                if is_held:
                    self._connection = connection
                else:
                    _let_go(connection)
            return is_held

    def keep(self) -> bool:
        """Whether it is still held, or held again: a server lets go of it when it ends, or loses the connection."""
        with self._thread_lock:
            if self._connection is not None:
                try:
                    self._connection.execute(select(1))
                    return True
                except DBAPIError as error:
                    if not is_away(error):
                        raise
                self.release()
            return self.take()

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        with self._thread_lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                _let_go(connection)


def _wait_for_learner_lock(connection: Connection) -> bool:
    deadline = time.monotonic() + _FAREWELL_S
    wanted = select(func.pg_try_advisory_lock(_LEARNER_LOCK))
    while not connection.execute(wanted).scalar_one():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _let_go(connection: Connection) -> None:
    # A server that was away has let go already, and tells so now.
    with suppress(DBAPIError):
        connection.close()


def is_away(error: DBAPIError) -> bool:
    """Whether the server was not there, or went in the middle, so that the same may be tried again."""
    state = getattr(error.orig, "sqlstate", None)
    return (
        error.connection_invalidated
        or _cannot_connect(error)
        or state in _AWAY_STATES
        or str(state).startswith(_CONNECTION_STATES)
    )


def _cannot_connect(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) is None and type(error.orig).__name__ == "OperationalError"


def reason(error: DBAPIError) -> str:
    """What went wrong, in a sentence, and how to mend it."""
    original: Any = error.orig
    diagnosis = getattr(original, "diag", None)
    told = " ".join((getattr(diagnosis, "message_primary", None) or str(original)).split())
    state = getattr(original, "sqlstate", None)
    if error.connection_invalidated:
        return f"the connection to its server was lost ({told}); try again: what was kept is not kept twice"
    if state in _REASONS:
        return _REASONS[state].format(told=told)
    if _cannot_connect(error):
        advice = "start the server, or mend the URL; a password goes into PGPASSWORD or ~/.pgpass"
        return f"it cannot be reached ({told}); {advice}"
    return told
