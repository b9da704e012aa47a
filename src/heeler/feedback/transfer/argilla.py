"""`argilla`: records as Argilla's `Dataset.records.to_json` writes them and `from_json` reads them.

Sources: the reference of `rg.Record`, `rg.Response` and `rg.Suggestion` of Argilla 2, and `Record.to_dict` and
`Record.from_dict` of its source: `{"id", "fields", "metadata", "suggestions": {question: {"value", "score", "agent"}},
"responses": {question: [{"value", "user_id"}]}, "vectors", "_server_id"}`. A response that says it is a draft or was
discarded is no answer. A dataset for what is exported has these settings, as far as it has records of a kind:

    fields      left, right (preference) or segment: TextField, the ids of segments
    questions   preference: LabelQuestion with left, right, equal and cant_tell
                rating: RatingQuestion, whole numbers from 0 to 10
                correction: TextQuestion
    metadata    query_id, kind; rating_low and rating_high (FloatMetadataProperty)

A record is a query. What people answered are its responses; what a simulated teacher or a program answered is its
suggestion, of which a question has one. Argilla names users by UUIDs: those of annotators are made of their ids, and
lead back to them in a store that knows them; others are named `argilla-UUID`. There is no place for other kinds of
feedback and for corrections that are actions, which are left out and counted, nor for the time that an answer took.
Suggestions come in where the store knows who made them.
"""

import uuid
from collections.abc import Generator, Mapping, Sequence
from typing import Any, BinaryIO

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, FeedbackKind, Query, stable_id
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_number
from heeler.feedback.store import Store
from heeler.feedback.transfer.files import Located, read_array, write_array
from heeler.feedback.transfer.items import Answer, Incoming, Left, check_list, check_name, check_object, shown
from heeler.feedback.transfer.ratings import whole_rating
from heeler.feedback.transfer.tally import Tally

_QUESTIONS: Mapping[str, FeedbackKind] = {"preference": "preference", "rating": "rating", "correction": "correction"}
_RATINGS = (0, 10)
_MEMBERS = ("id", "fields", "metadata", "suggestions", "responses", "vectors", "_server_id", "status")


def user_id(annotator: str) -> str:
    """The UUID by which Argilla's files name an annotator."""
    return stable_id("argilla user", annotator)


def write(store: Store, file: BinaryIO, tally: Tally) -> None:
    """Write every query with answers that Argilla has a place for as a record."""
    write_array(file, _records(store, tally))


def _records(store: Store, tally: Tally) -> Generator[dict[str, Any]]:
    annotators = store.bulk.annotators()
    for page in store.bulk.answered_queries(store.bulk.last_position()):
        if any(a.answer.annotator not in annotators for _, answers in page for a in answers):
            annotators = store.bulk.annotators()
        for query, answers in page:
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
    rating = whole_rating(answer.value, *_RATINGS, scale)
    if rating is None:
        tally.leave_out("ratings that are no whole number from 0 to 10, or on another scale than the first")
    return rating


def read(file: BinaryIO, store: Store) -> Generator[Incoming]:
    """Read the responses to records that were made of queries of the store.

    Raises:
        DataError: a record or response does not hold; names its record and field.
    """
    annotators = store.bulk.annotators()
    by_user = {user_id(name): name for name in annotators}
    for place, record in read_array(file):
        with Located(place):
            _check_record(record)
            metadata = _optional(record, "metadata")
            query_id = metadata.get("query_id", record.get("id"))
            if query_id is None:
                raise DataError("id: missing; only records that were made of a run's queries can come back in")
            query_id = check_name(query_id, "metadata.query_id")
            items = [
                *_responses(record, query_id, metadata, by_user),
                *_suggestions(record, query_id, metadata, annotators),
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


def _optional(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return {} if value is None else check_object(value, name)


def _responses(
    record: Mapping[str, Any], query_id: str, metadata: Mapping[str, Any], by_user: Mapping[str, str]
) -> Generator[tuple[str, Answer | Left]]:
    for question, values in _optional(record, "responses").items():
        for index, value in enumerate(check_list(values, f"responses.{question}")):
            field = f"responses.{question}[{index}]"
            response = check_object(value, field)
            status = response.get("status", "submitted")
            if status != "submitted":
                yield field, Left(what=f"responses with the status {status}")
            elif question not in _QUESTIONS:
                yield field, Left(what=f"responses to the question {question}")
            else:
                annotator = _user(response.get("user_id"), by_user, f"{field}.user_id")
                yield field, _answer(question, response.get("value"), query_id, metadata, annotator, field)


def _suggestions(
    record: Mapping[str, Any], query_id: str, metadata: Mapping[str, Any], annotators: Mapping[str, Annotator]
) -> Generator[tuple[str, Answer | Left]]:
    for question, value in _optional(record, "suggestions").items():
        field = f"suggestions.{question}"
        suggestion = check_object(value, field)
        agent = suggestion.get("agent")
        known = annotators.get(agent) if isinstance(agent, str) else None
        if known is None or known.kind == "person" or question not in _QUESTIONS:
            yield field, Left(what="suggestions of others than this store's simulated teachers and programs")
            continue
        score = suggestion.get("score")
        confidence = None if score is None else check_number(score, f"{field}.score", low=0, high=1)
        yield field, _answer(question, suggestion.get("value"), query_id, metadata, known.id, field, confidence)


def _answer(
    question: str,
    value: object,
    query_id: str,
    metadata: Mapping[str, Any],
    annotator: str,
    field: str,
    confidence: float | None = None,
) -> Answer:
    kind = _QUESTIONS[question]
    values: Mapping[str, Any]
    if kind == "preference":
        values = {"choice": value}
    elif kind == "correction":
        values = {"text": value}
    else:
        for name in ("rating_low", "rating_high"):
            if name not in metadata:
                raise DataError(f"metadata.{name}: missing; a rating needs the ends of its scale")
        score = check_number(value, f"{field}.value")
        low, high = (check_number(metadata[f"rating_{end}"], f"metadata.rating_{end}") for end in ("low", "high"))
        values = {"score": score, "low": low, "high": high}
    feedback = Feedback(key="", query_id=query_id, kind=kind, value=values, annotator=annotator, confidence=confidence)
    return Answer(feedback=feedback, is_whole=False)


def _user(value: object, by_user: Mapping[str, str], field: str) -> str:
    try:
        name = str(uuid.UUID(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise DataError(f"{field}: expected a UUID, got {shown(value)}") from error
    return by_user.get(name, f"argilla-{name}")
