"""Texts of a file as they may be kept, and whatever in the file names them brought into line."""

from dataclasses import dataclass, replace

from heeler.core.nouns import Query, TextSegment
from heeler.core.privacy import Redacted, redact
from heeler.feedback.transfer.items import Answer
from heeler.feedback.transfer.texts import redacted_text


@dataclass(frozen=True, kw_only=True)
class _Changed:
    """A text in which something was found."""

    segment_id: str
    """Of what may be kept: the id is a hash of the text."""
    cuts: tuple[tuple[int, int, int], ...]
    """Of its completion."""


class Redactions:
    """What redacting the texts of a file changed: queries and answers that name one of them follow.

    A text without a finding stays letter by letter, and so does its id.
    """

    def __init__(self) -> None:
        self._changed: dict[str, _Changed] = {}
        self._asked_about: dict[str, str] = {}
        """The only text of each query that names a changed one, by the id it has in the file."""
        self._alike: set[str] = set()

    def segment(self, segment: TextSegment) -> TextSegment:
        """The text as it may be kept.

        Raises:
            DataError: it cannot be kept.
        """
        kept = redacted_text(segment)
        if kept.id != segment.id:
            self._changed[segment.id] = _Changed(segment_id=kept.id, cuts=redact(segment.completion).cuts)
        return kept

    def query(self, query: Query) -> Query | None:
        """The query about what is kept; None where it compares texts that are alike once they are redacted."""
        if not any(name in self._changed for name in query.segment_ids):
            return query
        ids = tuple(self._kept_id(name) for name in query.segment_ids)
        if len(set(ids)) < len(set(query.segment_ids)):
            self._alike.add(query.id)
            return None
        if len(ids) == 1:
            self._asked_about[query.id] = query.segment_ids[0]
        return replace(query, segment_ids=ids)

    def is_left_out(self, answer: Answer) -> bool:
        """Whether the answer is to a query that was left out."""
        return answer.feedback.query_id in self._alike

    def answer(self, answer: Answer) -> Answer:
        """The answer about what is kept: a part of a text moves with it, and a demonstration is of what is kept."""
        feedback = answer.feedback
        value = dict(feedback.value)
        segment_id = value.get("segment_id")
        if feedback.kind == "demonstration" and isinstance(segment_id, str):
            value["segment_id"] = self._kept_id(segment_id)
        elif feedback.kind == "critique" and feedback.query_id in self._asked_about:
            start, end = value.get("start"), value.get("end")
            if type(start) is int and type(end) is int:
                cuts = self._changed[self._asked_about[feedback.query_id]].cuts
                value["start"], value["end"] = Redacted(text="", counts={}, cuts=cuts).moved(start, end)
        else:
            return answer
        return replace(answer, feedback=replace(feedback, value=value))

    def _kept_id(self, segment_id: str) -> str:
        changed = self._changed.get(segment_id)
        return segment_id if changed is None else changed.segment_id
