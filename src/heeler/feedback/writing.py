"""Answers on their way into the store: many posts in one transaction, each of them kept whole or refused whole."""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from heeler.core.errors import ConflictError, DataError
from heeler.core.nouns import Feedback
from heeler.feedback import rows, schema
from heeler.feedback.facts import Facts
from heeler.feedback.intake import Place, body_sha256, check_feedback, named_segments, value_text
from heeler.feedback.leasing import Places, settle
from heeler.feedback.withdrawal import newest_number, removed_among

Outcome = list[int] | DataError | ConflictError
"""Of one post: the position of each of its answers, or why none of them was kept."""

BeforeCommit = Callable[[Sequence[Mapping[str, Any]]], None]
"""Is called with the rows of new answers in the transaction that keeps them."""


def write_posts(
    connection: Connection,
    facts: Facts,
    posts: Sequence[Sequence[Feedback]],
    *,
    overlap: int | None,
    before_commit: BeforeCommit | None = None,
) -> list[Outcome]:
    """Keep the answers of each post, all or none of it.

    Args:
        connection: in a writing transaction.
        facts: of the same store.
        posts: each a batch of answers; a later one may repeat an earlier one.
        overlap: answers that a query may have of different annotators; None to take any answer.
        before_commit: is called with the new rows, if there are any.

    Returns:
        Of each post what came of it. An answer that was there already keeps the position it has.
    """
    everything = [answer for post in posts for answer in post]
    withdrawn = newest_number(connection)
    facts.expect_withdrawals(withdrawn)
    removed = removed_among(connection, [answer.key for answer in everything]) if withdrawn else set[str]()
    check = _Checker(connection, facts, everything)
    held = rows.bodies(connection, [answer.key for answer in everything])
    places: Places | None = None
    if overlap is not None:
        places = Places(connection, {a.query_id for a in everything}, overlap=overlap, now_s=check.received_unix_s)
    bodies = {key: body for key, (_, body) in held.items()}
    fresh: dict[str, dict[str, Any]] = {}
    refused: dict[int, DataError | ConflictError] = {}
    for number, post in enumerate(posts):
        try:
            checked = check.rows(post)
            _refuse_removed(post, removed)
            _refuse_other_bodies(post, checked, bodies)
            new = {key: row for key, row in checked.items() if key not in bodies}
            if places is not None:
                places.take([answer for answer in post if answer.key in new])
        except (DataError, ConflictError) as error:
            refused[number] = error
        else:
            fresh |= new
            bodies |= {key: row["body_sha256"] for key, row in new.items()}
    positions = {key: position for key, (position, _) in held.items()}
    if fresh:
        positions |= _inserted(connection, fresh)
        settle(connection, list(fresh.values()), once_each=places is not None)
        if before_commit is not None:
            before_commit(list(fresh.values()))
    return [refused.get(n) or [positions[answer.key] for answer in post] for n, post in enumerate(posts)]


def _inserted(connection: Connection, fresh: Mapping[str, dict[str, Any]]) -> dict[str, int]:
    """Insert rows; their positions by key."""
    table, keys = schema.feedback, list(fresh)
    rows.insert_many(connection, table, list(fresh.values()))
    first = connection.execute(select(table.c.position).where(table.c.key == keys[0])).scalar_one()
    last = connection.execute(select(func.max(table.c.position))).scalar_one()
    # Nobody else inserts meanwhile, so that the database counted on without a gap.
    assert last - first == len(keys) - 1
    return dict(zip(keys, range(first, last + 1), strict=True))


class _Checker:
    """Checks answers against what the store holds of what they are about."""

    def __init__(self, connection: Connection, facts: Facts, answers: Sequence[Feedback]) -> None:
        wanted = {answer.query_id for answer in answers}
        self.queries = facts.queries(connection, wanted)
        asked = [self.queries[name] for name in wanted if name in self.queries]
        shown = {segment_id for query in asked for segment_id in query.segment_ids}
        self.segments = facts.segments(connection, shown | named_segments(answers))
        self.annotators = facts.annotators(connection, {answer.annotator for answer in answers})
        self.received_unix_s = time.time()

    def rows(self, post: Sequence[Feedback]) -> dict[str, dict[str, Any]]:
        """Rows of a post by key.

        Raises:
            DataError: an answer does not hold; the message names its index and field.
            ConflictError: two answers have one key and different bodies.
        """
        checked: dict[str, dict[str, Any]] = {}
        for index, answer in enumerate(post):
            with Place(f"feedback[{index}]"):
                row = check_feedback(answer, self.queries, self.segments, self.annotators)
            text = value_text(row["value"])
            row["body_sha256"], row["received_unix_s"] = body_sha256(row, text), self.received_unix_s
            # A half surrogate can stand in no column but as an escape.
            row["view"] = None if row["view"] is None else value_text(row["view"])
            row["value"] = text if text.isascii() else json.dumps(row["value"], sort_keys=True)
            if checked.setdefault(answer.key, row)["body_sha256"] != row["body_sha256"]:
                raise ConflictError(f"feedback[{index}].key: {answer.key} stands twice in this batch, with two bodies")
        return checked


def _refuse_removed(post: Sequence[Feedback], removed: Collection[str]) -> None:
    for index, answer in enumerate(post):
        if answer.key in removed:
            raise ConflictError(f"feedback[{index}].key: {answer.key} is of an answer that was withdrawn")


def _refuse_other_bodies(post: Sequence[Feedback], checked: dict[str, dict[str, Any]], bodies: dict[str, str]) -> None:
    for index, answer in enumerate(post):
        if bodies.get(answer.key, checked[answer.key]["body_sha256"]) != checked[answer.key]["body_sha256"]:
            place = f"feedback[{index}].key: {answer.key}"
            raise ConflictError(f"{place} came before with another body; a new answer needs a new key")
