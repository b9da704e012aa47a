"""heeler's own format, `jsonl`: all six kinds of feedback with all that is needed to read them. Nothing is lost.

One JSON object a line. The first is `{"heeler": "feedback", "format": 1, "num_answers": N}`. Each of the others has one
field that says what it is: `policy_version`, `annotator`, `segment`, `query` or `answer`, and each comes before the
first line that names it. Arrays are base64 of their little-endian bytes; a text stands as it is in the store, and comes
back letter by letter, but for what must not be kept of it: a store that has the text already knows it as it is, and any
other takes it in redacted. Its id, a hash of it, is then another, and queries, demonstrations and marked parts follow.
What nobody has answered is not in the file.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import AnySegment, Feedback, PolicyVersion, Query
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_number, check_whole
from heeler.feedback.store import Store
from heeler.feedback.transfer.files import Located, read_lines, write_lines
from heeler.feedback.transfer.items import (
    ANNOTATOR_KINDS,
    Answer,
    Incoming,
    check_fields,
    check_list,
    check_name,
    check_object,
    check_string,
    shown,
)
from heeler.feedback.transfer.segment_fields import segment_fields, segment_of
from heeler.feedback.transfer.tally import Tally

FORMAT = 1


def write(store: Store, file: BinaryIO, tally: Tally) -> None:
    """Write every answer of a store."""
    up_to = store.bulk.last_position()
    header = {"heeler": "feedback", "format": FORMAT, "num_answers": store.bulk.answer_count(up_to)}
    write_lines(file, [header])
    writer = _Writer(store)
    for page in store.bulk.answered(up_to):
        for some in (page[start : start + 100] for start in range(0, len(page), 100)):
            write_lines(file, writer.lines(some))
            tally.num_answers += len(some)


class _Writer:
    """Writes each thing once, before the first answer that needs it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: set[tuple[str, object]] = set()
        self._annotators = store.bulk.annotators()
        self._versions = {policy.version: policy for policy in store.policy_versions()}

    def lines(self, answers: list[Answered]) -> Iterator[dict[str, Any]]:
        """The lines of some answers."""
        names = {i for answered in answers for i in _segment_ids(answered) if self._is_new("segment", i)}
        segments = self._store.segments(names)
        for answered in answers:
            for name in _segment_ids(answered):
                if name in segments:
                    segment = segments.pop(name)
                    yield from self._policy_version(segment.policy_version)
                    yield {"segment": segment_fields(segment)}
            query = answered.query
            if self._is_new("query", query.id):
                yield from self._policy_version(query.policy_version)
                yield {"query": asdict(query)}
            if self._is_new("annotator", answered.answer.annotator):
                annotator = self._annotators.get(answered.answer.annotator)
                # Somebody who came while this was being written.
                annotator = annotator or self._store.bulk.annotators()[answered.answer.annotator]
                yield {"annotator": asdict(annotator)}
            answer = asdict(answered.answer)
            if answer["view"] is None:
                # A heeler that knows of none can read the file, then.
                del answer["view"]
            yield {"answer": {**answer, "received_unix_s": answered.received_unix_s}}

    def _policy_version(self, version: int) -> Iterator[dict[str, Any]]:
        if self._is_new("policy_version", version):
            if version not in self._versions:
                self._versions = {policy.version: policy for policy in self._store.policy_versions()}
            yield {"policy_version": asdict(self._versions[version])}

    def _is_new(self, kind: str, name: object) -> bool:
        if (kind, name) in self._written:
            return False
        self._written.add((kind, name))
        return True


def _segment_ids(answered: Answered) -> list[str]:
    shown_too = [answered.answer.value["segment_id"]] if answered.answer.kind == "demonstration" else []
    return [*answered.query.segment_ids, *shown_too]


def read(file: BinaryIO, store: Store) -> Generator[Incoming]:
    """Read what `write` wrote.

    Raises:
        DataError: a line does not hold; names it and the field.
    """
    del store
    lines = read_lines(file)
    nothing: tuple[str, dict[str, Any]] = ("line 1", {})
    place, header = next(lines, nothing)
    num_expected = _check_header(header, place)
    num_answers = 0
    for place, fields in lines:
        with Located(place):
            if len(fields) != 1 or (name := next(iter(fields))) not in _READERS:
                near = did_you_mean(next(iter(fields), ""), _READERS)
                raise DataError(f"expected an object with one of {', '.join(_READERS)}, got {shown(fields)}.{near}")
            item = _READERS[name](fields[name])
        num_answers += isinstance(item, Answer)
        yield Incoming(place=place, item=item)
    if num_expected is not None and num_answers != num_expected:
        raise DataError(
            f"line 1: num_answers: the file was to hold {num_expected} answers and holds {num_answers}; "
            "copy it again, or take num_answers out of its first line where you changed it on purpose"
        )


