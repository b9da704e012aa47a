"""What somebody says of an answer, by the answer's id, as feedback that the store takes."""

from collections.abc import Mapping
from typing import Any

from heeler.core.errors import ConflictError, DataError, did_you_mean
from heeler.core.nouns import FeedbackKind, Query, stable_id
from heeler.feedback.completions import CHAT, Completion, kept_part
from heeler.feedback.form import check_fields, check_whole
from heeler.feedback.store import Store

STARS = (1, 5)
_BETTER = ("this", "other", "equal", "cant_tell")
KINDS: tuple[FeedbackKind, ...] = ("evaluation", "rating", "preference", "correction", "critique")


def query_and_value(
    store: Store, annotator: str, completion: Completion, kind: str, value: Mapping[str, Any]
) -> tuple[Query, dict[str, Any]]:
    """The query that an answer is to, and its value as the store takes it.

    Args:
        store: of the chat.
        annotator: who says it.
        completion: of which it is said.
        kind: one of `KINDS`.
        value: by kind
            evaluation: {"thumbs": "up" | "down"}
            rating: {"stars": 1 to 5}
            preference: {"other": id, "other_choice": int, "better": "this" | "other" | "equal" | "cant_tell"}
            correction: {"text": the whole answer as it should be}
            critique: {"text": what is said, "start": int, "end": int}, in characters of the answer as it was shown, and
                "sign": 1 for a good part or -1 for a bad one, where the person said which

    Raises:
        DataError: naming the field that does not hold.
        ConflictError: the two answers are of different prompts, or the same word for word.
    """
    if kind == "preference":
        return _preference(store, annotator, completion, value)
    if kind == "evaluation":
        thumbs = check_fields(value, ["thumbs"])["thumbs"]
        if thumbs not in ("up", "down"):
            raise DataError(f"value.thumbs: expected 'up' or 'down', got {thumbs!r:.80}")
        said: dict[str, Any] = {"marks": [{"time_s": 0.0, "sign": 1 if thumbs == "up" else -1}]}
    elif kind == "rating":
        low, high = STARS
        stars = check_whole(check_fields(value, ["stars"])["stars"], "value.stars", low=low, high=high)
        said = {"score": float(stars), "low": float(low), "high": float(high)}
    elif kind == "correction":
        said = dict(check_fields(value, ["text"]))
    elif kind == "critique":
        said = _critique(completion, value)
    else:
        raise DataError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r:.60}.{did_you_mean(kind, KINDS)}")
    return _query(store, kind, completion), said


def _critique(completion: Completion, value: Mapping[str, Any]) -> dict[str, Any]:
    fields = check_fields(value, ["text", "start", "end"], optional=["sign"])
    start = check_whole(fields["start"], "value.start", low=0, high=2**31)
    end = check_whole(fields["end"], "value.end", low=start + 1, high=2**31)
    kept_start, kept_end = kept_part(completion.marks, start, end)
    said = {"text": fields["text"], "start": kept_start, "end": kept_end}
    return said | ({"sign": fields["sign"]} if "sign" in fields else {})


def _preference(
    store: Store, annotator: str, completion: Completion, value: Mapping[str, Any]
) -> tuple[Query, dict[str, Any]]:
    fields = check_fields(value, ["other", "other_choice", "better"])
    choice = check_whole(fields["other_choice"], "value.other_choice", low=0, high=2**31 - 1)
    other = store.completions.get(str(fields["other"])[:64], choice, annotator)
    if other is None:
        raise DataError(f"value.other: there is no answer {fields['other']!r:.80} of yours with this choice")
    if fields["better"] not in _BETTER:
        raise DataError(f"value.better: expected one of {', '.join(_BETTER)}, got {fields['better']!r:.80}")
    if other.segment_id == completion.segment_id:
        raise ConflictError("value.other: both answers are the same word for word, so that neither is better")
    first, second = sorted((completion, other), key=lambda one: (one.id, one.choice))
    left = "this" if first is completion else "other"
    sides = {left: "left", ("other" if left == "this" else "this"): "right"}
    facts = store.segment_facts([first.segment_id, second.segment_id])
    if len({fact.trajectory_id for fact in facts.values()}) > 1:
        raise ConflictError("value.other: it answers another prompt; compare answers to one prompt")
    return _query(store, "preference", first, second), {"choice": sides.get(fields["better"], fields["better"])}


def _query(store: Store, kind: FeedbackKind, *completions: Completion) -> Query:
    version = store.segment(completions[0].segment_id)
    step = next((one.step for one in store.policy_versions() if one.version == version.policy_version), 0)
    return Query(
        id=query_id(kind, *((one.id, one.choice) for one in completions)),
        kind=kind,
        segment_ids=tuple(one.segment_id for one in completions),
        policy_version=version.policy_version,
        asked_step=step,
        acquisition=CHAT,
    )


def query_id(kind: str, *answers: tuple[str, int]) -> str:
    """Of the query about answers, each an id and which of those given at once."""
    return stable_id(CHAT, kind, *(part for answer in sorted(answers) for part in answer))
