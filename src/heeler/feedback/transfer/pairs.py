"""`pairs`: preferences as the `prompt`, `chosen`, `rejected` datasets that language models are trained on, as JSONL.

The fields are those of the preference type, in standard format, in the guide to dataset formats of Hugging Face's TRL.
There they hold text. A segment of control has none: `prompt` is the world that both segments are of, `chosen` and
`rejected` are the segments' ids, so that every field keeps the one type that a dataset's column has, and beside them
stand the numbers, `chosen_observation` and `rejected_observation` [T, O], `chosen_action` and `rejected_action` [T, A].
The other fields, from `key` to `answered_step`, are heeler's own: with them a row that was exported comes back as the
same answer. Programs that know only the three leave the rest aside.

A pair has a better side. "Equal" and "can't tell" and all other kinds of feedback are left out and counted.

Rows that come in need `query_id`, `annotator`, `chosen` and `rejected`, and must name the segments of a query that the
store has; arrays are not read. Rows of text are refused, as no store holds segments of text yet.
"""

import re
from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, Query, Segment
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.store import Store
from heeler.feedback.transfer.files import Located, read_lines, write_lines
from heeler.feedback.transfer.items import Answer, Incoming, check_fields, check_name, shown
from heeler.feedback.transfer.tally import Tally

_SIDES = ("left", "right")
_REQUIRED = ("chosen", "rejected", "query_id", "annotator")
_NUMBERS = ("time_taken_s", "confidence", "answered_step")
_NOT_READ = ("prompt", "chosen_observation", "chosen_action", "rejected_observation", "rejected_action")
_ROWS_AT_ONCE = 200
_SEGMENT_ID = re.compile("[0-9a-f]{64}")


def write(store: Store, file: BinaryIO, tally: Tally) -> None:
    """Write every preference that has a better side."""
    for page in store.bulk.answered(store.bulk.last_position(), page=100):
        sided: list[Answered] = []
        for answered in page:
            choice = answered.answer.value.get("choice")
            if answered.answer.kind != "preference":
                tally.leave_out(f"answers of kind {answered.answer.kind}")
            elif choice not in _SIDES:
                tally.leave_out(f"preferences for neither side ({choice})")
            else:
                sided.append(answered)
        segments = store.segments([i for answered in sided for i in answered.query.segment_ids])
        write_lines(file, (_row(answered, segments) for answered in sided))
        tally.num_answers += len(sided)


def _row(answered: Answered, segments: Mapping[str, Segment]) -> dict[str, Any]:
    answer = answered.answer
    left, right = answered.query.segment_ids
    chosen, rejected = (left, right) if answer.value["choice"] == "left" else (right, left)
    return {
        "prompt": segments[chosen].env_id,
        "chosen": chosen,
        "rejected": rejected,
        "chosen_observation": segments[chosen].observation.tolist(),
        "chosen_action": segments[chosen].action.tolist(),
        "rejected_observation": segments[rejected].observation.tolist(),
        "rejected_action": segments[rejected].action.tolist(),
        "key": answer.key,
        "query_id": answer.query_id,
        "choice": answer.value["choice"],
        "annotator": answer.annotator,
        "time_taken_s": answer.time_taken_s,
        "confidence": answer.confidence,
        "answered_step": answer.answered_step,
    }


def read(file: BinaryIO, store: Store) -> Generator[Incoming]:
    """Read pairs of segments of queries that the store has.

    Raises:
        DataError: a row does not hold; names its line and field.
    """
    lines = read_lines(file)
    while some := list(islice(lines, _ROWS_AT_ONCE)):
        for place, fields in some:
            with Located(place):
                _check(fields)
        queries = store.bulk.queries([fields["query_id"] for _, fields in some])
        for place, fields in some:
            with Located(place):
                answer = _answer(fields, queries)
            yield Incoming(place=place, item=Annotator(id=answer.feedback.annotator, kind=None))
            yield Incoming(place=place, item=answer)


def _check(fields: Mapping[str, Any]) -> None:
    for name in ("chosen", "rejected"):
        value = fields.get(name)
        if name in fields and not (isinstance(value, str) and _SEGMENT_ID.fullmatch(value)):
            raise DataError(
                f"{name}: expected the id of a segment (64 hexadecimal digits), got {shown(value)}; "
                "pairs of texts cannot come in, as this run has segments of numbers"
            )
    check_fields(fields, "", _REQUIRED, ("key", "choice", *_NUMBERS, *_NOT_READ))
    check_name(fields["query_id"], "query_id")
    check_name(fields["annotator"], "annotator")


def _answer(fields: Mapping[str, Any], queries: Mapping[str, Query]) -> Answer:
    query, shown_ids = queries.get(fields["query_id"]), (fields["chosen"], fields["rejected"])
    if query is None:
        raise DataError(
            f"query_id: no query {fields['query_id']!r} in the store; answers are to queries that were asked"
        )
    if sorted(shown_ids) != sorted(query.segment_ids):
        raise DataError(f"chosen: query {query.id} asks about {list(query.segment_ids)}, got {list(shown_ids)}")
    choice = "left" if fields["chosen"] == query.segment_ids[0] else "right"
    if fields.get("choice", choice) != choice:
        raise DataError(f"choice: chosen is the {choice} segment of query {query.id}, got {shown(fields['choice'])}")
    key = fields.get("key")
    feedback = Feedback(
        key="" if key is None else check_name(key, "key"),
        query_id=query.id,
        kind="preference",
        value={"choice": choice},
        annotator=fields["annotator"],
        **{name: fields.get(name) for name in _NUMBERS},
    )
    return Answer(feedback=feedback, is_whole=key is not None)
