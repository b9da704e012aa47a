"""The store in bulk: everything that was answered, a page at a time, and whatever a file brings, all or none of it."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from heeler.core.errors import ConflictError, StoreError
from heeler.core.nouns import AnySegment, Feedback, Query
from heeler.feedback import leasing, rows, schema
from heeler.feedback.database import Database
from heeler.feedback.segment_files import SegmentFolder
from heeler.feedback.withdrawal import forgotten_among, is_given

_ANSWERS_AT_ONCE = 1000
_SEGMENTS_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """Who answers."""

    id: str
    kind: Literal["person", "simulated", "program"] | None
    """None where a file does not say: whatever the store knows them as, a person where it does not know them."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer of a store, with the query that it is to."""

    position: int
    query: Query
    answer: Feedback
    received_unix_s: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be written, checked already; each part can be gone through once, in order."""

    policy_versions: Sequence[Mapping[str, Any]]
    annotators: Sequence[Mapping[str, Any]]
    segments: Iterable[AnySegment]
    queries: Iterable[Query]
    answers: Iterable[Mapping[str, Any]]
    """Rows of the feedback table, without their positions."""
    seen_position: int
    """No answer of the store up to this position has the key of one of them: only what came later is looked at again,
    so that others wait no longer than they must."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What of a load was new."""

    num_answers: int
    num_queries: int
    num_segments: int
    annotators: tuple[str, ...]


