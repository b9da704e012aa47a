"""What never changes of what answers are about, remembered between transactions so that it is read once."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from sqlalchemy import Connection

from heeler.core.nouns import Query
from heeler.feedback import rows
from heeler.feedback.form import SegmentFacts

_MOST = 50_000
_T = TypeVar("_T")


class Facts:
    """Queries, segments and annotators of one store, as far as they were asked for.

    They are added and never changed, so that what was found once holds until somebody is forgotten; what was not found
    is looked for again. To be used by whoever holds the writer connection, which is one thread at a time.
    """

    def __init__(self) -> None:
        self._queries: dict[str, Query] = {}
        self._segments: dict[str, SegmentFacts] = {}
        self._annotators: dict[str, str] = {}
        self._withdrawn = 0

    def expect_withdrawals(self, newest: int) -> None:
        """Look everything up again if somebody was forgotten since; `newest` is the number of the last withdrawal."""
        if newest != self._withdrawn:
            for known in (self._queries, self._segments, self._annotators):
                known.clear()
            self._withdrawn = newest

    def queries(self, connection: Connection, wanted: Collection[str]) -> Mapping[str, Query]:
        """Those of the wanted queries that there are, and maybe more."""
        missing = [name for name in wanted if name not in self._queries]
        if missing:
            _remember(self._queries, rows.queries_by_id(connection, missing), wanted)
        return self._queries

    def segments(self, connection: Connection, wanted: Iterable[str]) -> Mapping[str, SegmentFacts]:
        """Those of the wanted segments that there are, and maybe more."""
        wanted = list(wanted)
        missing = [name for name in wanted if name not in self._segments]
        if missing:
            _remember(self._segments, rows.segment_facts(connection, missing), wanted)
        return self._segments

    def annotators(self, connection: Connection, wanted: Iterable[str]) -> Mapping[str, str]:
        """What kind each of the wanted annotators is that there are, and maybe of more."""
        wanted = list(wanted)
        missing = [name for name in wanted if name not in self._annotators]
        if missing:
            _remember(self._annotators, rows.annotator_kinds(connection, missing), wanted)
        return self._annotators


def _remember(known: dict[str, _T], found: Mapping[str, _T], wanted: Collection[str]) -> None:
    """Add what was found; where that would be too much, all but what is wanted now is forgotten."""
    if len(known) + len(found) > _MOST:
        kept = {name: known[name] for name in wanted if name in known}
        known.clear()
        known.update(kept)
    known.update(found)
