"""Tasks of other programs that show texts: the question that each is in heeler, and the answers that it holds."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, FeedbackKind, Query, TextSegment
from heeler.core.privacy import redact
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.store import Store
from heeler.feedback.transfer.carried import Asked, Carried, said_sha256
from heeler.feedback.transfer.items import Answer, Left, TextItem
from heeler.feedback.transfer.shown_texts import Shown
from heeler.feedback.transfer.texts import Policies, redacted_text, text_query

_AT_ONCE = 200
_TURNED = {"left": "right", "right": "left"}
_Record = TypeVar("_Record")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What somebody answered, as another program has it."""

    kind: FeedbackKind
    value: Mapping[str, Any]
    """As in heeler, but for a demonstration, which is its text: {"text": str}."""
    annotator: str
    """Whom the other program names."""
    time_taken_s: float | None = None
    carried: Carried | None = None
    """What went out of the answer that was shown there, if one was."""

    @property
    def is_unchanged(self) -> bool:
        """Whether it is the answer that went out, as it was."""
        return self.carried is not None and self.carried.said_sha256 == said_sha256(self.value)


class TextTask:
    """One task.

    Args:
        shown: what it shows.
        asked: what heeler wrote beside it; None for a task that was made elsewhere.
        known: the store's query of that id, if it has one.
        policies: that are brought already.

    Raises:
        DataError: the store's query asks about other texts, or a text cannot be kept.
    """

    def __init__(self, shown: Shown, asked: Asked | None, known: Query | None, policies: Policies) -> None:
        self._asked, self._policies = asked, policies
        versions = asked.policy_versions if asked else (0,) * len(shown.completions)
        raw = [
            TextSegment(prompt=shown.prompt, completion=completion, policy_version=version)
            for completion, version in zip(shown.completions, versions, strict=True)
        ]
        self._raw = raw
        self._segments = raw if known and _ids(raw) == sorted(known.segment_ids) else [redacted_text(s) for s in raw]
        if known and _ids(self._segments) != sorted(known.segment_ids):
            raise DataError(
                f"query_id: query {known.id} asks about other segments than these texts; this is a task of another "
                "run, or its texts were changed"
            )
        self._query = known
        self._brought: set[str] = {known.id} if known else set()

    @property
    def is_of_twice_the_same(self) -> bool:
        """Whether there is nothing to compare."""
        return len(set(_ids(self._segments))) < len(self._segments)

    def question(self) -> Generator[TextItem]:
        """The question, where nobody has answered it yet and it is clear which it is."""
        kind = self._asked.kind if self._asked else "preference" if len(self._segments) > 1 else None
        if kind is None:
            yield Left(what="tasks that nobody has answered")
        else:
            yield from self._bring(self._query_of(kind))

    def answer(self, said: Said) -> Generator[TextItem]:
        """The answer with everything that it needs."""
        own = self._query.kind if self._query else self._asked.kind if self._asked else said.kind
        if said.kind != own or (said.kind == "preference") != (len(self._segments) > 1):
            yield Left(what=f"answers of kind {said.kind} to other questions")
            return
        query = self._query_of(said.kind)
        yield from self._bring(query)
        carried = said.carried if said.is_unchanged else None
        value = dict(said.value)
        if said.kind == "demonstration":
            version = carried.policy_version if carried else self._raw[0].policy_version
            # Redacted later, where the store does not have it as it is.
            segment = TextSegment(prompt=self._raw[0].prompt, completion=value["text"], policy_version=version)
            yield from self._policies.items([segment])
            yield segment
            value = {"segment_id": segment.id}
        elif carried and carried.value is not None:
            value = dict(carried.value)
        if said.kind == "critique":
            value = self._moved(value)
        elif said.kind == "preference" and self._segments[0].id != query.segment_ids[0]:
            value["choice"] = _TURNED.get(value["choice"], value["choice"])
        yield from _answer_items(said, carried, query, value)

    def _query_of(self, kind: FeedbackKind) -> Query:
        if self._query is not None:
            return self._query
        return text_query(kind, self._segments, self._asked.query_id if self._asked else None)

    def _bring(self, query: Query) -> Generator[TextItem]:
        if query.id in self._brought:
            return
        if not self._brought:
            yield from self._policies.items(self._segments)
            yield from self._segments
        self._brought.add(query.id)
        yield query

    def _moved(self, value: dict[str, Any]) -> dict[str, Any]:
        start, end = value.get("start"), value.get("end")
        if self._segments[0] is self._raw[0] or type(start) is not int or type(end) is not int:
            return value
        start, end = redact(self._raw[0].completion).moved(start, end)
        return value | {"start": start, "end": end}


def _answer_items(
    said: Said, carried: Carried | None, query: Query, value: Mapping[str, Any]
) -> Generator[Annotator | Answer]:
    name = carried.annotator if carried else said.annotator
    is_same = said.carried is not None and said.carried.annotator == name
    yield Annotator(id=name, kind=said.carried.annotator_kind if said.carried and is_same else None)
    feedback = Feedback(
        key="", query_id=query.id, kind=query.kind, value=value, annotator=name, time_taken_s=said.time_taken_s
    )
    if carried is None:
        yield Answer(feedback=feedback, is_whole=False)
        return
    feedback = replace(
        feedback,
        key=carried.key,
        time_taken_s=carried.time_taken_s,
        confidence=carried.confidence,
        answered_step=carried.answered_step,
    )
    yield Answer(feedback=feedback, received_unix_s=carried.received_unix_s)


def with_known_queries(
    records: Iterator[tuple[str, _Record]], name_of: Callable[[_Record], object], store: Store
) -> Generator[tuple[str, _Record, Query | None]]:
    """(place, record, query) of each record, with the store's query that `name_of(record)` names, if there is one."""
    while some := list(islice(records, _AT_ONCE)):
        names = [name_of(record) for _, record in some]
        known = store.bulk.queries([name for name in names if isinstance(name, str)])
        for (place, record), name in zip(some, names, strict=True):
            yield place, record, known.get(name) if isinstance(name, str) else None


class TextPages:
    """Queries about texts on their way out, with the texts that they need.

    Args:
        store: that they are of.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def texts(self, page: Sequence[tuple[Query, Sequence[Answered]]]) -> dict[str, TextSegment]:
        """The texts that a page of queries shows and its answers bring, by id; clips are not read."""
        shown = {name for query, _ in page for name in query.segment_ids}
        about = {name for name, facts in self._store.segment_facts(shown).items() if facts.is_text}
        brought = {
            a.answer.value["segment_id"]
            for query, answers in page
            if query.kind == "demonstration" and query.segment_ids[0] in about
            for a in answers
        }
        found = self._store.segments(about | brought)
        return {name: segment for name, segment in found.items() if isinstance(segment, TextSegment)}


def _ids(segments: Iterable[TextSegment]) -> list[str]:
    return sorted(segment.id for segment in segments)
