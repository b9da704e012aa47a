"""Persons: a random id that answers carry, and a name, an address and a role that stay here."""

import re
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from heeler.core.errors import ConflictError, DataError, did_you_mean
from heeler.service.accounts import passwords, schema
from heeler.service.accounts.database import AccountsDatabase
from heeler.service.permissions import Role

PersonKind = Literal["person", "program"]
_KINDS: tuple[PersonKind, ...] = ("person", "program")
_TABLE = schema.people
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
SERVICE = "service"
"""Who does what no person did, in the audit log."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who may sign in, or whose keys may."""

    id: str
    name: str
    email: str | None
    kind: PersonKind
    role: Role
    must_change_password: bool
    created_unix_s: float
    disabled_unix_s: float | None


class People:
    """The people of a service.

    Args:
        database: of people.
    """

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def make_first_admin(self) -> str | None:
        """Where nobody is yet, make `admin`; returns the one-time password, which is kept nowhere.

        Until it has been changed it is made anew: a service that was killed had perhaps told it to nobody.
        """
        found = self.page(after="", limit=2)
        if not found:
            _, password = self.add(SERVICE, name="admin", email=None, kind="person", role=Role.ADMIN)
            return password
        is_alone = len(found) == 1 and found[0].role == Role.ADMIN and found[0].kind == "person"
        if is_alone and found[0].must_change_password:
            return self.set_password(SERVICE, found[0].id, None)
        return None

    def add(self, by: str, *, name: str, email: str | None, kind: str, role: str) -> tuple[Person, str | None]:
        """Make a person with a one-time password; a program has none, and signs in with keys alone.

        Raises:
            DataError: a field does not hold.
            ConflictError: the name is taken.
        """
        person_id = str(uuid.uuid4())
        password = None if kind == "program" else passwords.one_time_password()
        row: dict[str, Any] = {
            "id": person_id,
            **_name(name),
            "email": _email(email),
            "kind": _one_of(kind, "kind", _KINDS),
            "role": _one_of(role, "role", tuple(Role)),
            "password_hash": None if password is None else passwords.hashed(password),
            "must_change_password": password is not None,
            "created_unix_s": time.time(),
        }
        with self._database.changing(by, "people.add", person_id, role=row["role"], kind=row["kind"]) as connection:
            _refuse_taken_name(connection, row["folded_name"], person_id)
            connection.execute(insert(_TABLE).values(row))
        return self.get(person_id), password

    def get(self, person_id: str) -> Person:
        """The person of this id.

        Raises:
            KeyError: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.id == person_id)).one_or_none()
        if row is None:
            raise KeyError(person_id)
        return person_of(row)

    def page(self, *, after: str, limit: int) -> list[Person]:
        """People in the order of their ids, which says nothing of them."""
        wanted = select(_TABLE).where(_TABLE.c.id > after).order_by(_TABLE.c.id).limit(limit)
        with self._database.reading() as connection:
            return [person_of(row) for row in connection.execute(wanted)]

    def change(self, by: str, person_id: str, changes: dict[str, Any]) -> Person:
        """Change `name`, `email`, `role` or `disabled` of a person; who is disabled has no session and no key.

        Raises:
            KeyError: there is no such person.
            DataError: a field does not hold.
            ConflictError: the name is taken, or nobody would be left who can manage people.
        """
        row = _changed_row(changes)
        details: dict[str, Any] = {"changed": sorted(changes)}
        details |= {name: changes[name] for name in ("role", "disabled") if name in changes}
        with self._database.changing(by, "people.change", person_id, **details) as connection:
            before = connection.execute(select(_TABLE).where(_TABLE.c.id == person_id)).one_or_none()
            if before is None:
                raise KeyError(person_id)
            if "folded_name" in row:
                _refuse_taken_name(connection, row["folded_name"], person_id)
            if row:
                connection.execute(update(_TABLE).where(_TABLE.c.id == person_id).values(row))
            if before.role == Role.ADMIN.value and before.disabled_unix_s is None:
                refuse_no_admin(connection)
            if "role" in changes or changes.get("disabled"):
                sessions = schema.sessions
                connection.execute(sessions.delete().where(sessions.c.person_id == person_id))
        return self.get(person_id)

    def set_password(self, by: str, person_id: str, password: str | None) -> str | None:
        """Set a password and end the person's sessions; without one, make one for one time and return it.

        Raises:
            KeyError: there is no such person.
            DataError: it is too short or too long.
        """
        one_time = passwords.one_time_password() if password is None else None
        values = {
            "password_hash": passwords.hashed(one_time or password or ""),
            "must_change_password": password is None,
        }
        with self._database.changing(by, "people.set_password", person_id, one_time=password is None) as connection:
            if connection.execute(update(_TABLE).where(_TABLE.c.id == person_id).values(values)).rowcount == 0:
                raise KeyError(person_id)
            sessions = schema.sessions
            connection.execute(sessions.delete().where(sessions.c.person_id == person_id))
        return one_time

    def with_password(self, name: str, password: str) -> Person | None:
        """Who signs in with this name and password; it takes as long where the name is nobody's."""
        with self._database.reading() as connection:
            wanted = select(_TABLE).where(_TABLE.c.folded_name == name.strip().casefold()[:200])
            row = connection.execute(wanted).one_or_none()
        is_right = passwords.is_right(password, None if row is None else row.password_hash)
        return person_of(row) if is_right and row is not None and row.disabled_unix_s is None else None


def person_of(row: Row[Any]) -> Person:
    """The person that a row holds."""
    return Person(
        id=row.id,
        name=row.name,
        email=row.email,
        kind=row.kind,
        role=Role(row.role),
        must_change_password=row.must_change_password,
        created_unix_s=row.created_unix_s,
        disabled_unix_s=row.disabled_unix_s,
    )


def _changed_row(changes: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if "name" in changes:
        row |= _name(changes["name"])
    if "email" in changes:
        row["email"] = _email(changes["email"])
    if "role" in changes:
        row["role"] = _one_of(changes["role"], "role", tuple(Role))
    if "disabled" in changes:
        row["disabled_unix_s"] = time.time() if changes["disabled"] else None
    return row


def _name(name: str) -> dict[str, str]:
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise DataError(f"name: expected 1 to 100 printable characters, got {name!r:.120}")
    return {"name": name, "folded_name": name.casefold()[:200]}


def _email(email: str | None) -> str | None:
    if email is not None and not _EMAIL.fullmatch(email):
        raise DataError("email: expected an address such as ann@example.org, or null")
    return email


def _one_of(value: str, field: str, known: tuple[str, ...]) -> str:
    if value not in known:
        known = tuple(map(str, known))
        expected = ", ".join(map(repr, known))
        raise DataError(f"{field}: expected one of {expected}, got {value!r}.{did_you_mean(value, known)}")
    return str(value)


def _refuse_taken_name(connection: Connection, folded: str, person_id: str) -> None:
    wanted = select(_TABLE.c.id).where(_TABLE.c.folded_name == folded, _TABLE.c.id != person_id)
    if connection.execute(wanted).one_or_none() is not None:
        raise ConflictError("name: somebody has it already; choose another")


def refuse_no_admin(connection: Connection) -> None:
    """Keep somebody who can manage people.

    Raises:
        ConflictError: nobody would be left.
    """
    left = select(func.count()).where(_TABLE.c.role == Role.ADMIN.value, _TABLE.c.disabled_unix_s.is_(None))
    if connection.execute(left).scalar_one() == 0:
        raise ConflictError("role: nobody would be left who can manage people; make another admin first")
