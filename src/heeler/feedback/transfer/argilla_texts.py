"""Texts in Argilla: records that show them, responses for every kind of answer, and what they say in heeler.

A record's `fields` have the prompt in `prompt`, as a chat's messages (plain text is one message of the role `text`),
and the texts in `left` and `right` or in `completion`. `metadata.heeler` holds, as JSON, what Argilla has no place for.
A kind of question has these answers, whose questions `argilla_settings` gives for a dataset:

    preference     a label of `preference`: left, right, equal or cant_tell
    rating         a whole number from 0 to 10 as `rating`; else the number as text in `score`
    evaluation     a label of `evaluation`: good, bad or neither
    critique       a span of `part` over the completion, labelled good, bad or part (nobody said which), and the text of
                   `critique`
    correction     the text of `correction`
    demonstration  the text of `demonstration`

Argilla's pages count positions of a span in UTF-16 units, of which an emoji is two; so do these files.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import FeedbackKind, Query, TextSegment, stable_id
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_whole
from heeler.feedback.transfer.carried import asked_fields, carried_fields, scale_of
from heeler.feedback.transfer.files import json_text
from heeler.feedback.transfer.items import Left, check_list, check_object, shown
from heeler.feedback.transfer.segment_fields import message_fields
from heeler.feedback.transfer.shown_texts import Shown, side_of
from heeler.feedback.transfer.tally import Tally
from heeler.feedback.transfer.text_answers import (
    evaluation_of,
    evaluation_word,
    kind_of_text,
    part_label,
    rating_of,
    sign_of_label,
)
from heeler.feedback.transfer.text_positions import from_utf16, to_utf16

RATINGS = (0, 10)
"""Least and greatest number of Argilla's ratings."""
Value = tuple[FeedbackKind, Mapping[str, Any]]
"""(kind, value) of an answer; of a demonstration the value is its text."""
_Scale = tuple[float, float] | None


def user_id(annotator: str) -> str:
    """The UUID by which Argilla's files name an annotator."""
    return stable_id("argilla user", annotator)


def text_record(
    query: Query,
    answers: Sequence[Answered],
    texts: Mapping[str, TextSegment],
    annotators: Mapping[str, Annotator],
    tally: Tally,
) -> dict[str, Any]:
    """The record of a query about texts, with the responses of people and one suggestion."""
    segments = [texts[name] for name in query.segment_ids]
    seen = _seen(segments)
    metadata = {"query_id": query.id, "kind": query.kind, **scale_of(answers)}
    responses: dict[str, list[dict[str, Any]]] = {}
    suggestions: dict[str, Any] = {}
    carried: dict[str, Any] = {}
    for answered in answers:
        answer, annotator = answered.answer, annotators[answered.answer.annotator]
        is_person = annotator.kind == "person"
        name = user_id(annotator.id) if is_person else annotator.id
        if name in carried or (suggestions and not is_person):
            who = "people" if is_person else "simulated teachers or programs"
            tally.leave_out(f"second answers of {who} to one question")
            continue
        demonstration = texts[answer.value["segment_id"]] if query.kind == "demonstration" else None
        value = dict(answer.value) if demonstration is None else {"text": demonstration.completion}
        given = _given(query.kind, value, seen.completions[0])
        ((_, said),) = [
            v for v in values_of(given, seen, metadata | scale_of([answered]), None, "") if not isinstance(v, Left)
        ]
        version = None if demonstration is None else demonstration.policy_version
        carried[name] = carried_fields(answered, annotator, said, policy_version=version)
        tally.num_answers += 1
        for question, one in given.items():
            if is_person:
                one = {"value": one, "user_id": name, "status": "submitted"}
                responses.setdefault(question, []).append(one)
            else:
                suggestions[question] = {"value": one, "score": answer.confidence, "agent": name}
    own = asked_fields(query, tuple(segment.policy_version for segment in segments), carried)
    return {
        "id": query.id,
        "fields": _fields(segments, seen),
        "metadata": {**metadata, "heeler": json_text(own)},
        "suggestions": suggestions,
        "responses": responses,
        "vectors": {},
        "_server_id": None,
    }


def _seen(segments: Sequence[TextSegment]) -> Shown:
    names = ("left", "right") if len(segments) > 1 else ("completion",)
    completions = tuple(segment.completion for segment in segments)
    return Shown(prompt=segments[0].prompt, completions=completions, names=names, prompt_name="prompt")


def _fields(segments: Sequence[TextSegment], seen: Shown) -> dict[str, Any]:
    prompt = [message_fields(message) for message in segments[0].prompt]
    texts = dict(zip(seen.names, seen.completions, strict=True))
    return {"prompt": prompt, **texts} if prompt else texts


