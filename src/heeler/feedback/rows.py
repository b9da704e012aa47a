"""Between the store's rows and the nouns: plain SQLAlchemy Core that any of its databases understands."""

import re
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, Row, String, Table, func, insert, select

from heeler.core.errors import DataError
from heeler.core.nouns import TEXT, AnySegment, Feedback, Query, TextSegment
from heeler.feedback import schema
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.form import SegmentFacts
from heeler.feedback.intake import feedback_kind
from heeler.feedback.told import ACTIONS

_VALUES_AT_ONCE = 500
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def known(connection: Connection, column: ColumnElement[Any], wanted: Iterable[Any]) -> set[Any]:
    """Which of the wanted values the column holds."""
    found: set[Any] = set()
    for some in chunks(wanted):
        found.update(connection.execute(select(column).where(column.in_(some))).scalars())
    return found


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in their order; none is fine."""
    if rows:
        connection.execute(insert(table), rows)


def check_fits(table: Table, row: Mapping[str, Any]) -> None:
    """Refuse what a column cannot hold: much of it SQLite would take, and PostgreSQL would not.

    Raises:
        DataError: naming the column.
    """
    for name, value in row.items():
        kind = table.c[name].type
        if isinstance(kind, Integer) and isinstance(value, int):
            num_bits = 63 if isinstance(kind, BigInteger) else 31
            if not -(2**num_bits) <= value < 2**num_bits:
                raise DataError(f"{name}: expected a whole number below 2**{num_bits}, got {value}")
        if not isinstance(kind, String) or not isinstance(value, str):
            continue
        if kind.length is not None and len(value) > kind.length:
            raise DataError(f"{name}: expected at most {kind.length} characters, got {len(value)}")
        if not _is_storable(value):
            raise DataError(f"{name}: expected text without NUL characters and half surrogates, got {value!r}")


def _is_storable(value: Any) -> bool:
    return not isinstance(value, str) or _UNSTORABLE.search(value) is None


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all give the same columns, in plain types; JSON columns are given as their text.

    SQLAlchemy writes the statement; the values go to the driver as they are, which takes half the time.
    """
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=list(rows[0]))
    names = compiled.positiontup
    values: Any = rows if names is None else list(map(itemgetter(*names), rows))
    connection.exec_driver_sql(str(compiled), values)


