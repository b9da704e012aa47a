"""What comes into the store is checked here: queries and answers, each refused by index and field."""

import hashlib
import json
import re
import uuid
from collections.abc import Container, Mapping, Sequence
from typing import Any, cast

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import Feedback, FeedbackKind, Query
from heeler.core.privacy import redact
from heeler.feedback.form import SegmentFacts, check_number, check_text, check_whole
from heeler.feedback.kinds import KINDS
from heeler.feedback.seen_views import check_view

MAX_ID_LENGTH = 64
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Place:
    """Puts the name of what is being checked before the message of any DataError raised within.

    >>> with Place("queries[3]"):
    ...     raise DataError("id: expected some text, got ''")
    Traceback (most recent call last):
    heeler.core.errors.DataError: queries[3].id: expected some text, got ''
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, DataError):
            raise DataError(f"{self._name}.{error}") from error


def check_query(query: Query, known_segments: Mapping[str, SegmentFacts], known_versions: Container[int]) -> None:
    """Refuse a query that could not be shown or answered.

    Raises:
        DataError: unknown kind, segment or policy version, another number of segments than the kind shows, or segments
            that nobody can compare.
    """
    check_text(query.id, "id")
    if len(query.id) > MAX_ID_LENGTH:
        raise DataError(f"id: expected at most {MAX_ID_LENGTH} characters, got {len(query.id)}")
    if query.kind not in KINDS:
        raise DataError(f"kind: unknown kind {query.kind!r}.{did_you_mean(str(query.kind), KINDS)}")
    num_segments = KINDS[query.kind].num_segments
    if len(query.segment_ids) != num_segments or len(set(query.segment_ids)) != num_segments:
        raise DataError(
            f"segment_ids: a {query.kind} shows {num_segments} different segments, got {list(query.segment_ids)}"
        )
    for segment_id in query.segment_ids:
        if segment_id not in known_segments:
            raise DataError(f"segment_ids: no segment {segment_id!r} in the store; add it before the query")
    _check_comparable([known_segments[segment_id] for segment_id in query.segment_ids])
    if query.policy_version not in known_versions:
        raise DataError(f"policy_version: {query.policy_version} is unknown; add it with add_policy_version first")
    check_whole(query.asked_step, "asked_step", low=0)
    check_number(query.score, "score")


def _check_comparable(shown: Sequence[SegmentFacts]) -> None:
    if len({segment.is_text for segment in shown}) > 1:
        raise DataError("segment_ids: one is a text and the other is not; compare like with like")
    if shown[0].is_text and len({segment.trajectory_id for segment in shown}) > 1:
        raise DataError("segment_ids: completions of two different prompts; compare completions of one prompt")


def check_feedback(
    answer: Feedback,
    queries: Mapping[str, Query],
    segments: Mapping[str, SegmentFacts],
    annotators: Mapping[str, str],
) -> dict[str, Any]:
    """The answer as plain JSON values by column, once every field holds.

    Its text is redacted first. What is kept and hashed is the redacted text, so that the same answer posted again is
    the same answer.

    Args:
        answer: to look at.
        queries: by id.
        segments: by id.
        annotators: the kind of each that is known.

    Raises:
        DataError: naming the field that does not.
    """
    check_key(answer.key, "key")
    query = queries.get(answer.query_id)
    if query is None:
        raise DataError(f"query_id: no query {answer.query_id!r} in the store; answers are to queries that were asked")
    if answer.kind != query.kind:
        raise DataError(f"kind: query {query.id} asks for {query.kind!r}, got {answer.kind!r}")
    if answer.annotator not in annotators:
        raise DataError(f"annotator: {answer.annotator!r} is unknown; add them with add_annotator first")
    if answer.answered_step is not None and annotators[answer.annotator] != "simulated":
        # The learner waits for that step before it reads on; only its own teacher may say so.
        raise DataError(f"answered_step: is for simulated teachers, got {answer.answered_step}; leave it out")
    time_taken_s, confidence, step = answer.time_taken_s, answer.confidence, answer.answered_step
    return {
        "key": answer.key,
        "query_id": query.id,
        "kind": query.kind,
        "value": KINDS[query.kind].validate(_redacted(answer.value), query, segments),
        "annotator": answer.annotator,
        "time_taken_s": None if time_taken_s is None else check_number(time_taken_s, "time_taken_s", low=0),
        "confidence": None if confidence is None else check_number(confidence, "confidence", low=0, high=1),
        "answered_step": None if step is None else check_whole(step, "answered_step", low=0),
        "view": None if answer.view is None else check_view(answer.view, query, segments),
    }


def _redacted(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value without what must not be kept of a critique's or correction's text."""
    # Before the length is checked, so that no text that is kept is too long to come back in.
    if not isinstance(cast(object, value), Mapping) or not isinstance(value.get("text"), str):
        return value
    return {**value, "text": redact(value["text"]).text}


def named_segments(answers: Sequence[Feedback]) -> set[str]:
    """Ids of segments that the answers themselves bring in, whatever else is wrong with them."""
    values = [answer.value.get("segment_id") for answer in answers if isinstance(cast(object, answer.value), Mapping)]
    return {value for value in values if isinstance(value, str)}


def value_text(value: Mapping[str, Any]) -> str:
    """A checked value as JSON, always written the same."""
    return _CANONICAL.encode(value)


def body_sha256(row: Mapping[str, Any], value: str | None = None) -> str:
    """SHA-256 of a checked answer: the same answer, however its client wrote its numbers, gives the same digest.

    It is that of the row's canonical JSON, put together here as its fields are known, which takes a third of the time.

    Args:
        row: as `check_feedback` gives it.
        value: `value_text` of its value, where it is there already.
    """
    # Left out where there is none, as answers had none when the first of them were hashed.
    view = "" if row["view"] is None else f',"view":{value_text(row["view"])}'
    annotator, kind, query_id = map(_CANONICAL.encode, (row["annotator"], row["kind"], row["query_id"]))
    text = (
        f'{{"annotator":{annotator},"answered_step":{_number_text(row["answered_step"])},'
        f'"confidence":{_number_text(row["confidence"])},"key":"{row["key"]}","kind":{kind},"query_id":{query_id},'
        f'"time_taken_s":{_number_text(row["time_taken_s"])},"value":{value or value_text(row["value"])}{view}}}'
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _number_text(number: float | None) -> str:
    return "null" if number is None else repr(number)


def feedback_kind(name: str) -> FeedbackKind:
    """A kind read from the store, which holds only kinds that were checked on their way in."""
    return cast(FeedbackKind, name)


def check_key(key: object, field: str) -> None:
    """Refuse what is no UUID, or one that could be written in another way too.

    Raises:
        DataError: naming the field.
    """
    if not isinstance(key, str) or not _UUID.fullmatch(key):
        raise DataError(f"{field}: expected a UUID such as {uuid.UUID(int=0)} in lower case, got {key!r}")