def _given(kind: FeedbackKind, value: Mapping[str, Any], completion: str) -> dict[str, Any]:
    """An answer by question."""
    if kind == "preference":
        return {"preference": value["choice"]}
    if kind == "rating":
        score = float(value["score"])
        if score.is_integer() and RATINGS[0] <= score <= RATINGS[1]:
            return {"rating": int(score)}
        return {"score": json_text(score)}
    if kind == "evaluation":
        return {"evaluation": evaluation_word(value)}
    if kind == "critique":
        ends = {end: to_utf16(completion, value[end]) for end in ("start", "end")}
        return {"part": [{"label": part_label(value), **ends}], "critique": value["text"]}
    return {kind: value["text"]}


def values_of(
    given: Mapping[str, Any], seen: Shown, metadata: Mapping[str, Any], scale: _Scale, field: str
) -> Generator[Value | Left]:
    """What one person's responses to a record say.

    Args:
        given: values by question.
        seen: what the record shows.
        metadata: of the record, which may have the ends of the scale of ratings.
        scale: of ratings, where the record has none.
        field: where the responses stand, for messages.

    Raises:
        DataError: a response does not hold; names its question.
    """
    spans = {name: value for name, value in given.items() if name == "part" or _is_of(value, "start")}
    for name, value in given.items():
        where = f"{field}{name}"
        if name in spans:
            if not seen.is_pair:
                words = given.get("critique")
                yield from _critiques(value, words if isinstance(words, str) else None, seen.completions[0], where)
        elif spans and name == "critique" and not seen.is_pair:
            continue
        elif name == "score" and isinstance(value, str) and not seen.is_pair:
            yield "rating", rating_of(_number(value, where), metadata, scale, "metadata", where)
        elif name == "rating" or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield "rating", rating_of(value, metadata, scale, "metadata", where)
        else:
            yield _said(name, value, seen, where)


def _said(name: str, value: object, seen: Shown, where: str) -> Value | Left:
    side = _side(value, seen, where) if seen.is_pair else None
    marks = None if seen.is_pair else evaluation_of(value)
    if side is not None:
        return "preference", {"choice": side}
    if name == "preference":
        raise DataError(f"{where}: expected one of left, right, equal, cant_tell, got {shown(value)}")
    kind = kind_of_text(name)
    if kind is not None and not seen.is_pair:
        if not isinstance(value, str):
            raise DataError(f"{where}: expected text, got {shown(value)}")
        part = {"start": 0, "end": len(seen.completions[0])} if kind == "critique" else {}
        return kind, {"text": value, **part}
    if marks is not None:
        return "evaluation", marks
    if name == "evaluation":
        raise DataError(f"{where}: expected one of good, bad, neither, got {shown(value)}")
    return Left(what=f"responses to the question {name[:60]}")


def _side(value: object, seen: Shown, where: str) -> str | None:
    """The better one of two texts, by a label or by their ranks."""
    if isinstance(value, str):
        return side_of(value, seen.names)
    if not _is_of(value, "rank"):
        return None
    ranks: dict[str, int] = {}
    for one in cast(list[Mapping[str, Any]], value):
        side = side_of(str(one.get("value")), seen.names)
        if side not in ("left", "right"):
            raise DataError(f"{where}: expected ranks of {' and '.join(seen.names)}, got {shown(one.get('value'))}")
        ranks[side] = check_whole(one.get("rank"), f"{where}.rank", low=1)
    if len(ranks) != 2:
        raise DataError(f"{where}: expected ranks of {' and '.join(seen.names)}, got {len(ranks)}")
    return "equal" if ranks["left"] == ranks["right"] else min(ranks, key=lambda side: ranks[side])


def _is_of(value: object, name: str) -> bool:
    """Whether it is a list of objects that have this field."""
    if not isinstance(value, list):
        return False
    some = cast(list[Any], value)
    return bool(some) and all(isinstance(one, Mapping) and name in one for one in some)


def _critiques(value: object, words: str | None, completion: str, where: str) -> Generator[Value]:
    for index, one in enumerate(check_list(value, where)):
        span, field = check_object(one, f"{where}[{index}]"), f"{where}[{index}]"
        ends = {
            end: from_utf16(completion, check_whole(span.get(end), f"{field}.{end}", low=0), f"{field}.{end}")
            for end in ("start", "end")
        }
        # A label alone says what is the matter with the part.
        text = span.get("label") if words is None else words
        if not isinstance(text, str):
            raise DataError(f"{field}.label: expected text, got {shown(text)}")
        yield "critique", {"text": text, **ends, **sign_of_label([span.get("label")])}


def _number(value: str, where: str) -> float:
    try:
        return float(json.loads(value))
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{where}: expected a number, got {shown(value)}") from error