def count(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    """Rows of a table."""
    return connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()


def count_by(connection: Connection, column: ColumnElement[str], *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Rows for each value of a column, the most frequent first."""
    number = func.count()
    wanted = select(column, number).where(*conditions).group_by(column).order_by(number.desc(), column)
    return {name: total for name, total in connection.execute(wanted)}


def segment_row(segment_id: str, segment: AnySegment) -> dict[str, Any]:
    """A segment's row; its arrays or its text are in its file."""
    facts = vars(facts_of(segment)).copy()
    # Those of the whole world stand in a setting of their own.
    del facts["actions"]
    return {
        "id": segment_id,
        "policy_version": segment.policy_version,
        "start_step": 0 if isinstance(segment, TextSegment) else segment.start_step,
        **facts,
    }


def facts_of(segment: AnySegment) -> SegmentFacts:
    """What its row says of a segment; what its world's actions are it does not say."""
    is_text = isinstance(segment, TextSegment)
    return SegmentFacts(
        env_id=segment.env_id,
        trajectory_id=segment.trajectory_id,
        num_steps=len(segment),
        observation_size=0 if is_text else segment.observation.shape[1],
        action_size=0 if is_text else segment.action.shape[1],
        action_discrete=not is_text and segment.action.dtype.kind == "i",
    )


def segment_facts(connection: Connection, wanted: Iterable[str]) -> dict[str, SegmentFacts]:
    """What is known of the wanted segments without their files, by id."""
    found, actions = dict[str, SegmentFacts](), action_bounds(connection)
    for some in chunks(wanted):
        for row in connection.execute(select(schema.segments).where(schema.segments.c.id.in_(some))):
            found[row.id] = SegmentFacts(
                env_id=row.env_id,
                trajectory_id=row.trajectory_id,
                num_steps=row.num_steps,
                observation_size=row.observation_size,
                action_size=row.action_size,
                action_discrete=row.action_discrete,
                actions=None if row.env_id == TEXT else actions,
            )
    return found


def action_bounds(connection: Connection) -> ActionBounds | None:
    """Which actions the world of the store's run has; None where no learner has told."""
    table = schema.settings
    told = connection.execute(select(table.c.value).where(table.c.name == ACTIONS)).scalar()
    return None if told is None else ActionBounds.from_setting(told)


def annotator_kinds(connection: Connection, wanted: Iterable[str]) -> dict[str, str]:
    """What kind of annotator each of the wanted ones is that there are."""
    table, found = schema.annotators, dict[str, str]()
    for some in chunks(wanted):
        rows = connection.execute(select(table.c.id, table.c.kind).where(table.c.id.in_(some)))
        found.update((row.id, row.kind) for row in rows)
    return found


def query_row(query: Query) -> dict[str, Any]:
    """A query's row; its segments are rows of their own."""
    return {
        "id": query.id,
        "kind": query.kind,
        "policy_version": query.policy_version,
        "asked_step": query.asked_step,
        "acquisition": query.acquisition,
        "score": float(query.score),
    }


def newest_queries(connection: Connection, *, limit: int, before: int | None) -> list[tuple[int, Query, int]]:
    """Queries with their numbers and how many have answered, the newest first, those below number `before`."""
    table = schema.queries
    wanted = select(table.c.number, table.c.id, table.c.num_answers).order_by(table.c.number.desc()).limit(limit)
    found = connection.execute(wanted if before is None else wanted.where(table.c.number < before)).all()
    queries = queries_by_id(connection, [row.id for row in found])
    return [(row.number, queries[row.id], row.num_answers) for row in found]


def insert_queries(connection: Connection, queries: Sequence[Query]) -> None:
    """Insert queries, and which segments each shows."""
    insert_all(connection, schema.queries, [query_row(query) for query in queries])
    places = [(query.id, place, name) for query in queries for place, name in enumerate(query.segment_ids)]
    shown = [{"query_id": query_id, "place": place, "segment_id": name} for query_id, place, name in places]
    insert_all(connection, schema.query_segments, shown)


def queries_by_id(connection: Connection, wanted: Iterable[str]) -> dict[str, Query]:
    """The wanted queries that there are."""
    asked, shown = schema.queries, schema.query_segments
    rows: dict[str, Row[Any]] = {}
    segment_ids: dict[str, list[str]] = {}
    for some in chunks(wanted):
        rows.update((row.id, row) for row in connection.execute(select(asked).where(asked.c.id.in_(some))).all())
        places = select(shown.c.query_id, shown.c.segment_id).where(shown.c.query_id.in_(some))
        for name, segment_id in connection.execute(places.order_by(shown.c.query_id, shown.c.place)).all():
            segment_ids.setdefault(name, []).append(segment_id)
    return {name: _query(row, tuple(segment_ids[name])) for name, row in rows.items()}


def bodies(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
    """(position, SHA-256 of the body) of the answers that are there, by key."""
    table = schema.feedback
    found: dict[str, tuple[int, str]] = {}
    for some in chunks(keys):
        wanted = select(table.c.key, table.c.position, table.c.body_sha256).where(table.c.key.in_(some))
        found.update((row.key, (row.position, row.body_sha256)) for row in connection.execute(wanted).all())
    return found


def feedback_of(row: Row[Any]) -> Feedback:
    """The answer that a row of the feedback table holds."""
    return Feedback(
        key=row.key,
        query_id=row.query_id,
        kind=feedback_kind(row.kind),
        value=row.value,
        annotator=row.annotator,
        time_taken_s=row.time_taken_s,
        confidence=row.confidence,
        answered_step=row.answered_step,
        view=row.view,
    )


def _query(row: Row[Any], segment_ids: tuple[str, ...]) -> Query:
    return Query(
        id=row.id,
        kind=feedback_kind(row.kind),
        segment_ids=segment_ids,
        policy_version=row.policy_version,
        asked_step=row.asked_step,
        acquisition=row.acquisition,
        score=row.score,
    )


def chunks(values: Iterable[Any]) -> Generator[Collection[Any]]:
    """Different values, a few hundred at a time, as databases limit what one statement may name.

    Text that no column can hold is left out: no row has it, and to look for it would fail for all.
    """
    unique = [value for value in dict.fromkeys(values) if _is_storable(value)]
    for start in range(0, len(unique), _VALUES_AT_ONCE):
        yield unique[start : start + _VALUES_AT_ONCE]
