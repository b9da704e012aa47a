"""Sessions: what a browser holds after signing in. Only a hash of its token is kept here."""

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, or_, select, update

from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.people import SERVICE, Person, person_of
from heeler.service.accounts.steady_clock import SLACK_S

_TABLE = schema.sessions
_NOTE_USE_EVERY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who signed in."""

    id: str
    """SHA-256 of the token."""
    person: Person
    used_unix_s: float
    expires_unix_s: float


class Sessions:
    """The sessions of a service.

    Args:
        database: of people.
        idle_s: what was not used for so long has ended.
        lifetime_s: what is so old has ended.
    """

    def __init__(self, database: AccountsDatabase, *, idle_s: float, lifetime_s: float) -> None:
        self._database = database
        self._idle_s, self._lifetime_s = idle_s, lifetime_s
        self._lock = threading.Lock()
        with database.reading() as connection:
            self._newest_s: float = connection.execute(select(func.max(_TABLE.c.used_unix_s))).scalar() or 0.0

    def _now_s(self) -> float:
        """The time, by which sessions end.

        A clock that went back would have sessions live on that had ended, and the others outlive their bounds. How old
        they are cannot be told any more, so that all of them end.
        """
        with self._lock:
            now_s = time.time()
            went_back_s = self._newest_s - now_s
            if went_back_s > SLACK_S:
                details = {"clock_went_back_s": round(went_back_s)}
                with self._database.changing(SERVICE, "session.end_all", "", **details) as connection:
                    connection.execute(delete(_TABLE))
                self._newest_s = now_s
            self._newest_s = max(self._newest_s, now_s)
            return now_s

    def begin(self, person: Person, *, instead_of: str | None) -> str:
        """Start a session; returns its token, which is kept nowhere.

        Args:
            person: who signed in.
            instead_of: the session that the same browser had, which ends.
        """
        token, now_s = secrets.token_urlsafe(32), self._now_s()
        row = {
            "token_sha256": token_sha256(token),
            "person_id": person.id,
            "created_unix_s": now_s,
            "used_unix_s": now_s,
            "expires_unix_s": now_s + self._lifetime_s,
        }
        with self._database.changing(person.id, "session.begin", person.id) as connection:
            ended = or_(_TABLE.c.expires_unix_s <= now_s, _TABLE.c.used_unix_s <= now_s - self._idle_s)
            connection.execute(delete(_TABLE).where(ended))
            if instead_of is not None:
                connection.execute(delete(_TABLE).where(_TABLE.c.token_sha256 == instead_of))
            connection.execute(insert(_TABLE).values(row))
        return token

    def find(self, session_id: str) -> Session | None:
        """The live session with this hash, of a person who is not disabled."""
        # First: a clock that went back ends sessions, and what was read before would not show it.
        self._now_s()
        people = schema.people
        wanted = select(_TABLE, people).join(people, people.c.id == _TABLE.c.person_id)
        with self._database.reading() as connection:
            row = connection.execute(wanted.where(_TABLE.c.token_sha256 == session_id)).one_or_none()
        if row is None or row.disabled_unix_s is not None:
            return None
        session = Session(
            id=session_id, person=person_of(row), used_unix_s=row.used_unix_s, expires_unix_s=row.expires_unix_s
        )
        return session if self.is_live(session) else None

    def is_live(self, session: Session) -> bool:
        """Whether it may still be used."""
        now_s = self._now_s()
        idle_s = now_s - session.used_unix_s
        return now_s < session.expires_unix_s and -SLACK_S <= idle_s < self._idle_s

    def note_use(self, session: Session) -> None:
        """Remember that it is in use, not more often than once a minute."""
        now_s = self._now_s()
        if now_s - session.used_unix_s >= _NOTE_USE_EVERY_S:
            with self._database.noting() as connection:
                change = update(_TABLE).where(_TABLE.c.token_sha256 == session.id)
                connection.execute(change.values(used_unix_s=now_s))

    def end(self, session: Session) -> None:
        """Sign out."""
        with self._database.changing(session.person.id, "session.end", session.person.id) as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.token_sha256 == session.id))


def token_sha256(token: str) -> str:
    """What is kept of a token. It is random and long, so that a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
