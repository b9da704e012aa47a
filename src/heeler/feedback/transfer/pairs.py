"""`pairs`: preferences as the `prompt`, `chosen`, `rejected` datasets that language models are trained on, as JSONL.

The fields are those of the preference type in the guide to dataset formats of Hugging Face's TRL, whose two formats are
both read. In the standard one `prompt`, `chosen` and `rejected` are plain text; in the conversational one they are
lists of `{"role", "content"}`, and `chosen` and `rejected` are one message of the assistant each. Without a prompt it
is what both begin with: all messages but the last, or the words up to the first that differs. So is that of dialogues
in one text, whose turns are paragraphs that begin with `Human:` and `Assistant:`. Completions of two prompts are
refused. Texts are redacted before they are stored.

A row of text needs no more than that. Whoever judged is `annotator`, or "dataset" where the row does not say. With
`left` and `right` in place of `chosen` and `rejected` it is a question that nobody has answered yet. Fields of other
programs are passed over and counted.

A segment of control has no text: `prompt` is the world that both segments are of, `chosen` and `rejected` are the
segments' ids, and beside them stand the numbers, `chosen_observation` and `rejected_observation` [T, O],
`chosen_action` and `rejected_action` [T, A]. Such rows need `query_id` and `annotator`, and must name the segments of a
query that the store has; arrays are not read.

The other fields, from `key` to `answered_step`, are heeler's own, and of a segment of control `view` too (what a model
thought of the pair, and whether that was opened): with them a row that was exported comes back as the same answer. A
pair has a better side. "Equal" and "can't tell" and all other kinds of feedback are left out and
counted.
"""

import re
from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from heeler.core.errors import DataError
from heeler.core.nouns import AnySegment, Feedback, Query, TextSegment
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.store import Store
from heeler.feedback.transfer.files import Located, read_lines, write_lines
from heeler.feedback.transfer.items import Answer, Incoming, TextItem, check_fields, check_name, shown
from heeler.feedback.transfer.tally import Tally
from heeler.feedback.transfer.text_pairs import text_items, text_row
from heeler.feedback.transfer.texts import Policies

_SIDES = ("left", "right")
_REQUIRED = ("chosen", "rejected", "query_id", "annotator")
_BESIDE = ("time_taken_s", "confidence", "answered_step", "view")
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


def _row(answered: Answered, segments: Mapping[str, AnySegment]) -> dict[str, Any]:
    answer = answered.answer
    left, right = (segments[name] for name in answered.query.segment_ids)
    chosen, rejected = (left, right) if answer.value["choice"] == "left" else (right, left)
    if isinstance(chosen, TextSegment) or isinstance(rejected, TextSegment):
        assert isinstance(chosen, TextSegment) and isinstance(rejected, TextSegment), "no query mixes them"
        return text_row(answered, chosen, rejected)
    return {
        "prompt": chosen.env_id,
        "chosen": chosen.id,
        "rejected": rejected.id,
        "chosen_observation": chosen.observation.tolist(),
        "chosen_action": chosen.action.tolist(),
        "rejected_observation": rejected.observation.tolist(),
        "rejected_action": rejected.action.tolist(),
        "key": answer.key,
        "query_id": answer.query_id,
        "choice": answer.value["choice"],
        "annotator": answer.annotator,
        "time_taken_s": answer.time_taken_s,
        "confidence": answer.confidence,
        "answered_step": answer.answered_step,
        "view": answer.view,
    }


def read(file: BinaryIO, store: Store) -> Generator[Incoming]:
    """Read pairs of texts, and pairs of segments of queries that the store has.

    Raises:
        DataError: a row does not hold; names its line and field.
    """
    lines, policies = read_lines(file), Policies(store)
    while some := list(islice(lines, _ROWS_AT_ONCE)):
        for place, fields in some:
            with Located(place):
                _check(fields)
        named = [fields["query_id"] for _, fields in some if isinstance(fields.get("query_id"), str)]
        queries = store.bulk.queries(named)
        for place, fields in some:
            with Located(place):
                items = (
                    _control_items(fields, queries) if _is_control(fields) else _text_items(fields, queries, policies)
                )
            yield from (Incoming(place=place, item=item) for item in items)


def _is_control(fields: Mapping[str, Any]) -> bool:
    """Whether a row names segments. A text may look like a hash, but no row of text brings numbers or a world."""
    ids = (fields.get("chosen"), fields.get("rejected"))
    are_ids = all(isinstance(name, str) and _SEGMENT_ID.fullmatch(name) for name in ids)
    return are_ids and "query_id" in fields and "chosen_policy_version" not in fields


def _check(fields: Mapping[str, Any]) -> None:
    if _is_control(fields):
        check_fields(fields, "", _REQUIRED, ("key", "choice", *_BESIDE, *_NOT_READ))
        check_name(fields["query_id"], "query_id")
        check_name(fields["annotator"], "annotator")


def _control_items(fields: Mapping[str, Any], queries: Mapping[str, Query]) -> list[Annotator | Answer]:
    answer = _answer(fields, queries)
    return [Annotator(id=answer.feedback.annotator, kind=None), answer]


def _text_items(fields: Mapping[str, Any], queries: Mapping[str, Query], policies: Policies) -> list[TextItem]:
    # A column that a row has nothing for holds null.
    return list(text_items({name: value for name, value in fields.items() if value is not None}, queries, policies))


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
        **{name: fields.get(name) for name in _BESIDE},
    )
    return Answer(feedback=feedback, is_whole=key is not None)
