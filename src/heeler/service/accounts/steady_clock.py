"""The clock that keys end by: the machine's, plus all that it was ever set back by."""

import threading
import time

from sqlalchemy import Connection, delete, func, insert, select

from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.people import SERVICE

SLACK_S = 300.0
"""A clock may be set back by so much, as time servers do, and nothing comes of it."""
_NOTE_EVERY_S = 60.0
_NAME = "steady_clock"
_SETTINGS, _KEYS = schema.settings, schema.api_keys


class SteadyClock:
    """Time that goes on from where it was when the machine's clock is set back.

    A key would otherwise live longer by as much, and one that had ended would live again. Keys are not ended for it, as
    sessions are: programs cannot sign in again. A clock that ran ahead and was put right has used up their time.

    Args:
        database: of people; keeps what the clock was set back by.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()
        with database.reading() as connection:
            known = _read(connection)
            newest_key_s = connection.execute(select(func.max(_KEYS.c.created_unix_s))).scalar() or 0.0
        self._newest_s, self._behind_s = known or (newest_key_s, 0.0)
        self._noted_s = self._newest_s

    @property
    def behind_s(self) -> float:
        """Seconds that the machine's clock was set back by in all."""
        return self._behind_s

    def now_s(self) -> float:
        """The time, by which keys end; but for the slack it never goes back."""
        with self._lock:
            now_s = time.time()
            back_s = self._newest_s - now_s
            if back_s > SLACK_S:
                details = {"clock_went_back_s": round(back_s)}
                with self._database.changing(SERVICE, "keys.clock_went_back", "", **details) as connection:
                    self._write(connection, now_s, self._behind_s + back_s)
            self._newest_s = max(self._newest_s, now_s)
            return now_s + self._behind_s

    def note(self) -> None:
        """Keep how late it is, not more often than once a minute, for a clock that is set back while nothing runs."""
        self.now_s()
        with self._lock:
            if self._newest_s - self._noted_s >= _NOTE_EVERY_S:
                with self._database.noting() as connection:
                    self._write(connection, self._newest_s, self._behind_s)

    def _write(self, connection: Connection, newest_s: float, behind_s: float) -> None:
        value = {"newest_unix_s": newest_s, "behind_s": behind_s}
        connection.execute(delete(_SETTINGS).where(_SETTINGS.c.name == _NAME))
        connection.execute(insert(_SETTINGS).values(name=_NAME, value=value))
        self._newest_s = self._noted_s = newest_s
        self._behind_s = behind_s


def _read(connection: Connection) -> tuple[float, float] | None:
    value = connection.execute(select(_SETTINGS.c.value).where(_SETTINGS.c.name == _NAME)).scalar()
    return None if value is None else (float(value["newest_unix_s"]), float(value["behind_s"]))