class Bulk:
    """An open store, seen as a whole.

    Args:
        database: of the store.
        folder: of its segments' files; None for a store that is used without them.
    """

    def __init__(self, database: Database, folder: SegmentFolder | None) -> None:
        self._database = database
        self._folder = folder

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one consistent state and cannot write."""
        return self._database.reading()

    def annotators(self) -> dict[str, Annotator]:
        """All annotators by id."""
        with self.reading() as connection:
            found = connection.execute(select(schema.annotators)).all()
        return {row.id: Annotator(id=row.id, kind=row.kind, note=row.note) for row in found}

    def queries(self, ids: Sequence[str]) -> dict[str, Query]:
        """Those of the queries that there are, by id."""
        with self.reading() as connection:
            return rows.queries_by_id(connection, ids)

    def last_position(self) -> int:
        """The position of the newest answer; 0 where there is none."""
        with self.reading() as connection:
            return connection.execute(select(func.max(schema.feedback.c.position))).scalar() or 0

    def answer_count(self, up_to: int) -> int:
        """Answers up to a position."""
        table = schema.feedback
        with self.reading() as connection:
            return connection.execute(select(func.count()).where(table.c.position <= up_to, is_given())).scalar_one()

    def answered(self, up_to: int, *, page: int = _ANSWERS_AT_ONCE) -> Generator[list[Answered]]:
        """Pages of answers up to a position, in order."""
        table, after = schema.feedback, 0
        while True:
            wanted = select(table).where(table.c.position > after, table.c.position <= up_to, is_given())
            with self.reading() as connection:
                found = connection.execute(wanted.order_by(table.c.position).limit(page)).all()
                queries = rows.queries_by_id(connection, [row.query_id for row in found])
            if not found:
                return
            yield [_answered(row, queries[row.query_id]) for row in found]
            after = found[-1].position

    def answered_queries(
        self, up_to: int, *, page: int = 200, with_open: bool = False
    ) -> Generator[list[tuple[Query, list[Answered]]]]:
        """Pages of queries that have answers up to a position, in the order asked, with those answers in order.

        Args:
            up_to: the position.
            page: queries at once.
            with_open: also those that have none.
        """
        asked, table, after = schema.queries, schema.feedback, 0
        has_one = (
            select(table.c.position)
            .where(table.c.query_id == asked.c.id, table.c.position <= up_to, is_given())
            .limit(1)
            .exists()
        )
        while True:
            with self.reading() as connection:
                wanted = select(asked.c.number, asked.c.id).where(asked.c.number > after)
                wanted = wanted if with_open else wanted.where(has_one)
                found = connection.execute(wanted.order_by(asked.c.number).limit(page)).all()
                ids = [row.id for row in found]
                queries = rows.queries_by_id(connection, ids)
                given = select(table).where(table.c.query_id.in_(ids), table.c.position <= up_to, is_given())
                answers: dict[str, list[Answered]] = {query_id: [] for query_id in ids}
                for row in connection.execute(given.order_by(table.c.position)):
                    answers[row.query_id].append(_answered(row, queries[row.query_id]))
            if not found:
                return
            yield [(queries[query_id], answers[query_id]) for query_id in ids]
            after = found[-1].number

    def load(self, load: Load) -> Loaded:
        """Write everything in one transaction: it is all there when this returns, or none of it.

        The segments' files come first and may stay where the rest is refused: nothing names them.

        Raises:
            ConflictError: another process has written something since that does not go with it.
            StoreError: the disk is full or read-only.
        """
        num_segments = 0
        fresh_segments: list[dict[str, Any]] = []
        for some in _pages(load.segments, _SEGMENTS_AT_ONCE):
            if self._folder is None:
                raise StoreError(f"store {self._database.name}: opened without a segments folder; give segments_dir")
            self._folder.write({s.id: s for s in some if not self._folder.has(s.id)})
            fresh_segments += [rows.segment_row(segment.id, segment) for segment in some]
        with self._database.writing() as connection:
            _insert_policy_versions(connection, load.policy_versions)
            annotators = _insert_annotators(connection, load.annotators)
            for some in _pages(fresh_segments, _ANSWERS_AT_ONCE):
                held = rows.known(connection, schema.segments.c.id, [row["id"] for row in some])
                fresh = [row for row in some if row["id"] not in held]
                rows.insert_all(connection, schema.segments, fresh)
                num_segments += len(fresh)
            num_queries = sum(_insert_queries(connection, some) for some in _pages(load.queries, _ANSWERS_AT_ONCE))
            later = _bodies_after(connection, load.seen_position)
            num_answers = sum(
                _insert_answers(connection, some, later) for some in _pages(load.answers, _ANSWERS_AT_ONCE)
            )
        return Loaded(
            num_answers=num_answers, num_queries=num_queries, num_segments=num_segments, annotators=tuple(annotators)
        )


def _insert_policy_versions(connection: Connection, wanted: Sequence[Mapping[str, Any]]) -> None:
    table = schema.policy_versions
    steps = {row.version: row.step for row in connection.execute(select(table.c.version, table.c.step))}
    for row in wanted:
        if steps.get(row["version"], row["step"]) != row["step"]:
            raise ConflictError(f"policy version {row['version']} was made at step {steps[row['version']]} meanwhile")
    rows.insert_all(connection, table, [row for row in wanted if row["version"] not in steps])


def _insert_annotators(connection: Connection, wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    held = rows.annotator_kinds(connection, [row["id"] for row in wanted])
    if forgotten_among(connection, [row["id"] for row in wanted]):
        raise ConflictError("annotator: somebody whose answers are in the file was forgotten meanwhile; do it again")
    for row in wanted:
        if held.get(row["id"], row["kind"]) != row["kind"]:
            raise ConflictError(f"annotator {row['id']!r} is a {held[row['id']]}, not a {row['kind']}, meanwhile")
    fresh = [row for row in wanted if row["id"] not in held]
    rows.insert_all(connection, schema.annotators, fresh)
    return [row["id"] for row in fresh]


def _insert_queries(connection: Connection, wanted: Sequence[Query]) -> int:
    held = rows.queries_by_id(connection, [query.id for query in wanted])
    for query in wanted:
        other = held.get(query.id, query)
        if (other.kind, other.segment_ids) != (query.kind, query.segment_ids):
            raise ConflictError(f"query {query.id} asks about {list(other.segment_ids)} meanwhile")
    fresh = [query for query in wanted if query.id not in held]
    rows.insert_queries(connection, fresh)
    return len(fresh)


def _bodies_after(connection: Connection, position: int) -> dict[str, str]:
    table = schema.feedback
    found = connection.execute(select(table.c.key, table.c.body_sha256).where(table.c.position > position))
    return {row.key: row.body_sha256 for row in found}


def _insert_answers(connection: Connection, wanted: Sequence[Mapping[str, Any]], held: Mapping[str, str]) -> int:
    for row in wanted:
        if held.get(row["key"], row["body_sha256"]) != row["body_sha256"]:
            raise ConflictError(
                f"the answer {row['key']} came with another body meanwhile; a new answer needs a new key"
            )
    fresh = [row for row in wanted if row["key"] not in held] if held else wanted
    rows.insert_all(connection, schema.feedback, fresh)
    leasing.settle(connection, fresh, once_each=False)
    return len(fresh)


def _answered(row: Row[Any], query: Query) -> Answered:
    return Answered(
        position=row.position, query=query, answer=rows.feedback_of(row), received_unix_s=row.received_unix_s
    )


def _pages(values: Iterable[Any], size: int) -> Generator[list[Any]]:
    page: list[Any] = []
    for value in values:
        page.append(value)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
