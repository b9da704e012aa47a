"""What a file brings, checked against a store and kept aside until the whole file was looked at.

It lies in a temporary SQLite database without a name, on the disk where it is large (in the folder that `SQLITE_TMPDIR`
or `TMPDIR` names), which goes with the process, even one that is killed. So nothing is held twice, the store is not
locked while the file is read, and a file with one bad row at its end has changed nothing.
"""

import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    RowMapping,
    StaticPool,
    String,
    Table,
    Text,
    create_engine,
    select,
)
from sqlalchemy.exc import DBAPIError

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.core.nouns import TEXT, AnySegment, PolicyVersion, Query, Segment, TextSegment
from heeler.feedback import rows, schema
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.bulk import Annotator, Load
from heeler.feedback.intake import Place, check_query, named_segments
from heeler.feedback.shown_by import referred_to
from heeler.feedback.store import Store
from heeler.feedback.told import ACTIONS
from heeler.feedback.transfer.answer_check import AnswerCheck, known_facts, known_queries
from heeler.feedback.transfer.files import Located, json_text
from heeler.feedback.transfer.items import Answer, Incoming, Left
from heeler.feedback.transfer.redactions import Redactions
from heeler.feedback.transfer.segment_fields import segment_fields, segment_of
from heeler.feedback.transfer.tally import Tally
from heeler.feedback.withdrawal import id_sha256

_ITEMS_AT_ONCE = 500
_ROWS_AT_ONCE = 1000

_aside = MetaData()
_arrays = Table("arrays", _aside, Column("id", String(64), primary_key=True), Column("fields", Text, nullable=False))


