"""Flags: what a query shows that not everybody wants to see. It then goes only to those who chose to see such."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, select

from heeler.core.errors import DataError, did_you_mean
from heeler.feedback import rows, schema
from heeler.feedback.database import Database
from heeler.feedback.form import MAX_TEXT_LENGTH
from heeler.feedback.privacy import redact

CATEGORIES = ("violence", "sexual", "self-harm", "hate", "other")
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
            if not rows.known(connection, schema.queries.c.id, [query_id]):
                raise DataError(f"query_id: no query {query_id!r:.100} in the store")
            own = and_(_LEASES.c.query_id == query_id, _LEASES.c.annotator == annotator)
            connection.execute(delete(_LEASES).where(own))
            if connection.execute(select(_FLAGS.c.note).where(_is(query_id, annotator, category))).first() is None:
                connection.execute(insert(_FLAGS).values(row | {"flagged_unix_s": time.time()}))
                before_commit()

    def remove(self, query_id: str, category: str, *, before_commit: Callable[[], object] = lambda: None) -> bool:
        """Take a flag away, whoever set it; returns whether there was one."""
        with self._database.writing() as connection:
            same = and_(_FLAGS.c.query_id == query_id, _FLAGS.c.category == category)
            found = connection.execute(delete(_FLAGS).where(same)).rowcount > 0
            if found:
                before_commit()
            return found

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
            found = connection.execute(select(_FLAGS).where(later).order_by(*order).limit(limit)).mappings()
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
    """Whether an annotator is not to be asked a row of `queries`: they flagged it, or avoid what it was flagged for."""
    mine_or_avoided = (_FLAGS.c.annotator == annotator) | _FLAGS.c.category.in_(avoid)
    return exists().where(_FLAGS.c.query_id == schema.queries.c.id, mine_or_avoided)


def any_flags(connection: Connection) -> bool:
    """Whether anything was flagged at all."""
    return connection.execute(select(_FLAGS.c.query_id).limit(1)).first() is not None


def _is(query_id: str, annotator: str, category: str) -> ColumnElement[bool]:
    return and_(_FLAGS.c.query_id == query_id, _FLAGS.c.annotator == annotator, _FLAGS.c.category == category)
