"""Flags: what a query shows that not everybody wants to see. It then goes only to those who chose to see such.

A query that is set aside goes to nobody.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, select

from heeler.core.errors import DataError, did_you_mean
from heeler.core.privacy import redact
from heeler.feedback import rows, schema
from heeler.feedback.database import Database
from heeler.feedback.form import MAX_TEXT_LENGTH

CATEGORIES = ("violence", "sexual", "self-harm", "hate", "other")
_SET_ASIDE = "set-aside"
"""A category that nobody chooses: who may ask at all sets it, and whoever is asked is kept from it."""
MAX_NOTE_LENGTH = 1000
_FLAGS, _LEASES = schema.flags, schema.leases
assert MAX_NOTE_LENGTH <= MAX_TEXT_LENGTH


@dataclass(frozen=True, kw_only=True)
class Flag:
    """That somebody found something in a query that not everybody wants to see."""

    query_id: str
    annotator: str
    """Who said so: an annotator's id, or the part of the program that asks."""
    category: str
    note: str
    flagged_unix_s: float


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """That a query is asked of nobody any more."""

    query_id: str
    person: str
    """Who said so."""
    since_unix_s: float


class Flags:
    """The flags of an open store.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        query_id: str,
        annotator: str,
        category: str,
        note: str = "",
        *,
        before_commit: Callable[[], object] = lambda: None,
    ) -> None:
        """Flag a query, and take it from its annotator if they hold it; the same again changes nothing.

        Args:
            query_id: of the query.
            annotator: who says so.
            category: one of `CATEGORIES`.
            note: what it is about; e-mail addresses, numbers and keys are redacted.
            before_commit: called where it is new; what it raises undoes it.

        Raises:
            DataError: unknown query or category, or a note that cannot be kept.
        """
        check_category(category, "category")
        note = redact(note).text
        if len(note) > MAX_NOTE_LENGTH:
            raise DataError(f"note: expected at most {MAX_NOTE_LENGTH} characters, got {len(note)}")
        row = {"query_id": query_id, "annotator": annotator, "category": category, "note": note}
        rows.check_fits(_FLAGS, row)
        with self._database.writing() as connection:
            _expect_query(connection, query_id)
            own = and_(_LEASES.c.query_id == query_id, _LEASES.c.annotator == annotator)
            connection.execute(delete(_LEASES).where(own))
            if connection.execute(select(_FLAGS.c.note).where(_is(query_id, annotator, category))).first() is None:
                connection.execute(insert(_FLAGS).values(row | {"flagged_unix_s": time.time()}))
                before_commit()

    def remove(self, query_id: str, category: str, *, before_commit: Callable[[], object] = lambda: None) -> bool:
        """Take a flag away, whoever set it; returns whether there was one."""
        return category in CATEGORIES and self._remove(query_id, category, before_commit)

    def _remove(self, query_id: str, category: str, before_commit: Callable[[], object]) -> bool:
        with self._database.writing() as connection:
            same = and_(_FLAGS.c.query_id == query_id, _FLAGS.c.category == category)
            found = connection.execute(delete(_FLAGS).where(same)).rowcount > 0
            if found:
                before_commit()
            return found

    def set_aside(self, query_id: str, person: str, *, before_commit: Callable[[], object] = lambda: None) -> None:
        """Ask a query of nobody any more, and take it from whoever holds it; a second time changes nothing.

        Answers that it has stay, and one that is on its way is still taken.

        Args:
            query_id: of the query.
            person: who says so.
            before_commit: called where it is new; what it raises undoes it.

        Raises:
            DataError: there is no such query.
        """
        row = {"query_id": query_id, "annotator": person, "category": _SET_ASIDE, "note": ""}
        rows.check_fits(_FLAGS, row)
        with self._database.writing() as connection:
            _expect_query(connection, query_id)
            if not _set_aside_among(connection, [query_id]):
                connection.execute(delete(_LEASES).where(_LEASES.c.query_id == query_id))
                connection.execute(insert(_FLAGS).values(row | {"flagged_unix_s": time.time()}))
                before_commit()

    def put_back(self, query_id: str, *, before_commit: Callable[[], object] = lambda: None) -> bool:
        """Ask a query again that was set aside; returns whether it was."""
        return self._remove(query_id, _SET_ASIDE, before_commit)

    def is_set_aside(self, query_id: str) -> bool:
        """Whether a query is asked of nobody any more."""
        with self._database.reading() as connection:
            return bool(_set_aside_among(connection, [query_id]))

    def num_given_up(self) -> int:
        """How many queries were set aside before anybody answered them, so that nobody will."""
        unanswered = and_(schema.queries.c.num_answers == 0, is_set_aside())
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(schema.queries).where(unanswered)).scalar_one()

    def set_aside_page(self, *, after: str = "", limit: int) -> list[SetAside]:
        """What is set aside, in the order of the queries' ids."""
        wanted = select(_FLAGS).where(_FLAGS.c.category == _SET_ASIDE, _FLAGS.c.query_id > after)
        with self._database.reading() as connection:
            return [
                SetAside(query_id=row.query_id, person=row.annotator, since_unix_s=row.flagged_unix_s)
                for row in connection.execute(wanted.order_by(_FLAGS.c.query_id).limit(limit))
            ]

    def page(self, *, after: tuple[str, str, str] = ("", "", ""), limit: int) -> list[Flag]:
        """Flags in the order of their queries' ids, those after (query, annotator, category)."""
        order = (_FLAGS.c.query_id, _FLAGS.c.annotator, _FLAGS.c.category)
        query_id, annotator, category = after
        later = (
            (_FLAGS.c.query_id > query_id)
            | and_(_FLAGS.c.query_id == query_id, _FLAGS.c.annotator > annotator)
            | and_(_FLAGS.c.query_id == query_id, _FLAGS.c.annotator == annotator, _FLAGS.c.category > category)
        )
        with self._database.reading() as connection:
            wanted = select(_FLAGS).where(later, _FLAGS.c.category != _SET_ASIDE)
            found = connection.execute(wanted.order_by(*order).limit(limit)).mappings()
            return [Flag(**row) for row in found]


