"""Answers of a chat: which segment each is, by the id under which it was given out, and to whom.

What people say of an answer is feedback like any other, to a query that is made for it when they say it. Nobody else is
asked such a query, since a chat is between a person and the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, select

from heeler.core.errors import DataError
from heeler.core.live import LIVE
from heeler.core.privacy import Redacted
from heeler.feedback import rows, schema
from heeler.feedback.database import Database

CHAT = "chat"
"""Acquisition of queries about answers of a chat."""
GUARD = "guard:"
"""What the annotators begin with that stand for guards."""
KEPT_BACK, CHANGED = "kept-", "changed-"
"""What the ids of answers begin with that nobody was given: guards kept them back, or gave others in their place."""
GUARD_ACTS = "chat_guard_acts"
"""Setting of the store that counts what guards of a chat did, by `incoming` or `outgoing` and the rule."""

Marks = tuple[tuple[int, int, int], ...]
_TABLE = schema.completions


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer that somebody was given."""

    id: str
    """Under which it was given out."""
    choice: int
    """Which of those that were given at once, from 0 on."""
    segment_id: str
    """Of the prompt with the answer, both without what must not be kept."""
    annotator: str
    """Who was given it."""
    conversation: str | None
    """A UUID that its client made; None where it said none."""
    title: str
    """What the conversation began with."""
    marks: Marks
    """What was taken out of the answer before it was kept, as in `Redacted.cuts`."""
    created_unix_s: float


