"""Texts in Label Studio: tasks that show them, results for every kind of answer, and what they say in heeler.

A task's `data` has the prompt as text for people to read in `prompt` and letter by letter in `messages`, the texts in
`left` and `right` or in `completion`, and under `heeler` what Label Studio has no place for. A kind of question has
these results, whose tags `label_studio_settings` gives as the configuration of a project:

    preference     a pairwise of `preference`; for neither side a choice of `neither`: equal or cant_tell
    rating         stars of `rating` on the scale from 1 to 5; else the number `score`
    evaluation     a choice of `evaluation`: good, bad or neither
    critique       a region of `part` over the completion, labelled good, bad or part (nobody said which), and the text
                   of `critique` for that region
    correction     the text of `correction`
    demonstration  the text of `demonstration`

Positions count characters, as Label Studio's pages do since version 1.5; of older ones that count UTF-16 units the text
that a region repeats tells it.
"""

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import FeedbackKind, Query, TextSegment
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_whole
from heeler.feedback.transfer.carried import asked_fields, carried_fields, scale_of
from heeler.feedback.transfer.items import Left, check_list, check_object, check_string, shown
from heeler.feedback.transfer.segment_fields import message_fields
from heeler.feedback.transfer.shown_texts import Shown, side_of
from heeler.feedback.transfer.text_answers import (
    evaluation_of,
    evaluation_word,
    kind_of_text,
    part_label,
    prompt_text,
    rating_of,
    sign_of_label,
)
from heeler.feedback.transfer.text_positions import from_utf16, to_utf16

STARS = (1.0, 5.0)
"""Ends of the scale of a Rating tag that says nothing else."""
Value = tuple[FeedbackKind, Mapping[str, Any]]
"""(kind, value) of an answer; of a demonstration the value is its text."""


def text_task(
    number: int,
    query: Query,
    answers: Sequence[Answered],
    texts: Mapping[str, TextSegment],
    annotators: Mapping[str, Annotator],
) -> dict[str, Any]:
    """The task of a query about texts, with an annotation for each answer."""
    segments = [texts[name] for name in query.segment_ids]
    data = _data(query, segments) | scale_of(answers)
    carried: dict[str, Any] = {}
    annotations: list[dict[str, Any]] = []
    names = ("left", "right") if len(segments) > 1 else ("completion",)
    seen = Shown(
        prompt=segments[0].prompt,
        completions=tuple(s.completion for s in segments),
        names=names,
        prompt_name="messages",
    )
    for answered in answers:
        value = dict(answered.answer.value)
        demonstration = texts[value["segment_id"]] if query.kind == "demonstration" else None
        if demonstration is not None:
            value = {"text": demonstration.completion}
        results = _results(query.kind, value, segments[0].completion, answered.answer.key[:10])
        ((_, said),) = [
            one for one in values_of(results, seen, data | scale_of([answered]), None) if not isinstance(one, Left)
        ]
        version = None if demonstration is None else demonstration.policy_version
        carried[str(answered.position)] = carried_fields(
            answered, annotators[answered.answer.annotator], said, policy_version=version
        )
        annotations.append(_annotation(number, answered, results))
    data["heeler"] = asked_fields(query, tuple(s.policy_version for s in segments), carried)
    return {"id": number, "data": data, "annotations": annotations, "predictions": []}


def _data(query: Query, segments: Sequence[TextSegment]) -> dict[str, Any]:
    names = ("left", "right") if len(segments) > 1 else ("completion",)
    prompt = segments[0].prompt
    return {
        "query_id": query.id,
        "kind": query.kind,
        "prompt": prompt_text(prompt, segments[0].is_chat),
        "messages": [message_fields(message) for message in prompt],
        **{name: segment.completion for name, segment in zip(names, segments, strict=True)},
    }


