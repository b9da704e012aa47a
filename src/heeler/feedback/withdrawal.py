"""Forgetting an annotator: their answers stay under a pseudonym that leads nowhere, or what they said is removed.

Everything else that they did to the store stands under the pseudonym in either case: what they reported, the commands
that they gave, and which right answers they knew.

An answer that is removed leaves a row at its position, of the kind `withdrawn`: the learner counts by positions, and a
position that held one answer must never hold another. The row holds nothing of what was said, by whom, or when. The
annotator's own id is kept as a hash alone, so that answers that come late, or come back in an old export, are refused.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, select, update

from heeler.core.errors import DataError, StoreError
from heeler.core.nouns import stable_id
from heeler.feedback import completions, rows, schema, scrubbing, shown_by
from heeler.feedback.database import Database
from heeler.feedback.intake import body_sha256
from heeler.feedback.segment_files import SegmentFolder

AnswersFate = Literal["keep", "remove"]
ANSWERS_FATES: tuple[AnswersFate, ...] = get_args(AnswersFate)

WITHDRAWN = "withdrawn"
"""Kind of the row that an answer leaves when it is removed, and start of the annotator's id that it names."""

_FEEDBACK, _WITHDRAWALS, _QUERIES = schema.feedback, schema.withdrawals, schema.queries
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """That an annotator was forgotten."""

    number: int
    """It counts up: the learner looks whether there are new ones."""
    answers: AnswersFate
    num_answers: int
    """How many answers they had given."""
    first_position: int | None
    """Of the first of them; None where there was none."""
    withdrawn_unix_s: float


class Withdrawals:
    """The annotators of an open store who were forgotten.

    Args:
        database: of the store.
        folder: of its segments; None for a store that is used without them.
    """

    def __init__(self, database: Database, folder: SegmentFolder | None) -> None:
        self._database, self._folder = database, folder

    def forget(
        self,
        annotator: str,
        answers: AnswersFate,
        *,
        before_commit: Callable[[Withdrawal], object] = lambda _: None,
    ) -> Withdrawal:
        """Forget an annotator in one transaction; a second time returns what the first did.

        The files of what they showed go after it, and an SQLite file is written anew. Whoever is killed before that
        does it by forgetting them again.

        Args:
            annotator: who; where the store does not know them, that they must not come back is noted all the same.
            answers: `keep` under a pseudonym, or `remove`.
            before_commit: called with what will have been done; what it raises undoes it.

        Raises:
            DataError: `answers` is neither.
            StoreError: the store or its segments cannot be written.
        """
        if answers not in ANSWERS_FATES:
            raise DataError(f"answers: expected {' or '.join(ANSWERS_FATES)}, got {answers!r:.60}")
        done = self._forget(annotator, answers, before_commit)
        with self._database.writing() as connection:
            shown_by.remove_files(connection, self._folder)
        self._database.scrub()
        return done

    def _forget(
        self, annotator: str, answers: AnswersFate, before_commit: Callable[[Withdrawal], object]
    ) -> Withdrawal:
        with self._database.writing() as connection:
            same = _WITHDRAWALS.c.annotator_sha256 == id_sha256(annotator)
            known = connection.execute(select(_WITHDRAWALS).where(same)).one_or_none()
            if known is not None:
                return _withdrawal(known)
            num_answers, first_position = _given(connection, annotator)
            row = {
                "annotator_sha256": id_sha256(annotator),
                "answers": answers,
                "num_answers": num_answers,
                "first_position": first_position,
                "withdrawn_unix_s": time.time(),
            }
            connection.execute(insert(_WITHDRAWALS).values(row))
            self._replace(connection, annotator, answers)
            scrubbing.mark(connection)
            done = _withdrawal(connection.execute(select(_WITHDRAWALS).where(same)).one())
            before_commit(done)
            return done

    def _replace(self, connection: Connection, annotator: str, answers: AnswersFate) -> None:
        """Put a pseudonym in the annotator's place everywhere, and take out what they said if it is to go."""
        pseudonym = f"{'kept' if answers == 'keep' else WITHDRAWN}-{uuid.uuid4()}"
        shown = shown_by.shown_by(connection, annotator, id_sha256(annotator))
        named = shown_by.named_by(connection, annotator) if answers == "remove" else set[str]()
        chatted = completions.let_go(connection, annotator)
        table = schema.annotators
        kind = connection.execute(select(table.c.kind).where(table.c.id == annotator)).scalar()
        if kind is not None:
            connection.execute(insert(table).values(id=pseudonym, kind=kind, note=""))
            _replace_answers(connection, annotator, answers, pseudonym)
            connection.execute(delete(schema.leases).where(schema.leases.c.annotator == annotator))
            connection.execute(delete(table).where(table.c.id == annotator))
        _replace_acts(connection, annotator, answers, pseudonym)
        if answers == "remove":
            _remove_about(connection, chatted, pseudonym)
        named |= chatted
        if not shown | named:
            return
        if self._folder is None:
            raise StoreError(f"store {self._database.name}: opened without a segments folder; give segments_dir")
        shown_by.let_go(connection, self._folder, shown=shown, named=named, pseudonym=pseudonym)

    def all(self) -> list[Withdrawal]:
        """Everybody who was forgotten, the first first."""
        with self._database.reading() as connection:
            return [_withdrawal(r) for r in connection.execute(select(_WITHDRAWALS).order_by(_WITHDRAWALS.c.number))]

    def newest(self) -> int:
        """The number of the newest; 0 where nobody was forgotten."""
        with self._database.reading() as connection:
            return newest_number(connection)

    def positions(self) -> list[int]:
        """Positions of the answers that were removed, in order."""
        wanted = select(_FEEDBACK.c.position).where(_FEEDBACK.c.kind == WITHDRAWN).order_by(_FEEDBACK.c.position)
        with self._database.reading() as connection:
            return list(connection.execute(wanted).scalars())

    def hashes(self) -> set[str]:
        """`id_sha256` of everybody who was forgotten."""
        with self._database.reading() as connection:
            return set(connection.execute(select(_WITHDRAWALS.c.annotator_sha256)).scalars())


