"""Rows of `pairs` that are texts: see `pairs` for the format."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, Query, TextSegment
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_whole
from heeler.feedback.transfer.items import Answer, Left, TextItem, check_name, shown
from heeler.feedback.transfer.texts import ASSISTANT, Policies, completions_of, prompt_field, redacted_text, text_query

DATASET = "dataset"
"""Annotator of rows that do not say who judged; a program, as nobody is paid or asked to rest for them."""
_NOTE = "judged before the import, and the file does not say by whom"

_NUMBERS = ("time_taken_s", "confidence", "answered_step")
_VERSIONS = ("chosen_policy_version", "rejected_policy_version")
_KNOWN = ("prompt", "chosen", "rejected", "left", "right", "key", "query_id", "choice", "annotator")


def text_row(answered: Answered, chosen: TextSegment, rejected: TextSegment) -> dict[str, Any]:
    """The row of a preference between two texts."""
    answer, prompt = answered.answer, prompt_field(chosen.prompt)
    is_chat = not isinstance(prompt, str)
    row: dict[str, Any] = {"prompt": prompt}
    for name, segment in (("chosen", chosen), ("rejected", rejected)):
        row[name] = [{"role": ASSISTANT, "content": segment.completion}] if is_chat else segment.completion
    return {
        **row,
        "chosen_policy_version": chosen.policy_version,
        "rejected_policy_version": rejected.policy_version,
        "key": answer.key,
        "query_id": answer.query_id,
        "choice": answer.value["choice"],
        "annotator": answer.annotator,
        **{name: getattr(answer, name) for name in _NUMBERS},
    }


def text_items(fields: Mapping[str, Any], known: Mapping[str, Query], policies: Policies) -> Generator[TextItem]:
    """What a row of text brings: the two texts, the question which is better, and the answer where it has one.

    Args:
        fields: of the row, those that hold null taken out.
        known: the store's queries among those that the rows name.
        policies: that are brought already.

    Raises:
        DataError: a field does not hold.
    """
    is_judged = not ("left" in fields or "right" in fields)
    names = ("chosen", "rejected") if is_judged else ("left", "right")
    if not is_judged and ("chosen" in fields or "rejected" in fields):
        raise DataError("left: stands for a pair that nobody has judged; leave out chosen and rejected, or this")
    for name in names:
        if name not in fields:
            raise DataError(f"{name}: missing")
    prompt, *texts = completions_of(fields.get("prompt"), (fields[names[0]], fields[names[1]]), names)
    versions = [check_whole(fields.get(name, 0), name, low=0, high=2**31 - 1) for name in _VERSIONS]
    pair = [
        TextSegment(prompt=prompt, completion=text, policy_version=version)
        for text, version in zip(texts, versions, strict=True)
    ]
    for name in fields:
        if name not in (*_KNOWN, *_VERSIONS, *_NUMBERS):
            yield Left(what=f"values of the field {name[:60]!r}")
    query_id = None if "query_id" not in fields else check_name(fields["query_id"], "query_id", 64)
    query = None if query_id is None else known.get(query_id)
    if query is None:
        pair = [redacted_text(segment) for segment in pair]
        if pair[0].id == pair[1].id:
            yield Left(what="pairs of twice the same text")
            return
        query = _asked(fields, pair, query_id)
        yield from policies.items(pair)
        yield from pair
        yield query
    else:
        pair = _pair_of(query, pair, names)
    if is_judged:
        yield from _answer_items(fields, query, pair[0])


def _asked(fields: Mapping[str, Any], pair: list[TextSegment], query_id: str | None) -> Query:
    if query_id is None or "choice" not in fields:
        query = text_query("preference", pair)
        return query if query_id is None else replace(query, id=query_id)
    if fields["choice"] not in ("left", "right"):
        raise DataError(f"choice: expected 'left' or 'right', got {shown(fields['choice'])}")
    return text_query("preference", pair if fields["choice"] == "left" else pair[::-1], query_id)


def _pair_of(query: Query, pair: list[TextSegment], names: tuple[str, str]) -> list[TextSegment]:
    """The pair as the store has it: texts that a program put there itself are kept as they are, others redacted."""
    for some in (pair, [redacted_text(segment) for segment in pair]):
        if sorted(segment.id for segment in some) == sorted(query.segment_ids):
            return some
    raise DataError(f"{names[0]}: query {query.id} asks about other segments than these two texts")


def _answer_items(fields: Mapping[str, Any], query: Query, chosen: TextSegment) -> Generator[TextItem]:
    choice = "left" if chosen.id == query.segment_ids[0] else "right"
    if "query_id" in fields and fields.get("choice", choice) != choice:
        raise DataError(f"choice: chosen is the {choice} text of query {query.id}, got {shown(fields['choice'])}")
    name = check_name(fields.get("annotator", DATASET), "annotator")
    yield Annotator(id=name, kind="program", note=_NOTE) if name == DATASET else Annotator(id=name, kind=None)
    key = fields.get("key")
    feedback = Feedback(
        key="" if key is None else check_name(key, "key"),
        query_id=query.id,
        kind="preference",
        value={"choice": choice},
        annotator=name,
        **{name: fields.get(name) for name in _NUMBERS},
    )
    yield Answer(feedback=feedback, is_whole=key is not None)
