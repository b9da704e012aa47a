"""Who gave an answer, and what of it other programs have no place for: carried beside their own fields."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from heeler.core.errors import DataError
from heeler.core.nouns import FEEDBACK_KINDS, FeedbackKind, Query
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.form import check_number, check_whole
from heeler.feedback.transfer.files import json_text
from heeler.feedback.transfer.items import check_fields, check_list, check_name, check_object, shown

_Kind = Literal["person", "simulated", "program"]
_REQUIRED = ("key", "annotator", "annotator_kind", "said_sha256")
_OPTIONAL = ("value", "scale", "policy_version", "time_taken_s", "confidence", "answered_step", "received_unix_s")


@dataclass(frozen=True, kw_only=True)
class Carried:
    """One answer that went out, as far as it is not in the other program's own fields."""

    key: str
    annotator: str
    annotator_kind: _Kind
    said_sha256: str
    """Of what the other program was given as the answer: somebody who changes it there gives another answer."""
    value: Mapping[str, Any] | None
    """Where it cannot be told from what the other program was given."""
    scale: tuple[float, float] | None
    """(low, high) of a rating, which may be on another scale than the first to its question."""
    policy_version: int
    """Of the text of a demonstration."""
    time_taken_s: float | None
    confidence: float | None
    answered_step: int | None
    received_unix_s: float | None

    def on_its_scale(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields of a task with the scale of this rating in place of the task's."""
        if self.scale is None:
            return fields
        return {**fields, "rating_low": self.scale[0], "rating_high": self.scale[1]}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a task that went out says of its question."""

    query_id: str
    kind: FeedbackKind
    policy_versions: tuple[int, ...]
    """Of the texts that are shown."""
    answers: Mapping[str, Carried]
    """By whatever names them in the other program."""


def said_sha256(said: Mapping[str, Any]) -> str:
    """SHA-256 of what another program has as the value of an answer."""
    return hashlib.sha256(json_text(dict(sorted(said.items()))).encode("ascii")).hexdigest()


def carried_fields(
    answered: Answered, annotator: Annotator, said: Mapping[str, Any], policy_version: int | None = None
) -> dict[str, Any]:
    """What is written of an answer, in plain JSON types.

    Args:
        answered: the answer.
        annotator: who gave it.
        said: its value as it will be read from the other program's fields.
        policy_version: of the text of a demonstration.
    """
    answer = answered.answer
    fields: dict[str, Any] = {
        "key": answer.key,
        "annotator": answer.annotator,
        "annotator_kind": annotator.kind,
        "said_sha256": said_sha256(said),
        "received_unix_s": answered.received_unix_s,
    }
    if answer.kind == "rating":
        fields["scale"] = [answer.value["low"], answer.value["high"]]
    if policy_version is not None:
        fields["policy_version"] = policy_version
    elif dict(answer.value) != dict(said):
        fields["value"] = dict(answer.value)
    rest = {name: getattr(answer, name) for name in ("time_taken_s", "confidence", "answered_step")}
    return fields | {name: value for name, value in rest.items() if value is not None}


def scale_of(answers: Sequence[Answered]) -> dict[str, float]:
    """`rating_low` and `rating_high` as the first rating has them; empty where there is none."""
    for answered in answers:
        if answered.answer.kind == "rating":
            return {f"rating_{end}": answered.answer.value[end] for end in ("low", "high")}
    return {}


def asked_of(query_id: object, kind: object, value: object, num_texts: int, field: str) -> Asked:
    """What `heeler` of a task says, checked.

    Raises:
        DataError: it does not hold; names the field.
    """
    fields = check_fields(value, field, ("policy_versions", "answers"))
    versions = check_list(fields["policy_versions"], f"{field}.policy_versions")
    if len(versions) != num_texts:
        raise DataError(f"{field}.policy_versions: expected {num_texts}, one of each text, got {len(versions)}")
    if kind not in FEEDBACK_KINDS:
        raise DataError(f"kind: expected one of {', '.join(FEEDBACK_KINDS)}, got {shown(kind)}")
    answers = check_object(fields["answers"], f"{field}.answers")
    return Asked(
        query_id=check_name(query_id, "query_id", 64),
        kind=kind,
        policy_versions=tuple(_version(version, f"{field}.policy_versions") for version in versions),
        answers={name: _carried(one, f"{field}.answers.{name}") for name, one in answers.items()},
    )


def asked_fields(query: Query, policy_versions: tuple[int, ...], answers: Mapping[str, Any]) -> dict[str, Any]:
    """What is written as `heeler` of a task; `answers` are what `carried_fields` returned."""
    assert len(policy_versions) == len(query.segment_ids)
    return {"policy_versions": list(policy_versions), "answers": dict(answers)}


def _carried(value: object, field: str) -> Carried:
    fields = check_fields(value, field, _REQUIRED, _OPTIONAL)
    kind = fields["annotator_kind"]
    if kind not in get_args(_Kind):
        raise DataError(f"{field}.annotator_kind: expected one of {', '.join(get_args(_Kind))}, got {shown(kind)}")
    received = fields.get("received_unix_s")
    return Carried(
        key=check_name(fields["key"], f"{field}.key"),
        annotator=check_name(fields["annotator"], f"{field}.annotator"),
        annotator_kind=kind,
        said_sha256=check_name(fields["said_sha256"], f"{field}.said_sha256"),
        value=None if "value" not in fields else check_object(fields["value"], f"{field}.value"),
        scale=None if "scale" not in fields else _scale(fields["scale"], f"{field}.scale"),
        policy_version=_version(fields.get("policy_version", 0), f"{field}.policy_version"),
        time_taken_s=fields.get("time_taken_s"),
        confidence=fields.get("confidence"),
        answered_step=fields.get("answered_step"),
        received_unix_s=None if received is None else check_number(received, f"{field}.received_unix_s", low=0),
    )


def _scale(value: object, field: str) -> tuple[float, float]:
    ends = check_list(value, field)
    if len(ends) != 2:
        raise DataError(f"{field}: expected the low and the high end, got {shown(value)}")
    return check_number(ends[0], field), check_number(ends[1], field)


def _version(value: object, field: str) -> int:
    return check_whole(value, field, low=0, high=2**31 - 1)