def id_sha256(annotator: str) -> str:
    """All that is kept of a forgotten annotator's id: it is random and long, so that it cannot be guessed from this."""
    return hashlib.sha256(f"annotator|{annotator}".encode("utf-8", "surrogatepass")).hexdigest()


def is_given() -> ColumnElement[bool]:
    """Whether a row of the feedback table is an answer, and not what is left of one."""
    return _FEEDBACK.c.kind != WITHDRAWN


def is_forgotten(connection: Connection, annotator: str) -> bool:
    """Whether an annotator was forgotten, and must not come back."""
    return bool(forgotten_among(connection, [annotator]))


def forgotten_among(connection: Connection, annotators: Iterable[str]) -> set[str]:
    """Which of some annotators were forgotten."""
    by_hash = {id_sha256(annotator): annotator for annotator in annotators}
    return {by_hash[name] for name in rows.known(connection, _WITHDRAWALS.c.annotator_sha256, by_hash)}


def newest_number(connection: Connection) -> int:
    """The number of the newest withdrawal; 0 where there is none."""
    return connection.execute(select(func.max(_WITHDRAWALS.c.number))).scalar() or 0


def removed_key(key: str) -> str:
    """What is kept of the key of an answer that was removed."""
    return stable_id(WITHDRAWN, key)


