"""Gold items: queries whose right answer is known, mixed in unseen, so that an annotator's care can be told.

They are ordinary queries. An annotator cannot tell them from others, the learner takes the first answer to each as it
does to any query, and nobody is asked the same one twice. What sets them apart is that everybody may be asked them.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from heeler.core.errors import ConflictError, DataError
from heeler.feedback import rows, schema
from heeler.feedback.database import Database
from heeler.feedback.kinds import KINDS

GOLD_KINDS = ("preference", "rating")
"""Kinds whose answers can be right or wrong."""
_NEAR = 0.1
_GOLD, _FEEDBACK = schema.gold, schema.feedback
_chance = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class GoldItem:
    """A query whose right answer is known."""

    query_id: str
    kind: str
    value: Mapping[str, Any]
    """The right answer."""
    person: str
    """Who said so."""
    added_unix_s: float


@dataclass(frozen=True, kw_only=True)
class GoldResult:
    """How an annotator did on gold items."""

    annotator: str
    num_asked: int
    num_right: int


class Gold:
    """The gold items of an open store.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        query_id: str,
        value: Mapping[str, Any],
        person: str,
        *,
        before_commit: Callable[[], object] = lambda: None,
    ) -> None:
        """Say what the right answer to a query is; the same again changes nothing.

        Raises:
            DataError: unknown query, a kind that has no right answers, or an answer that does not hold.
            ConflictError: the query has another right answer already.
        """
        with self._database.writing() as connection:
            query = rows.queries_by_id(connection, [query_id]).get(query_id)
            if query is None:
                raise DataError(f"query_id: no query {query_id!r:.100} in the store")
            if query.kind not in GOLD_KINDS:
                expected = " or ".join(GOLD_KINDS)
                raise DataError(f"query_id: a gold item must be a {expected}, and this is a {query.kind}")
            checked = KINDS[query.kind].validate(value, query, rows.segment_facts(connection, query.segment_ids))
            if checked.get("choice") == "cant_tell":
                raise DataError("value.choice: 'cant_tell' is no right answer; choose left, right or equal")
            known = connection.execute(select(_GOLD.c.value).where(_GOLD.c.query_id == query_id)).one_or_none()
            if known is None:
                row = {"query_id": query_id, "value": checked, "person": person, "added_unix_s": time.time()}
                connection.execute(insert(_GOLD).values(row))
                before_commit()
            elif known.value != checked:
                raise ConflictError(f"query_id: {query_id} has another right answer already; remove that one first")

    def remove(self, query_id: str, *, before_commit: Callable[[], object] = lambda: None) -> bool:
        """Make a gold item an ordinary query again; returns whether it was one. Its answers stay."""
        with self._database.writing() as connection:
            found = connection.execute(delete(_GOLD).where(_GOLD.c.query_id == query_id)).rowcount > 0
            if found:
                before_commit()
            return found

    def page(self, *, after: str = "", limit: int) -> list[GoldItem]:
        """Gold items in the order of their queries' ids."""
        wanted = select(_GOLD, schema.queries.c.kind).join(schema.queries, schema.queries.c.id == _GOLD.c.query_id)
        wanted = wanted.where(_GOLD.c.query_id > after).order_by(_GOLD.c.query_id).limit(limit)
        with self._database.reading() as connection:
            return [GoldItem(**row) for row in connection.execute(wanted).mappings()]

    def results(self) -> list[GoldResult]:
        """How every annotator did who was asked any, by their ids; answers that were withdrawn do not count."""
        wanted = (
            select(_FEEDBACK.c.annotator, _FEEDBACK.c.kind, _FEEDBACK.c.value, _GOLD.c.value.label("right"))
            .join(_GOLD, _GOLD.c.query_id == _FEEDBACK.c.query_id)
            .where(_FEEDBACK.c.kind.in_(GOLD_KINDS))
        )
        asked: dict[str, int] = {}
        right: dict[str, int] = {}
        with self._database.reading() as connection:
            for row in connection.execute(wanted):
                asked[row.annotator] = asked.get(row.annotator, 0) + 1
                right[row.annotator] = right.get(row.annotator, 0) + is_right(row.kind, row.value, row.right)
        return [GoldResult(annotator=a, num_asked=asked[a], num_right=right[a]) for a in sorted(asked)]


def is_right(kind: str, value: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether an answer agrees with the right one: the same choice, or a score nearer than a tenth of the scale."""
    if kind == "rating":
        return abs(value["score"] - right["score"]) <= _NEAR * abs(right["high"] - right["low"])
    return value == right


def gold_among(connection: Connection, query_ids: Iterable[str]) -> set[str]:
    """Which of some queries are gold items."""
    if connection.execute(select(_GOLD.c.query_id).limit(1)).first() is None:
        return set()
    return rows.known(connection, _GOLD.c.query_id, query_ids)


def mix_in(ordinary: list[str], gold: list[str], share: float) -> list[str]:
    """Put gold items in the place of ordinary queries, each with a chance of `share`."""
    left, mixed = list(gold), list[str]()
    for query_id in ordinary:
        chosen = left and _chance.random() < share
        mixed.append(left.pop(_chance.randrange(len(left))) if chosen else query_id)
    return mixed