class Staging:
    """A file's content on its way into a store.

    Args:
        store: which it is to go into; it is only read.
        format_name: names the keys of answers that come without.
        env_id: the world of the store's run; None to take segments of any.
    """

    def __init__(self, store: Store, format_name: str, env_id: str | None) -> None:
        self._bulk, self._format_name, self._env_id = store.bulk, format_name, env_id
        self._seen_position = self._bulk.last_position()
        self._annotators = self._bulk.annotators()
        self._forgotten = store.withdrawals.hashes()
        self._new_annotators: dict[str, Annotator] = {}
        self._steps = {policy.version: policy.step for policy in store.policy_versions()}
        self._has_policies = bool(self._steps)
        self._actions = store.action_bounds()
        self._new_policies: dict[int, PolicyVersion] = {}
        self._shapes: dict[str, tuple[int, int, bool]] = {}
        self._shown_by_forgotten: set[str] = set()
        self._redactions = Redactions()
        self._engine = _private_database(self._actions)
        self.tally = Tally()
        """Answers that the file has, and what else it has that is none."""

    def close(self) -> None:
        """Let go of everything."""
        self._engine.dispose()

    @contextmanager
    def _plain_errors(self) -> Generator[None]:
        try:
            yield
        except DBAPIError as error:
            place = "the folder of temporary files, where what was checked lies"
            raise StoreError(f"{place}: {error.orig}; make room, or name another with TMPDIR") from error

    def take(self, incoming: Iterable[Incoming]) -> None:
        """Check everything that comes, and keep it aside.

        Raises:
            DataError: something does not hold; names its place and field.
            ConflictError: something has another content than what the store has under its name.
            StoreError: there is no room for temporary files.
        """
        iterator = iter(incoming)
        while some := list(islice(iterator, _ITEMS_AT_ONCE)):
            with self._plain_errors(), self._bulk.reading() as held, self._engine.begin() as aside:
                self._take_small(some)
                self._take_segments(held, aside, _of(some, Segment, TextSegment))
                self._take_queries(held, aside, _of(some, Query))
                self._take_answers(held, aside, _of(some, Answer))

    def load(self) -> Load:
        """Everything, to be written."""
        policies = [
            {"version": p.version, "step": p.step, "checkpoint_sha256": p.checkpoint_sha256}
            for p in self._new_policies.values()
        ]
        people = [{"id": a.id, "kind": a.kind, "note": a.note} for a in self._new_annotators.values()]
        return Load(
            policy_versions=policies,
            annotators=people,
            segments=self._segments(),
            queries=self._queries(),
            answers=self._answers(),
            seen_position=self._seen_position,
        )

    # Checking

    def _take_small(self, some: Sequence[Incoming]) -> None:
        for incoming in some:
            with Located(incoming.place):
                if isinstance(incoming.item, PolicyVersion):
                    self._take_policy(incoming.item)
                elif isinstance(incoming.item, Annotator):
                    self._take_annotator(incoming.item)
                elif isinstance(incoming.item, Left):
                    self.tally.leave_out(incoming.item.what)

    def _take_policy(self, policy: PolicyVersion) -> None:
        step = self._steps.get(policy.version)
        if step is not None and step != policy.step:
            place = f"policy_version.step: version {policy.version} was made at step {step}, not {policy.step}"
            raise ConflictError(f"{place}; this is the feedback of another run, and its policies are not this run's")
        if step is None and self._has_policies:
            raise DataError(
                f"policy_version.version: this run has no policy {policy.version}; the feedback of another run "
                "can only go into one that has none yet"
            )
        if step is None:
            row = {"version": policy.version, "step": policy.step, "checkpoint_sha256": policy.checkpoint_sha256}
            with Place("policy_version"):
                rows.check_fits(schema.policy_versions, row)
            self._steps[policy.version] = policy.step
            self._new_policies[policy.version] = policy

    def _is_forgotten(self, annotator: str) -> bool:
        return bool(self._forgotten) and id_sha256(annotator) in self._forgotten

    def _take_annotator(self, annotator: Annotator) -> None:
        if self._is_forgotten(annotator.id):
            return
        known = self._annotators.get(annotator.id)
        if known is None:
            annotator = replace(annotator, kind=annotator.kind or "person")
            with Place("annotator"):
                rows.check_fits(schema.annotators, {"id": annotator.id, "note": annotator.note})
            self._annotators[annotator.id] = self._new_annotators[annotator.id] = annotator
        elif annotator.kind not in (None, known.kind):
            raise ConflictError(f"annotator.kind: {annotator.id!r} is a {known.kind}, not a {annotator.kind}")

    def _take_segments(self, held: Connection, aside: Connection, some: list[tuple[str, AnySegment]]) -> None:
        some = self._redacted(held, some)
        known = known_facts(held, aside, [segment.id for _, segment in some])
        fresh: dict[str, AnySegment] = {}
        for place, segment in some:
            with Located(place):
                if segment.policy_version not in self._steps:
                    raise DataError(f"segment.policy_version: no line before says what {segment.policy_version} is")
                self._check_world(held, segment)
                with Place("segment"):
                    rows.check_fits(schema.segments, rows.segment_row(segment.id, segment))
                if segment.id not in known:
                    if self._actions is not None and isinstance(segment, Segment):
                        self._actions.check_steps(segment.action, "segment.action")
                    fresh[segment.id] = segment
        rows.insert_all(aside, schema.segments, [rows.segment_row(name, segment) for name, segment in fresh.items()])
        texts = [{"id": name, "fields": json_text(segment_fields(segment))} for name, segment in fresh.items()]
        rows.insert_all(aside, _arrays, texts)

    def _redacted(self, held: Connection, some: list[tuple[str, AnySegment]]) -> list[tuple[str, AnySegment]]:
        """Texts as they may be kept; what a program put into this store itself is known to it as it is."""
        texts = [segment.id for _, segment in some if isinstance(segment, TextSegment)]
        known = rows.segment_facts(held, texts)
        kept: list[tuple[str, AnySegment]] = []
        for place, segment in some:
            if isinstance(segment, TextSegment) and segment.id not in known:
                with Located(place):
                    segment = self._redactions.segment(segment)
            kept.append((place, segment))
        return kept

    def _check_world(self, held: Connection, segment: AnySegment) -> None:
        """A learner that met a segment of another world or size would break down at it."""
        if segment.env_id == TEXT and self._env_id not in (None, TEXT):
            raise DataError(
                f"segment: a text, and this is a run in the world {self._env_id!r}, which learns nothing from texts; "
                "take it into a folder of texts, which import makes with --new"
            )
        if self._env_id == TEXT and segment.env_id != TEXT:
            raise DataError(f"segment.env_id: a clip of {segment.env_id!r}, and this is a folder of texts")
        if self._env_id is not None and segment.env_id != self._env_id:
            raise DataError(f"segment.env_id: expected the run's own {self._env_id!r}, got {segment.env_id!r}")
        table = schema.segments
        if segment.env_id not in self._shapes:
            columns = (table.c.observation_size, table.c.action_size, table.c.action_discrete)
            one = held.execute(select(*columns).where(table.c.env_id == segment.env_id).limit(1)).one_or_none()
            self._shapes[segment.env_id] = _shape(segment) if one is None else (one[0], one[1], one[2])
        expected = self._shapes[segment.env_id]
        if _shape(segment) != expected:
            sizes = (
                f"{expected[0]} observation numbers and {expected[1]} {'whole ' if expected[2] else ''}action numbers"
            )
            raise DataError(f"segment: expected {sizes} as other segments of {segment.env_id!r} have, got others")

    def _take_queries(self, held: Connection, aside: Connection, some: list[tuple[str, Query]]) -> None:
        kept = [(place, self._redactions.query(query)) for place, query in some]
        some = [(place, query) for place, query in kept if query is not None]
        for _ in range(len(kept) - len(some)):
            self.tally.leave_out("questions about texts that are alike once redacted")
        known = known_queries(held, aside, [query.id for _, query in some])
        segments = known_facts(held, aside, [i for _, query in some for i in query.segment_ids])
        fresh: dict[str, Query] = {}
        for place, query in some:
            with Located(place), Place("query"):
                check_query(query, segments, self._steps)
                rows.check_fits(schema.queries, rows.query_row(query))
                other = known.get(query.id) or fresh.setdefault(query.id, query)
                if (other.kind, other.segment_ids) != (query.kind, query.segment_ids):
                    raise ConflictError(f"query.id: {query.id} already asks about {list(other.segment_ids)}")
        rows.insert_queries(aside, list(fresh.values()))

    def _take_answers(self, held: Connection, aside: Connection, some: list[tuple[str, Answer]]) -> None:
        some = [(place, self._redactions.answer(answer)) for place, answer in some]
        some = [(place, answer) for place, answer in some if not self._passed_over(answer)]
        check = AnswerCheck(held, aside, [answer for _, answer in some], self._annotators, self._format_name)
        for place, answer in some:
            with Located(place):
                check.add(answer)
            self.tally.num_answers += 1
        rows.insert_all(aside, schema.feedback, check.fresh())

    def _passed_over(self, answer: Answer) -> bool:
        if self._is_forgotten(answer.feedback.annotator):
            self.tally.leave_out("answers of somebody who was forgotten")
            self._shown_by_forgotten |= named_segments([answer.feedback])
        elif self._redactions.is_left_out(answer):
            self.tally.leave_out("answers about texts that are alike once redacted")
        else:
            return False
        return True

    # What was kept aside

    def _segments(self) -> Generator[AnySegment]:
        with self._engine.connect() as aside:
            # What they showed is said by nobody else: it was theirs as much as their answer.
            left_out = self._shown_by_forgotten - referred_to(aside, self._shown_by_forgotten)
        for page in self._pages(_arrays, _arrays.c.id):
            yield from (segment_of(json.loads(row["fields"])) for row in page if row["id"] not in left_out)

    def _queries(self) -> Generator[Query]:
        for page in self._pages(schema.queries, schema.queries.c.number):
            with self._engine.connect() as aside:
                found = rows.queries_by_id(aside, [row["id"] for row in page])
            yield from (found[row["id"]] for row in page)

    def _answers(self) -> Generator[Mapping[str, Any]]:
        for page in self._pages(schema.feedback, schema.feedback.c.position):
            for row in map(dict[str, Any], page):
                del row["position"]
                yield row

    def _pages(self, table: Table, column: Column[Any]) -> Generator[Sequence[RowMapping]]:
        after: Any = None
        while True:
            wanted = select(table).order_by(column).limit(_ROWS_AT_ONCE)
            with self._engine.connect() as aside:
                page = aside.execute(wanted if after is None else wanted.where(column > after)).mappings().all()
            if not page:
                return
            yield page
            after = page[-1][column.name]


def _private_database(actions: ActionBounds | None) -> Engine:
    """An SQLite database without a name, with the store's tables; nothing in it needs to outlive this process."""
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect("", check_same_thread=False), poolclass=StaticPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = OFF")
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
    schema.metadata.create_all(engine)
    _aside.create_all(engine)
    if actions is not None:
        with engine.begin() as aside:
            rows.insert_all(aside, schema.settings, [{"name": ACTIONS, "value": actions.to_setting()}])
    return engine


def _shape(segment: AnySegment) -> tuple[int, int, bool]:
    facts = rows.facts_of(segment)
    return facts.observation_size, facts.action_size, facts.action_discrete


_T = TypeVar("_T")


def _of(some: Sequence[Incoming], *kinds: type[_T]) -> list[tuple[str, _T]]:
    return [(incoming.place, incoming.item) for incoming in some if isinstance(incoming.item, kinds)]
