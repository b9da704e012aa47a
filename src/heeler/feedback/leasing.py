"""Who is asked what: a query is leased to as many annotators as its overlap allows, and nobody is asked it twice.

Everything here works on a connection inside a transaction of the store, so that two annotators never get one place.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from heeler.core.errors import ConflictError
from heeler.core.nouns import Feedback, Lease
from heeler.feedback import rows, schema
from heeler.feedback.completions import is_asked_elsewhere
from heeler.feedback.flags import any_flags, hidden
from heeler.feedback.gold import gold_among, mix_in
from heeler.feedback.withdrawal import is_given

_QUERIES, _LEASES, _FEEDBACK, _GOLD = schema.queries, schema.leases, schema.feedback, schema.gold


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What an annotator is to be asked, and what not."""

    avoid: tuple[str, ...] = ()
    """Categories of flags that they chose not to see."""
    gold_share: float = 0.0
    """How often a gold item takes the place of an ordinary query."""
    first: tuple[str, ...] = ()
    """Queries that they should be asked before others, in this order."""


def take(
    connection: Connection,
    annotator: str,
    limit: int,
    *,
    overlap: int,
    now_s: float,
    duration_s: float,
    wishes: Wishes,
) -> list[Lease]:
    """Lease at most `limit` queries to an annotator, those they hold already first, then the oldest.

    Args:
        connection: in a writing transaction.
        annotator: who will answer.
        limit: the most that they hold afterwards of these.
        overlap: answers of different annotators that each query may have.
        now_s: Unix seconds.
        duration_s: how long the leases hold.
        wishes: what else to go by.
    """
    _end_old(connection, now_s=now_s, duration_s=duration_s)
    shown = [~hidden(annotator, wishes.avoid)] if any_flags(connection) else []
    _let_go_of_hidden(connection, annotator, shown)
    held = select(_LEASES.c.query_id).where(_LEASES.c.annotator == annotator)
    mine = select(_QUERIES.c.id).where(_QUERIES.c.id.in_(held)).order_by(_QUERIES.c.number).limit(limit)
    kept = list(connection.execute(mine).scalars())
    fresh = _fresh(connection, annotator, limit - len(kept), overlap, wishes, shown) if len(kept) < limit else []
    expires_s = now_s + duration_s
    renewed = and_(_LEASES.c.annotator == annotator, _LEASES.c.query_id.in_(kept))
    connection.execute(update(_LEASES).where(renewed).values(expires_unix_s=expires_s))
    new = [{"query_id": query_id, "annotator": annotator, "expires_unix_s": expires_s} for query_id in fresh]
    rows.insert_all(connection, _LEASES, new)
    queries = rows.queries_by_id(connection, [*kept, *fresh])
    return [
        Lease(query=queries[query_id], annotator=annotator, expires_unix_s=expires_s) for query_id in [*kept, *fresh]
    ]


def _end_old(connection: Connection, *, now_s: float, duration_s: float) -> None:
    """End what ran out, and have nothing run out later than a lease that is taken now.

    After a clock went back by hours, leases would hold for hours more. They are not ended at once either: who holds one
    is at work on it.
    """
    connection.execute(delete(_LEASES).where(_LEASES.c.expires_unix_s <= now_s))
    latest_s = now_s + duration_s
    connection.execute(update(_LEASES).where(_LEASES.c.expires_unix_s > latest_s).values(expires_unix_s=latest_s))


def _let_go_of_hidden(connection: Connection, annotator: str, shown: list[ColumnElement[bool]]) -> None:
    """What somebody else flagged meanwhile is held no longer by who does not want to see it."""
    if shown:
        held = select(_LEASES.c.query_id).where(_LEASES.c.annotator == annotator)
        hidden_ones = select(_QUERIES.c.id).where(_QUERIES.c.id.in_(held), ~shown[0])
        give_back(connection, annotator, list(connection.execute(hidden_ones).scalars()))


def _fresh(
    connection: Connection,
    annotator: str,
    limit: int,
    overlap: int,
    wishes: Wishes,
    shown: list[ColumnElement[bool]],
) -> list[str]:
    """Queries that the annotator has not seen: those wished for, then the oldest, with gold items among them."""
    seen = or_(
        exists().where(_FEEDBACK.c.query_id == _QUERIES.c.id, _FEEDBACK.c.annotator == annotator),
        exists().where(_LEASES.c.query_id == _QUERIES.c.id, _LEASES.c.annotator == annotator),
    )
    leased = select(func.count()).where(_LEASES.c.query_id == _QUERIES.c.id).scalar_subquery()
    is_gold = exists().where(_GOLD.c.query_id == _QUERIES.c.id)
    wanted = (
        select(_QUERIES.c.id)
        # The first condition is implied by the second; it is what the index is for.
        .where(_QUERIES.c.num_answers < overlap, _QUERIES.c.num_answers + leased < overlap, ~seen, ~is_gold, *shown)
        .where(~is_asked_elsewhere())
        .order_by(*_in_turn(wishes.first), _QUERIES.c.number)
        .limit(limit)
    )
    ordinary = list(connection.execute(wanted).scalars())
    if not ordinary or not wishes.gold_share:
        return ordinary
    golden = select(_QUERIES.c.id).join(_GOLD, _GOLD.c.query_id == _QUERIES.c.id).where(~seen, *shown)
    return mix_in(ordinary, list(connection.execute(golden).scalars()), wishes.gold_share)