def _annotation(task: int, answered: Answered, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    when = datetime.fromtimestamp(answered.received_unix_s, UTC).isoformat().replace("+00:00", "Z")
    return {
        "id": answered.position,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "lead_time": answered.answer.time_taken_s,
        "result_count": len(results),
        "task": task,
        "unique_id": answered.answer.key,
    }


def _results(kind: FeedbackKind, value: Mapping[str, Any], completion: str, name: str) -> list[dict[str, Any]]:
    def result(tag: str, to_name: str, type_: str, content: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": name,
            "from_name": tag,
            "to_name": to_name,
            "type": type_,
            "origin": "manual",
            "value": dict(content),
        }

    if kind == "preference":
        if value["choice"] in ("left", "right"):
            return [result("preference", "preference", "pairwise", {"selected": value["choice"]})]
        return [result("neither", "left", "choices", {"choices": [value["choice"]]})]
    if kind == "rating":
        if (value["low"], value["high"]) == STARS and float(value["score"]).is_integer():
            return [result("rating", "completion", "rating", {"rating": int(value["score"])})]
        return [result("score", "completion", "number", {"number": value["score"]})]
    if kind == "evaluation":
        return [result("evaluation", "completion", "choices", {"choices": [evaluation_word(value)]})]
    if kind == "critique":
        start, end = value["start"], value["end"]
        region = {"start": start, "end": end, "text": completion[start:end]}
        return [
            result("part", "completion", "labels", {**region, "labels": [part_label(value)]}),
            result("critique", "completion", "textarea", {**region, "text": [value["text"]]}),
        ]
    return [result(kind, "completion", "textarea", {"text": [value["text"]]})]


def values_of(
    results: Sequence[Mapping[str, Any]], seen: Shown, data: Mapping[str, Any], scale: tuple[float, float] | None
) -> Generator[Value | Left]:
    """What the results of one annotation say.

    Args:
        results: of the annotation.
        seen: what its task shows.
        data: of the task, which may have the ends of the scale of ratings.
        scale: of ratings, where the task has none; None for that of Label Studio's stars.

    Raises:
        DataError: a result does not hold; names it and its field.
    """
    regions = {result.get("id") for result in results if result.get("type") == "labels"}
    words = {r.get("id"): r for r in results if r.get("type") == "textarea" and r.get("id") in regions}
    for index, result in enumerate(results):
        field = f"result[{index}].value"
        value = check_object(result.get("value"), field)
        kind, name = result.get("type"), str(result.get("from_name"))
        if kind == "pairwise" and seen.is_pair:
            yield "preference", {"choice": _selected(value, field)}
        elif kind == "choices":
            yield _chosen(value, name, seen, field)
        elif kind in ("rating", "number") and not seen.is_pair:
            stars = STARS if kind == "rating" else None
            yield "rating", rating_of(value.get(kind), data, scale or stars, "data", f"{field}.{kind}")
        elif kind == "labels" and not seen.is_pair and result.get("to_name") != seen.prompt_name:
            yield "critique", _critique(value, words.get(result.get("id")), seen.completions[0], field)
        elif kind == "textarea" and result.get("id") in regions:
            continue
        elif kind == "textarea" and not seen.is_pair and kind_of_text(name):
            yield from _written(value, name, seen, field)
        else:
            yield Left(what=f"results of the tag {name[:60]!r}, which are no answers here")


def _selected(value: Mapping[str, Any], field: str) -> str:
    selected = value.get("selected")
    if selected not in ("left", "right"):
        raise DataError(f"{field}.selected: expected 'left' or 'right', got {shown(selected)}")
    return selected


def _chosen(value: Mapping[str, Any], name: str, seen: Shown, field: str) -> Value | Left:
    choices = check_list(value.get("choices"), f"{field}.choices")
    word: object = choices[0] if len(choices) == 1 else None
    if seen.is_pair:
        side = side_of(word, seen.names) if isinstance(word, str) else None
        if side is not None:
            return "preference", {"choice": side}
        if name in ("preference", "neither"):
            raise DataError(f"{field}.choices: expected one of left, right, equal, cant_tell, got {shown(choices)}")
    else:
        marks = evaluation_of(word)
        if marks is not None:
            return "evaluation", marks
        if name == "evaluation":
            raise DataError(f"{field}.choices: expected one of good, bad, neither, got {shown(choices)}")
    return Left(what=f"results of the tag {name[:60]!r}, which are no answers here")


def _critique(value: Mapping[str, Any], words: Mapping[str, Any] | None, completion: str, field: str) -> dict[str, Any]:
    start, end = _part(value, completion, field)
    if words is None:
        # A label alone says what is the matter with the part.
        labels = check_list(value.get("labels"), f"{field}.labels")
        text = ", ".join(check_string(label, f"{field}.labels") for label in labels)
    else:
        text = "\n\n".join(_texts(check_object(words.get("value"), field), field))
    return {"text": text, "start": start, "end": end, **sign_of_label(value.get("labels"))}


def _part(value: Mapping[str, Any], completion: str, field: str) -> tuple[int, int]:
    start = check_whole(value.get("start"), f"{field}.start", low=0)
    end = check_whole(value.get("end"), f"{field}.end", low=start + 1)
    marked = value.get("text")
    if isinstance(marked, str) and marked != completion[start:end] and end <= to_utf16(completion, len(completion)):
        try:
            units = from_utf16(completion, start, field), from_utf16(completion, end, field)
        except DataError:
            return start, end
        if completion[units[0] : units[1]] == marked:
            return units
    return start, end


def _written(value: Mapping[str, Any], name: str, seen: Shown, field: str) -> Generator[Value]:
    kind = kind_of_text(name)
    assert kind is not None
    for text in _texts(value, field):
        if kind == "critique":
            yield kind, {"text": text, "start": 0, "end": len(seen.completions[0])}
        else:
            yield kind, {"text": text}


def _texts(value: Mapping[str, Any], field: str) -> list[str]:
    text = value.get("text")
    values = [text] if isinstance(text, str) else check_list(text, f"{field}.text")
    if not values:
        raise DataError(f"{field}.text: expected some text, got none")
    return [_string(one, f"{field}.text") for one in values]


def _string(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{field}: expected text, got {shown(value)}")
    return value
