"""Who is asked what: a query is leased to as many annotators as its overlap allows, and nobody is asked it twice.

Everything here works on a connection inside a transaction of the store, so that two annotators never get one place.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select, update

from heeler.core.errors import ConflictError
from heeler.core.nouns import Feedback, Lease
from heeler.feedback import rows, schema

_QUERIES, _LEASES, _FEEDBACK = schema.queries, schema.leases, schema.feedback


def take(
    connection: Connection, annotator: str, limit: int, *, overlap: int, now_s: float, duration_s: float
) -> list[Lease]:
    """Lease at most `limit` queries to an annotator, those they hold already first, then the oldest.

    Args:
        connection: in a writing transaction.
        annotator: who will answer.
        limit: the most that they hold afterwards of these.
        overlap: answers of different annotators that each query may have.
        now_s: Unix seconds.
        duration_s: how long the leases hold.
    """
    connection.execute(delete(_LEASES).where(_LEASES.c.expires_unix_s <= now_s))
    held = select(_LEASES.c.query_id).where(_LEASES.c.annotator == annotator)
    mine = select(_QUERIES.c.id).where(_QUERIES.c.id.in_(held)).order_by(_QUERIES.c.number).limit(limit)
    kept = list(connection.execute(mine).scalars())
    fresh = _free(connection, annotator, limit - len(kept), overlap) if len(kept) < limit else []
    expires_s = now_s + duration_s
    renewed = and_(_LEASES.c.annotator == annotator, _LEASES.c.query_id.in_(kept))
    connection.execute(update(_LEASES).where(renewed).values(expires_unix_s=expires_s))
    new = [{"query_id": query_id, "annotator": annotator, "expires_unix_s": expires_s} for query_id in fresh]
    rows.insert_all(connection, _LEASES, new)
    queries = rows.queries_by_id(connection, [*kept, *fresh])
    return [
        Lease(query=queries[query_id], annotator=annotator, expires_unix_s=expires_s) for query_id in [*kept, *fresh]
    ]


def _free(connection: Connection, annotator: str, limit: int, overlap: int) -> list[str]:
    leased = select(func.count()).where(_LEASES.c.query_id == _QUERIES.c.id).scalar_subquery()
    seen = or_(
        exists().where(_FEEDBACK.c.query_id == _QUERIES.c.id, _FEEDBACK.c.annotator == annotator),
        exists().where(_LEASES.c.query_id == _QUERIES.c.id, _LEASES.c.annotator == annotator),
    )
    wanted = (
        select(_QUERIES.c.id)
        # The first condition is implied by the second; it is what the index is for.
        .where(_QUERIES.c.num_answers < overlap, _QUERIES.c.num_answers + leased < overlap, ~seen)
        .order_by(_QUERIES.c.number)
        .limit(limit)
    )
    return list(connection.execute(wanted).scalars())


def give_back(connection: Connection, annotator: str, query_ids: Sequence[str]) -> None:
    """End leases early, so that somebody else is asked."""
    connection.execute(delete(_LEASES).where(_LEASES.c.annotator == annotator, _LEASES.c.query_id.in_(query_ids)))


class Places:
    """Who may still answer which of some queries.

    A lease that ran out does no harm by itself: who was offline for a while may still answer what nobody else took.
    """

    def __init__(self, connection: Connection, query_ids: Iterable[str], *, overlap: int, now_s: float) -> None:
        self._overlap = overlap
        self._answered: defaultdict[str, set[str]] = defaultdict(set)
        self._leased: defaultdict[str, set[str]] = defaultdict(set)
        for some in rows.chunks(query_ids):
            given = select(_FEEDBACK.c.query_id, _FEEDBACK.c.annotator).where(_FEEDBACK.c.query_id.in_(some))
            for query_id, annotator in connection.execute(given):
                self._answered[query_id].add(annotator)
            held = select(_LEASES.c.query_id, _LEASES.c.annotator).where(
                _LEASES.c.query_id.in_(some), _LEASES.c.expires_unix_s > now_s
            )
            for query_id, annotator in connection.execute(held):
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
                if len(done | self._leased[answer.query_id] - {answer.annotator}) >= self._overlap:
                    raise ConflictError(
                        f"{place}: the lease on {answer.query_id} ran out, and others answer it now; ask for others"
                    )
                done.add(answer.annotator)
                taken.append((answer.query_id, answer.annotator))
        except ConflictError:
            for query_id, annotator in taken:
                self._answered[query_id].remove(annotator)
            raise


def settle(connection: Connection, answers: Sequence[Mapping[str, Any]]) -> None:
    """Count the answers that were just inserted, and end their leases."""
    pairs = {(answer["query_id"], answer["annotator"]) for answer in answers}
    for some in rows.chunks(query_id for query_id, _ in pairs):
        number = func.count(_FEEDBACK.c.annotator.distinct())
        counted = select(number).where(_FEEDBACK.c.query_id == _QUERIES.c.id).scalar_subquery()
        connection.execute(update(_QUERIES).where(_QUERIES.c.id.in_(some)).values(num_answers=counted))
        held = list(connection.execute(select(_LEASES).where(_LEASES.c.query_id.in_(some))))
        for lease in held:
            if (lease.query_id, lease.annotator) in pairs:
                give_back(connection, lease.annotator, [lease.query_id])
