"""Keys of programs: `hlr_<prefix>_<secret>`, kept only as a hash. Each has scopes, an end, and can be revoked."""

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update

from heeler.core.errors import DataError, did_you_mean
from heeler.feedback.form import check_number
from heeler.service.accounts import schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.accounts.people import Person, person_of
from heeler.service.accounts.sessions import token_sha256
from heeler.service.accounts.steady_clock import SteadyClock
from heeler.service.permissions import ROLES, SCOPES, Permission

_TABLE = schema.api_keys
MAX_DAYS = 366.0
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key, without its secret."""

    id: str
    person_id: str
    prefix: str
    """Its first part, by which people tell keys apart."""
    label: str
    scopes: frozenset[Permission]
    created_unix_s: float
    expires_unix_s: float
    """By the machine's clock, unless that is set back again."""
    ends_s: float
    """By the clock of keys, which is not set back."""
    revoked_unix_s: float | None


class ApiKeys:
    """The keys of a service.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database
        self._clock = SteadyClock(database)

    def add(self, by: str, person: Person, *, label: str, scopes: Sequence[str], days: float) -> tuple[ApiKey, str]:
        """Make a key; returns it and its text, which is kept nowhere.

        Raises:
            DataError: a field does not hold, or a scope is more than the person may do.
        """
        key_id, prefix = str(uuid.uuid4()), secrets.token_hex(4)
        text, now_s = f"hlr_{prefix}_{secrets.token_urlsafe(32)}", self._clock.now_s()
        label = label.strip()
        if not 1 <= len(label) <= 100 or not label.isprintable():
            raise DataError(f"label: expected 1 to 100 printable characters, got {label!r:.120}")
        row: dict[str, Any] = {
            "id": key_id,
            "person_id": person.id,
            "prefix": prefix,
            "key_sha256": token_sha256(text),
            "label": label,
            "scopes": _scopes(person, scopes),
            "created_unix_s": now_s - self._clock.behind_s,
            "expires_unix_s": now_s + check_number(days, "days", low=1 / 1440, high=MAX_DAYS) * _DAY_S,
        }
        told_s = row["expires_unix_s"] - self._clock.behind_s
        details = {"of": person.id, "scopes": row["scopes"], "expires_unix_s": told_s}
        with self._database.changing(by, "keys.add", key_id, **details) as connection:
            connection.execute(insert(_TABLE).values(row))
        return self.get(key_id), text

    def get(self, key_id: str) -> ApiKey:
        """The key of this id.

        Raises:
            KeyError: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.id == key_id)).one_or_none()
        if row is None:
            raise KeyError(key_id)
        return self._key_of(row)

    def page(self, *, after: str, limit: int) -> list[ApiKey]:
        """Keys in the order of their ids."""
        wanted = select(_TABLE).where(_TABLE.c.id > after).order_by(_TABLE.c.id).limit(limit)
        with self._database.reading() as connection:
            return [self._key_of(row) for row in connection.execute(wanted)]

    def find(self, key_sha256: str) -> tuple[ApiKey, Person] | None:
        """The live key with this hash and whose it is, if that person is not disabled."""
        people = schema.people
        with self._database.reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.key_sha256 == key_sha256)).one_or_none()
            if row is None:
                return None
            person = person_of(connection.execute(select(people).where(people.c.id == row.person_id)).one())
        key = self._key_of(row)
        self._clock.note()
        return (key, person) if self.is_live(key) and person.disabled_unix_s is None else None

    def is_live(self, key: ApiKey) -> bool:
        """Whether it may still be used."""
        return key.revoked_unix_s is None and self._clock.now_s() < key.ends_s

    def revoke(self, by: str, key_id: str) -> None:
        """End a key for good; a second time changes nothing.

        Raises:
            KeyError: there is none.
        """
        if self.get(key_id).revoked_unix_s is not None:
            return
        with self._database.changing(by, "keys.revoke", key_id) as connection:
            connection.execute(update(_TABLE).where(_TABLE.c.id == key_id).values(revoked_unix_s=time.time()))

    def _key_of(self, row: Row[Any]) -> ApiKey:
        return ApiKey(
            id=row.id,
            person_id=row.person_id,
            prefix=row.prefix,
            label=row.label,
            scopes=frozenset(Permission(scope) for scope in row.scopes if scope in SCOPES),
            created_unix_s=row.created_unix_s,
            expires_unix_s=row.expires_unix_s - self._clock.behind_s,
            ends_s=row.expires_unix_s,
            revoked_unix_s=row.revoked_unix_s,
        )


def _scopes(person: Person, scopes: Sequence[str]) -> list[str]:
    if not scopes:
        raise DataError(f"scopes: expected at least one of {', '.join(SCOPES)}")
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            near = did_you_mean(scope, map(str, SCOPES))
            raise DataError(f"scopes[{index}]: expected one of {', '.join(SCOPES)}, got {scope!r:.60}.{near}")
        if scope not in ROLES[person.role]:
            raise DataError(f"scopes[{index}]: {scope!r} is more than the role {person.role} may do; leave it out")
    return sorted(set(scopes))