def check_category(category: str, field: str) -> None:
    """Refuse what is no category.

    Raises:
        DataError: naming the field.
    """
    if category not in CATEGORIES:
        hint = did_you_mean(category, CATEGORIES)
        raise DataError(f"{field}: expected one of {', '.join(CATEGORIES)}, got {category!r:.60}.{hint}")


def hidden(annotator: str, avoid: Collection[str]) -> ColumnElement[bool]:
    """Whether an annotator is not to be asked a row of `queries`: they flagged it, avoid what it was flagged for, or
    nobody is asked it.
    """
    mine_or_avoided = (_FLAGS.c.annotator == annotator) | _FLAGS.c.category.in_([*avoid, _SET_ASIDE])
    return exists().where(_FLAGS.c.query_id == schema.queries.c.id, mine_or_avoided)


def is_set_aside() -> ColumnElement[bool]:
    """Whether a row of `queries` is asked of nobody any more."""
    return exists().where(_FLAGS.c.query_id == schema.queries.c.id, _FLAGS.c.category == _SET_ASIDE)


def any_flags(connection: Connection) -> bool:
    """Whether anything was flagged at all."""
    return connection.execute(select(_FLAGS.c.query_id).limit(1)).first() is not None


def _set_aside_among(connection: Connection, query_ids: Collection[str]) -> set[str]:
    same = and_(_FLAGS.c.query_id.in_(query_ids), _FLAGS.c.category == _SET_ASIDE)
    return set(connection.execute(select(_FLAGS.c.query_id).where(same)).scalars())


def _expect_query(connection: Connection, query_id: str) -> None:
    if not rows.known(connection, schema.queries.c.id, [query_id]):
        raise DataError(f"query_id: no query {query_id!r:.100} in the store")


def _is(query_id: str, annotator: str, category: str) -> ColumnElement[bool]:
    return and_(_FLAGS.c.query_id == query_id, _FLAGS.c.annotator == annotator, _FLAGS.c.category == category)