def _check_header(header: Mapping[str, Any], place: str) -> int | None:
    with Located(place):
        if header.get("heeler") != "feedback":
            raise DataError(
                'expected {"heeler": "feedback", "format": 1}; this file was not exported as jsonl by heeler'
            )
        fields = check_fields(header, "", ("heeler", "format"), ("num_answers",))
        if check_whole(fields["format"], "format") != FORMAT:
            raise DataError(f"format: expected {FORMAT}, got {fields['format']}; a newer heeler may read it")
        num_answers = fields.get("num_answers")
        return None if num_answers is None else check_whole(num_answers, "num_answers", low=0)


def _read_policy_version(value: object) -> PolicyVersion:
    fields = check_fields(value, "policy_version", ("version", "step"), ("checkpoint_sha256",))
    sha256 = fields.get("checkpoint_sha256")
    return PolicyVersion(
        version=check_whole(fields["version"], "policy_version.version", low=0, high=2**31 - 1),
        step=check_whole(fields["step"], "policy_version.step", low=0, high=2**63 - 1),
        checkpoint_sha256=None if sha256 is None else check_name(sha256, "policy_version.checkpoint_sha256", 64),
    )


def _read_annotator(value: object) -> Annotator:
    fields = check_fields(value, "annotator", ("id", "kind"), ("note",))
    kind = fields["kind"]
    if kind not in ANNOTATOR_KINDS:
        raise DataError(f"annotator.kind: expected one of {', '.join(ANNOTATOR_KINDS)}, got {shown(kind)}")
    note = check_string(fields.get("note", ""), "annotator.note")
    return Annotator(id=check_name(fields["id"], "annotator.id"), kind=kind, note=note)


def _read_segment(value: object) -> AnySegment:
    return segment_of(value)


def _read_query(value: object) -> Query:
    required = ("id", "kind", "segment_ids", "policy_version", "asked_step")
    fields = check_fields(value, "query", required, ("acquisition", "score"))
    ids = check_list(fields["segment_ids"], "query.segment_ids")
    kind: Any = check_name(fields["kind"], "query.kind")
    return Query(
        id=check_name(fields["id"], "query.id", 64),
        kind=kind,
        segment_ids=tuple(check_name(name, "query.segment_ids", 64) for name in ids),
        policy_version=check_whole(fields["policy_version"], "query.policy_version", low=0, high=2**31 - 1),
        asked_step=check_whole(fields["asked_step"], "query.asked_step", low=0, high=2**63 - 1),
        acquisition=_short_text(fields.get("acquisition", ""), "query.acquisition"),
        score=check_number(fields.get("score", 0.0), "query.score"),
    )


def _read_answer(value: object) -> Answer:
    optional = ("time_taken_s", "confidence", "answered_step", "view", "received_unix_s")
    fields = check_fields(value, "answer", ("key", "query_id", "kind", "value", "annotator"), optional)
    kind: Any = check_name(fields["kind"], "answer.kind")
    received_unix_s = fields.get("received_unix_s")
    feedback = Feedback(
        key=check_name(fields["key"], "answer.key"),
        query_id=check_name(fields["query_id"], "answer.query_id"),
        kind=kind,
        value=check_object(fields["value"], "answer.value"),
        annotator=check_name(fields["annotator"], "answer.annotator"),
        time_taken_s=fields.get("time_taken_s"),
        confidence=fields.get("confidence"),
        answered_step=fields.get("answered_step"),
        view=fields.get("view"),
    )
    if received_unix_s is not None:
        received_unix_s = check_number(received_unix_s, "answer.received_unix_s", low=0)
    return Answer(feedback=feedback, received_unix_s=received_unix_s)


def _short_text(value: object, field: str) -> str:
    text = check_string(value, field)
    if len(text) > 64:
        raise DataError(f"{field}: expected at most 64 characters, got {len(text)}")
    return text


_READERS: Mapping[str, Callable[[object], PolicyVersion | Annotator | AnySegment | Query | Answer]] = {
    "policy_version": _read_policy_version,
    "annotator": _read_annotator,
    "segment": _read_segment,
    "query": _read_query,
    "answer": _read_answer,
}