def _in_turn(first: tuple[str, ...]) -> list[ColumnElement[int]]:
    """What is wanted first, in its order, before the rest."""
    if not first:
        return []
    places = {query_id: place for place, query_id in enumerate(first)}
    return [case(places, value=_QUERIES.c.id, else_=len(first))]


def held(connection: Connection, annotator: str, query_id: str, *, now_s: float) -> bool:
    """Whether an annotator holds a lease on a query that has not run out."""
    mine = and_(_LEASES.c.annotator == annotator, _LEASES.c.query_id == query_id, _LEASES.c.expires_unix_s > now_s)
    return connection.execute(select(_LEASES.c.query_id).where(mine)).first() is not None


def give_back(connection: Connection, annotator: str, query_ids: Sequence[str]) -> None:
    """End leases early, so that somebody else is asked."""
    connection.execute(delete(_LEASES).where(_LEASES.c.annotator == annotator, _LEASES.c.query_id.in_(query_ids)))


class Places:
    """Who may still answer which of some queries.

    A lease that ran out does no harm by itself: who was offline for a while may still answer what nobody else took.
    """

    def __init__(self, connection: Connection, query_ids: Collection[str], *, overlap: int, now_s: float) -> None:
        self._overlap = overlap
        self._gold = gold_among(connection, query_ids)
        self._answered: defaultdict[str, set[str]] = defaultdict(set)
        self._leased: defaultdict[str, set[str]] = defaultdict(set)
        for some in rows.chunks(query_ids):
            given = select(_FEEDBACK.c.query_id, _FEEDBACK.c.annotator)
            given = given.where(_FEEDBACK.c.query_id.in_(some), is_given())
            for query_id, annotator in connection.execute(given).all():
                self._answered[query_id].add(annotator)
            held = select(_LEASES.c.query_id, _LEASES.c.annotator).where(
                _LEASES.c.query_id.in_(some), _LEASES.c.expires_unix_s > now_s
            )
            for query_id, annotator in connection.execute(held).all():
                self._leased[query_id].add(annotator)

    def take(self, answers: Sequence[Feedback]) -> None:
        """Give new answers their places, all or none.

        Raises:
            ConflictError: an annotator has answered that query already, or others took it meanwhile; names the index.
        """
        taken: list[tuple[str, str]] = []
        try:
            for index, answer in enumerate(answers):
                done = self._answered[answer.query_id]
                place = f"feedback[{index}].query_id"
                if answer.annotator in done:
                    raise ConflictError(f"{place}: {answer.query_id} has an answer of {answer.annotator} already")
                taken_by_others = len(done | self._leased[answer.query_id] - {answer.annotator})
                if taken_by_others >= self._overlap and answer.query_id not in self._gold:
                    raise ConflictError(
                        f"{place}: the lease on {answer.query_id} ran out, and others answer it now; ask for others"
                    )
                done.add(answer.annotator)
                taken.append((answer.query_id, answer.annotator))
        except ConflictError:
            for query_id, annotator in taken:
                self._answered[query_id].remove(annotator)
            raise


def settle(connection: Connection, answers: Sequence[Mapping[str, Any]], *, once_each: bool) -> None:
    """Count the answers that were just inserted, and end their leases.

    Args:
        connection: in a writing transaction.
        answers: rows.
        once_each: each is its annotator's first to its query, so that nobody else's need be looked for.
    """
    given = Counter(answer["query_id"] for answer in answers)
    if once_each:
        for number, same in _by_number(given).items():
            _count(connection, same, _QUERIES.c.num_answers + number)
    else:
        number = select(func.count(_FEEDBACK.c.annotator.distinct()))
        number = number.where(_FEEDBACK.c.query_id == _QUERIES.c.id, is_given())
        _count(connection, given, number.scalar_subquery())
    pairs = {(answer["query_id"], answer["annotator"]) for answer in answers}
    for some in rows.chunks(given):
        held = connection.execute(select(_LEASES.c.query_id, _LEASES.c.annotator).where(_LEASES.c.query_id.in_(some)))
        ended = [{"query": query, "by": annotator} for query, annotator in held.all() if (query, annotator) in pairs]
        if ended:
            mine = and_(_LEASES.c.query_id == bindparam("query"), _LEASES.c.annotator == bindparam("by"))
            connection.execute(delete(_LEASES).where(mine), ended)


def _by_number(given: Mapping[str, int]) -> dict[int, list[str]]:
    grouped: defaultdict[int, list[str]] = defaultdict(list)
    for query_id, number in given.items():
        grouped[number].append(query_id)
    return grouped


def _count(connection: Connection, query_ids: Iterable[str], number: ColumnElement[int] | ScalarSelect[int]) -> None:
    for some in rows.chunks(query_ids):
        connection.execute(update(_QUERIES).where(_QUERIES.c.id.in_(some)).values(num_answers=number))
