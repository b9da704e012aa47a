"""`argilla`: records as Argilla's `Dataset.records.to_json` writes them and `from_json` reads them.

Sources: the reference of `rg.Record`, `rg.Response` and `rg.Suggestion` of Argilla 2, and `Record.to_dict` and
`Record.from_dict` of its source: `{"id", "fields", "metadata", "suggestions": {question: {"value", "score", "agent"}},
"responses": {question: [{"value", "user_id"}]}, "vectors", "_server_id"}`. A response that says it is a draft or was
discarded is no answer. Texts are another module's, `argilla_texts`: they go out and come in as texts, with all kinds of
feedback, and also from records that were made elsewhere. The rest of this is about clips, whose records hold ids. A
dataset for what is exported of them has these settings, as far as it has records of a kind:

    fields      left, right (preference) or segment: TextField, the ids of segments
    questions   preference: LabelQuestion with left, right, equal and cant_tell
                rating: RatingQuestion, whole numbers from 0 to 10
    metadata    query_id, kind; rating_low and rating_high (FloatMetadataProperty)

A record is a query. What people answered are its responses; what a simulated teacher or a program answered is its
suggestion, of which a question has one. Argilla names users by UUIDs: those of annotators are made of their ids, and
lead back to them in a store that knows them; others are named `argilla-UUID`. Of clips there is no place for other
kinds of feedback, which are left out and counted, nor for the time that an answer took, nor for whether a model's view
was opened. Suggestions come in where the store knows who made them.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, FeedbackKind, Query
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_number
from heeler.feedback.store import Store
from heeler.feedback.transfer.argilla_records import Reading, check_uuid, is_flat, nested, optional_object, read_texts
from heeler.feedback.transfer.argilla_texts import RATINGS, text_record, user_id
from heeler.feedback.transfer.files import Located, read_records, write_array
from heeler.feedback.transfer.items import Answer, Incoming, Left, check_list, check_name, check_object, shown
from heeler.feedback.transfer.ratings import whole_rating
from heeler.feedback.transfer.tally import Tally
from heeler.feedback.transfer.text_answers import rating_of
from heeler.feedback.transfer.text_tasks import TextPages, with_known_queries
from heeler.feedback.transfer.texts import Policies

_QUESTIONS: Mapping[str, FeedbackKind] = {"preference": "preference", "rating": "rating", "correction": "correction"}
_MEMBERS = ("id", "fields", "metadata", "suggestions", "responses", "vectors", "_server_id", "status")
_SEGMENT_ID = re.compile("[0-9a-f]{64}")


def write(
    store: Store, file: BinaryIO, tally: Tally, kind: FeedbackKind | None = None, with_open: bool = False
) -> None:
    """Write every query with answers that Argilla has a place for as a record.

    Args:
        store: with the queries.
        file: to write to.
        tally: counts what is written and left out.
        kind: of the queries; None for all.
        with_open: write queries about texts that nobody has answered too.
    """
    write_array(file, _records(store, tally, kind, with_open))


def _records(store: Store, tally: Tally, kind: FeedbackKind | None, with_open: bool) -> Generator[dict[str, Any]]:
    annotators, pages = store.bulk.annotators(), TextPages(store)
    for page in store.bulk.answered_queries(store.bulk.last_position(), with_open=with_open):
        some = [(query, answers) for query, answers in page if kind in (None, query.kind)]
        texts = pages.texts(some)
        if any(a.answer.annotator not in annotators for _, answers in some for a in answers):
            annotators = store.bulk.annotators()
        for query, answers in some:
            if query.segment_ids[0] in texts:
                tally.num_open += not answers
                yield text_record(query, answers, texts, annotators, tally)
                continue
            record = _record(query, answers, annotators, tally)
            if record["responses"] or record["suggestions"]:
                yield record


def _record(
    query: Query, answers: Sequence[Answered], annotators: Mapping[str, Annotator], tally: Tally
) -> dict[str, Any]:
    names = ("left", "right") if query.kind == "preference" else ("segment",)
    metadata: dict[str, Any] = {"query_id": query.id, "kind": query.kind}
    responses: list[dict[str, Any]] = []
    suggestions: dict[str, Any] = {}
    scale: tuple[float, float] | None = None
    for answer in (answered.answer for answered in answers):
        value = _question_value(answer, scale, tally)
        if value is None:
            continue
        if annotators[answer.annotator].kind == "person":
            responses.append({"value": value, "user_id": user_id(answer.annotator), "status": "submitted"})
        elif not suggestions:
            suggestions[query.kind] = {"value": value, "score": answer.confidence, "agent": answer.annotator}
        else:
            tally.leave_out("second answers of simulated teachers or programs to one question")
            continue
        tally.num_answers += 1
        if query.kind == "rating":
            scale = (answer.value["low"], answer.value["high"])
            metadata |= {"rating_low": scale[0], "rating_high": scale[1]}
    return {
        "id": query.id,
        "fields": dict(zip(names, query.segment_ids, strict=True)),
        "metadata": metadata,
        "suggestions": suggestions,
        "responses": {query.kind: responses} if responses else {},
        "vectors": {},
        "_server_id": None,
    }


def _question_value(answer: Feedback, scale: tuple[float, float] | None, tally: Tally) -> str | int | None:
    if answer.kind == "preference":
        return answer.value["choice"]
    if answer.kind == "correction" and "text" in answer.value:
        return answer.value["text"]
    if answer.kind != "rating":
        tally.leave_out(
            "corrections that are actions" if answer.kind == "correction" else f"answers of kind {answer.kind}"
        )
        return None
    rating = whole_rating(answer.value, *RATINGS, scale)
    if rating is None:
        tally.leave_out("ratings that are no whole number from 0 to 10, or on another scale than the first")
    return rating


def read(file: BinaryIO, store: Store, scale: tuple[float, float] | None = None) -> Generator[Incoming]:
    """Read the responses to records that show texts, and to records that were made of queries of the store.

    Args:
        file: a JSON array of records, or a record a line.
        store: which it is to go into.
        scale: of the ratings of records that do not say.

    Raises:
        DataError: a record or response does not hold; names its record and field.
    """
    annotators = store.bulk.annotators()
    by_user = {user_id(name): name for name in annotators}
    reading = Reading(annotators=annotators, by_user=by_user, policies=Policies(store), scale=scale)
    for place, record, known in with_known_queries(_read(file), lambda one: one["metadata"].get("query_id"), store):
        if _shows_texts(record):
            yield from read_texts(place, record, known, reading)
        else:
            yield from _read_clips(place, record, reading)


def _read(file: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    for place, found in read_records(file):
        with Located(place):
            record = nested(found) if is_flat(found) else found
            _check_record(record)
            metadata = optional_object(record, "metadata")
        yield place, {**record, "metadata": metadata}


def _shows_texts(record: Mapping[str, Any]) -> bool:
    fields: object = record["fields"]
    if "heeler" in record["metadata"] or not isinstance(fields, Mapping):
        return True
    ids = list(cast(Mapping[str, object], fields).values())
    return not all(isinstance(name, str) and _SEGMENT_ID.fullmatch(name) for name in ids) or not ids


def _read_clips(place: str, record: Mapping[str, Any], reading: Reading) -> Generator[Incoming]:
    with Located(place):
        metadata = record["metadata"]
        query_id = metadata.get("query_id", record.get("id"))
        if query_id is None:
            raise DataError("id: missing; only records that were made of a run's queries can come back in")
        query_id = check_name(query_id, "metadata.query_id")
        items = [
            *_responses(record, query_id, metadata, reading),
            *_suggestions(record, query_id, metadata, reading),
        ]
    for field, item in items:
        where = f"{place}: {field}"
        if isinstance(item, Answer):
            yield Incoming(place=where, item=Annotator(id=item.feedback.annotator, kind=None))
        yield Incoming(place=where, item=item)


def _check_record(record: Mapping[str, Any]) -> None:
    if "fields" not in record or "responses" not in record:
        raise DataError("expected a record with id, fields and responses, as Argilla writes them, got " + shown(record))
    unknown = [name for name in record if name not in _MEMBERS]
    if unknown:
        raise DataError(f"{unknown[0]}: unknown field; expected {', '.join(_MEMBERS)}")


def _responses(
    record: Mapping[str, Any], query_id: str, metadata: Mapping[str, Any], reading: Reading
) -> Generator[tuple[str, Answer | Left]]:
    for question, values in optional_object(record, "responses").items():
        for index, value in enumerate(check_list(values, f"responses.{question}")):
            field = f"responses.{question}[{index}]"
            response = check_object(value, field)
            status = response.get("status", "submitted")
            if status != "submitted":
                yield field, Left(what=f"responses with the status {status}")
            elif question not in _QUESTIONS:
                yield field, Left(what=f"responses to the question {question}")
            else:
                annotator = _user(response.get("user_id"), reading.by_user, f"{field}.user_id")
                yield (
                    field,
                    _answer(question, response.get("value"), query_id, metadata, annotator, field, reading.scale),
                )


def _suggestions(
    record: Mapping[str, Any], query_id: str, metadata: Mapping[str, Any], reading: Reading
) -> Generator[tuple[str, Answer | Left]]:
    for question, value in optional_object(record, "suggestions").items():
        field = f"suggestions.{question}"
        suggestion = check_object(value, field)
        agent = suggestion.get("agent")
        known = reading.annotators.get(agent) if isinstance(agent, str) else None
        if known is None or known.kind == "person" or question not in _QUESTIONS:
            yield field, Left(what="suggestions of others than this store's simulated teachers and programs")
            continue
        score = suggestion.get("score")
        confidence = None if score is None else check_number(score, f"{field}.score", low=0, high=1)
        yield (
            field,
            _answer(question, suggestion.get("value"), query_id, metadata, known.id, field, reading.scale, confidence),
        )


def _answer(
    question: str,
    value: object,
    query_id: str,
    metadata: Mapping[str, Any],
    annotator: str,
    field: str,
    scale: tuple[float, float] | None,
    confidence: float | None = None,
) -> Answer:
    kind = _QUESTIONS[question]
    values: Mapping[str, Any]
    if kind == "preference":
        values = {"choice": value}
    elif kind == "correction":
        values = {"text": value}
    else:
        values = rating_of(value, metadata, scale, "metadata", f"{field}.value")
    feedback = Feedback(key="", query_id=query_id, kind=kind, value=values, annotator=annotator, confidence=confidence)
    return Answer(feedback=feedback, is_whole=False)


def _user(value: object, by_user: Mapping[str, str], field: str) -> str:
    name = check_uuid(value, field)
    return by_user.get(name, f"argilla-{name}")
