"""Answers of a file, checked against what the store and the file before them hold."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from heeler.core.errors import ConflictError
from heeler.core.nouns import Query, stable_id
from heeler.feedback import rows, schema
from heeler.feedback.bulk import Annotator
from heeler.feedback.form import SegmentFacts
from heeler.feedback.intake import body_sha256, check_feedback, named_segments, value_text
from heeler.feedback.transfer.items import Answer

_NO_KEY = "00000000-0000-0000-0000-000000000000"


class AnswerCheck:
    """Checks some answers, and makes rows of those that are new.

    Args:
        held: the store.
        aside: what the file brought before, in tables like the store's.
        answers: all that will be added.
        annotators: by id, those whom the file brings too.
        format_name: names the keys of answers that come without.
    """

    def __init__(
        self,
        held: Connection,
        aside: Connection,
        answers: Sequence[Answer],
        annotators: Mapping[str, Annotator],
        format_name: str,
    ) -> None:
        self._format_name = format_name
        self._kinds = {name: annotator.kind or "person" for name, annotator in annotators.items()}
        self._queries = known_queries(held, aside, [answer.feedback.query_id for answer in answers])
        shown = [i for query in self._queries.values() for i in query.segment_ids]
        named = [name for name in named_segments([answer.feedback for answer in answers]) if name.isalnum()]
        self._segments = known_facts(held, aside, [*shown, *named])
        self._bodies: dict[str, str] = {}
        self._alike: dict[tuple[str, str, str], str] = {}
        in_part = [answer.feedback.query_id for answer in answers if not answer.is_whole]
        for connection in (held, aside):
            bodies = rows.bodies(connection, [answer.feedback.key for answer in answers])
            self._bodies |= {key: body for key, (_, body) in bodies.items()}
            self._alike |= _answers_alike(connection, in_part)
        self._known = set(self._bodies)
        self._rows: dict[str, dict[str, Any]] = {}
        self._now_s = time.time()

    def add(self, answer: Answer) -> None:
        """Check the next answer.

        Raises:
            DataError: it does not hold; names the field.
            ConflictError: its key came before with another body.
        """
        row = self._checked(answer)
        identity = _identity(row)
        if not answer.is_whole and identity in self._alike:
            return
        if not answer.is_whole and (row["key"] == _NO_KEY or row["key"] in self._bodies):
            row["key"] = stable_id("imported", self._format_name, *identity)
        text = value_text(row["value"])
        # Its fields in the order in which they stand in the store when it is posted.
        row["value"], row["body_sha256"] = json.loads(text), body_sha256(row, text)
        if self._bodies.setdefault(row["key"], row["body_sha256"]) != row["body_sha256"]:
            raise ConflictError(f"key: {row['key']} came before with another body; a new answer needs a new key")
        self._alike[identity] = row["key"]
        rows.check_fits(schema.feedback, row)
        received_unix_s = self._now_s if answer.received_unix_s is None else answer.received_unix_s
        if row["key"] not in self._known:
            self._rows[row["key"]] = {**row, "received_unix_s": received_unix_s}

    def fresh(self) -> list[dict[str, Any]]:
        """Rows of the feedback table, of those that neither the store nor the file held before."""
        return list(self._rows.values())

    def _checked(self, answer: Answer) -> dict[str, Any]:
        feedback = answer.feedback
        if feedback.key or answer.is_whole:
            return check_feedback(feedback, self._queries, self._segments, self._kinds)
        return check_feedback(replace(feedback, key=_NO_KEY), self._queries, self._segments, self._kinds)


def known_queries(held: Connection, aside: Connection, ids: Iterable[str]) -> dict[str, Query]:
    """Those of the queries that the store or the file has."""
    ids = list(ids)
    return {**rows.queries_by_id(aside, ids), **rows.queries_by_id(held, ids)}


def known_facts(held: Connection, aside: Connection, ids: Iterable[str]) -> dict[str, SegmentFacts]:
    """Facts of those of the segments that the store or the file has."""
    ids = list(ids)
    return {**rows.segment_facts(aside, ids), **rows.segment_facts(held, ids)}


def _answers_alike(connection: Connection, query_ids: Sequence[str]) -> dict[tuple[str, str, str], str]:
    table = schema.feedback
    found: dict[tuple[str, str, str], str] = {}
    unique = list(dict.fromkeys(query_ids))
    for start in range(0, len(unique), 500):
        wanted = select(table.c.key, table.c.query_id, table.c.annotator, table.c.value)
        for row in connection.execute(wanted.where(table.c.query_id.in_(unique[start : start + 500]))).mappings():
            found[_identity(row)] = row["key"]
    return found


def _identity(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    """What makes two answers of which only a part is known the same one: query, annotator and value."""
    return row["query_id"], row["annotator"], value_text(row["value"])