def removed_among(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Which of some keys are those of answers that were removed."""
    by_removed = {removed_key(key): key for key in keys}
    return {by_removed[name] for name in rows.known(connection, _FEEDBACK.c.key, by_removed)}


def _given(connection: Connection, annotator: str) -> tuple[int, int | None]:
    number, first = func.count(), func.min(_FEEDBACK.c.position)
    row = connection.execute(select(number, first).where(_FEEDBACK.c.annotator == annotator)).one()
    return row[0], row[1]


def _replace_answers(connection: Connection, annotator: str, answers: AnswersFate, pseudonym: str) -> None:
    after = 0
    while True:
        wanted = select(_FEEDBACK).where(_FEEDBACK.c.annotator == annotator, _FEEDBACK.c.position > after)
        some = connection.execute(wanted.order_by(_FEEDBACK.c.position).limit(_ROWS_AT_ONCE)).all()
        if not some:
            return
        after = some[-1].position
        (_rename if answers == "keep" else _remove)(connection, some, pseudonym)


def _remove_about(connection: Connection, chatted: set[str], pseudonym: str) -> None:
    """What anybody, a guard too, said of somebody's chats goes, and those queries show nothing any more."""
    for some in rows.chunks(completions.queries_about(connection, chatted)):
        said = connection.execute(select(_FEEDBACK).where(_FEEDBACK.c.query_id.in_(some), is_given())).all()
        if said:
            _remove(connection, said, pseudonym)
        connection.execute(delete(schema.query_segments).where(schema.query_segments.c.query_id.in_(some)))


def _replace_acts(connection: Connection, annotator: str, answers: AnswersFate, pseudonym: str) -> None:
    """What somebody did who need not be known as an annotator."""
    flags, said = schema.flags, {"annotator": pseudonym} | ({"note": ""} if answers == "remove" else {})
    connection.execute(update(flags).where(flags.c.annotator == annotator).values(said))
    for table in (schema.commands, schema.gold):
        connection.execute(update(table).where(table.c.person == annotator).values(person=pseudonym))
    settings = schema.settings
    for name, value in connection.execute(select(settings.c.name, settings.c.value)).all():
        # Such as who paused the run.
        if value == annotator:
            connection.execute(update(settings).where(settings.c.name == name).values(value=pseudonym))


def _rename(connection: Connection, some: Iterable[Row[Any]], pseudonym: str) -> None:
    changes: list[dict[str, Any]] = []
    for row in some:
        answer = vars(rows.feedback_of(row)) | {"annotator": pseudonym}
        # The hash is that of the answer as it stands, so that an export of it can be taken in again.
        changes.append({"at": row.position, "body": body_sha256(answer)})
    change = update(_FEEDBACK).where(_FEEDBACK.c.position == bindparam("at"))
    connection.execute(change.values(annotator=pseudonym, body_sha256=bindparam("body")), changes)


def _remove(connection: Connection, some: Iterable[Row[Any]], pseudonym: str) -> None:
    some = list(some)
    change = update(_FEEDBACK).where(_FEEDBACK.c.position == bindparam("at"))
    nothing: dict[str, Any] = {
        "value": {},
        "time_taken_s": None,
        "confidence": None,
        "answered_step": None,
        "view": None,
        "received_unix_s": 0.0,
    }
    # The body's hash stays: it tells nothing to who lacks the key, and the audit log's own line can be checked by it.
    change = change.values(kind=WITHDRAWN, annotator=pseudonym, key=bindparam("hashed"), **nothing)
    connection.execute(change, [{"at": row.position, "hashed": removed_key(row.key)} for row in some])
    # Somebody else may be asked in their place.
    number = select(func.count(_FEEDBACK.c.annotator.distinct())).where(
        _FEEDBACK.c.query_id == _QUERIES.c.id, is_given()
    )
    for ids in rows.chunks(row.query_id for row in some):
        change = update(_QUERIES).where(_QUERIES.c.id.in_(ids))
        connection.execute(change.values(num_answers=number.scalar_subquery()))


def _withdrawal(row: Row[Any]) -> Withdrawal:
    return Withdrawal(
        number=row.number,
        answers=row.answers,
        num_answers=row.num_answers,
        first_position=row.first_position,
        withdrawn_unix_s=row.withdrawn_unix_s,
    )