class Completions:
    """The answers of chats in an open store.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, completions: Sequence[Completion]) -> None:
        """Keep which answers were given; their segments and annotators are there already.

        Raises:
            DataError: a field does not fit, or an annotator was forgotten meanwhile.
        """
        table = schema.annotators
        for completion in completions:
            rows.check_fits(_TABLE, vars(completion))
        with self._database.writing() as connection:
            people = rows.known(connection, table.c.id, {completion.annotator for completion in completions})
            for completion in completions:
                if completion.annotator not in people:
                    raise DataError("annotator: this one is unknown, or was forgotten; nothing of the chat was kept")
            rows.insert_all(connection, _TABLE, [asdict(completion) for completion in completions])

    def get(self, completion_id: str, choice: int, annotator: str) -> Completion | None:
        """The answer of this id that this annotator was given; None where there is none, or it was somebody else's."""
        found = self.choices(completion_id, annotator)
        return next((completion for completion in found if completion.choice == choice), None)

    def choices(self, completion_id: str, annotator: str) -> list[Completion]:
        """All answers that this annotator was given under one id, in order."""
        return self._found(_TABLE.c.id == completion_id, _TABLE.c.annotator == annotator)

    def conversations(self, annotator: str, *, limit: int, before: int | None) -> list[tuple[int, Completion]]:
        """The newest answer of each of somebody's conversations with its number, the newest first, below `before`."""
        newest = select(func.max(_TABLE.c.number)).where(_TABLE.c.annotator == annotator)
        newest = newest.where(_TABLE.c.conversation.is_not(None)).group_by(_TABLE.c.conversation)
        wanted = select(_TABLE).where(_TABLE.c.number.in_(newest)).order_by(_TABLE.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(_TABLE.c.number < before)
        with self._database.reading() as connection:
            return [(row.number, _completion(row)) for row in connection.execute(wanted)]

    def of_conversation(self, annotator: str, conversation: str) -> list[Completion]:
        """The answers of one of somebody's conversations, the oldest first."""
        return self._found(_TABLE.c.annotator == annotator, _TABLE.c.conversation == conversation)

    def preferred(self, query_id: str, annotator: str) -> str | None:
        """What somebody said last about a pair of answers: `left`, `right`, `equal`, `cant_tell`; None for nothing."""
        table = schema.feedback
        said = select(table.c.value["choice"].as_string()).where(table.c.query_id == query_id)
        said = said.where(table.c.annotator == annotator, table.c.kind == "preference")
        with self._database.reading() as connection:
            return connection.execute(said.order_by(table.c.position.desc()).limit(1)).scalar()

    def kept_back(self, version: int, after: int, limit: int) -> list[tuple[int, bool]]:
        """Numbers, above `after`, of the answers that a version of the policy made, the oldest first, and whether
        guards kept each back."""
        wanted = select(_TABLE.c.number, _TABLE.c.id).join(schema.segments, schema.segments.c.id == _TABLE.c.segment_id)
        wanted = wanted.where(schema.segments.c.policy_version == version, _TABLE.c.number > after)
        # Of an answer that was changed, the one that was given stands beside it.
        wanted = wanted.where(_TABLE.c.id.not_like(f"{CHANGED}%")).order_by(_TABLE.c.number).limit(limit)
        with self._database.reading() as connection:
            return [(row.number, row.id.startswith(KEPT_BACK)) for row in connection.execute(wanted)]

    def called_bad(self, version: int, after: int, limit: int) -> list[tuple[int, bool]]:
        """Positions, above `after`, of what people said of answers of a version, the oldest first, and whether it calls
        them bad: a bad mark, or a better answer in their place. Of each answer the first word of each kind counts."""
        said, asked, shown = schema.feedback, schema.queries, schema.query_segments
        before = said.alias()
        is_repeated = exists().where(before.c.query_id == said.c.query_id, before.c.position < said.c.position)
        wanted = select(said.c.position, said.c.kind, said.c.value).join(asked, asked.c.id == said.c.query_id)
        wanted = wanted.join(shown, shown.c.query_id == asked.c.id)
        wanted = wanted.join(schema.segments, schema.segments.c.id == shown.c.segment_id)
        wanted = wanted.where(is_of_chat(), schema.segments.c.policy_version == version, said.c.position > after)
        wanted = wanted.where(said.c.kind.in_(("evaluation", "correction")), said.c.annotator.not_like(f"{GUARD}%"))
        wanted = wanted.where(~is_repeated).order_by(said.c.position).limit(limit)
        with self._database.reading() as connection:
            return [(row.position, _calls_bad(row.kind, row.value)) for row in connection.execute(wanted)]

    def _found(self, *conditions: ColumnElement[bool]) -> list[Completion]:
        wanted = select(_TABLE).where(*conditions).order_by(_TABLE.c.number)
        with self._database.reading() as connection:
            return [_completion(row) for row in connection.execute(wanted)]


def is_of_chat() -> ColumnElement[bool]:
    """Whether a row of `queries` is about an answer of a chat, and so asked of nobody else."""
    return schema.queries.c.acquisition == CHAT


def is_asked_elsewhere() -> ColumnElement[bool]:
    """Whether a row of `queries` is put to people where they chat, or where they watch a run live, and not in turn."""
    return schema.queries.c.acquisition.in_((CHAT, LIVE))


def kept_part(marks: Marks, start: int, end: int) -> tuple[int, int]:
    """Where a part of an answer as it was shown lies in what was kept of it.

    A part that begins or ends within what was taken out holds all of the mark in its place.

    >>> kept_part(((5, 20, 8),), 0, 25)
    (0, 18)
    """
    return Redacted(text="", counts={}, cuts=marks).moved(start, end)


def let_go(connection: Connection, annotator: str) -> set[str]:
    """Forget which answers somebody was given; returns the segments that nobody else was given."""
    mine = set(connection.execute(select(_TABLE.c.segment_id).where(_TABLE.c.annotator == annotator)).scalars())
    connection.execute(delete(_TABLE).where(_TABLE.c.annotator == annotator))
    return mine - rows.known(connection, _TABLE.c.segment_id, mine)


def queries_about(connection: Connection, segment_ids: set[str]) -> list[str]:
    """Ids of the queries of chats that show any of these segments."""
    shown, found = schema.query_segments, set[str]()
    for some in rows.chunks(segment_ids):
        wanted = select(shown.c.query_id).join(schema.queries, schema.queries.c.id == shown.c.query_id)
        found.update(connection.execute(wanted.where(shown.c.segment_id.in_(some), is_of_chat())).scalars())
    return sorted(found)


def _calls_bad(kind: str, value: Mapping[str, Any]) -> bool:
    return kind == "correction" or any(mark["sign"] < 0 for mark in value["marks"])


def _completion(row: Row[Any]) -> Completion:
    return Completion(
        id=row.id,
        choice=row.choice,
        segment_id=row.segment_id,
        annotator=row.annotator,
        conversation=row.conversation,
        title=row.title,
        marks=tuple((start, end, length) for start, end, length in row.marks),
        created_unix_s=row.created_unix_s,
    )
