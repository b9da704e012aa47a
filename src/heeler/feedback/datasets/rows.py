"""What a row of each kind of dataset holds, and how it is checked."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import Message
from heeler.core.text_data import Demonstration, JudgedText, TextPair
from heeler.feedback.transfer.items import check_list, check_string, shown
from heeler.feedback.transfer.segment_fields import message_of
from heeler.feedback.transfer.texts import ASSISTANT, completions_of, prompt_of

_SCORES = ("chosen_score", "rejected_score"), ("score_chosen", "score_rejected")
_GROUPS = ("group", "category")


class Unusable(Exception):
    """A row that is what it should be, and says nothing that could be learned from."""


def pair_of(fields: Mapping[str, Any], place: str) -> TextPair:
    """A row with `chosen` and `rejected`, and `prompt` unless both begin with it.

    Beside them may stand `margin`, or the two scores of which it is the difference (`chosen_score` and
    `rejected_score`, or `score_chosen` and `score_rejected`); `choice`, which is "equal" where neither is better; and
    `group` or `category`, and `annotator`.

    Raises:
        DataError: a column is missing or wrong; names it.
        Unusable: an answer is empty, or both are the same.
    """
    _require(fields, ("chosen", "rejected"), "pairs")
    given = fields.get("prompt")
    prompt, chosen, rejected = completions_of(given, (fields["chosen"], fields["rejected"]), ("chosen", "rejected"))
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if not text.strip():
            raise Unusable(f"{name}: empty")
    if chosen == rejected:
        raise Unusable("rejected: the same text as chosen")
    is_equal = _is_equal(fields)
    margin = _margin(fields)
    if is_equal and margin:
        raise DataError(f"margin: neither is better where choice is 'equal', got {margin:g}")
    return TextPair(
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        margin=margin,
        is_equal=is_equal,
        group=_name(fields, _GROUPS),
        annotator=_name(fields, ("annotator",)),
        place=place,
    )


def judged_of(fields: Mapping[str, Any], place: str) -> JudgedText:
    """A row with `prompt`, `completion` and `label`, which is true where the completion was called good.

    Raises:
        DataError: a column is missing or wrong; names it.
        Unusable: the completion is empty.
    """
    _require(fields, ("prompt", "completion", "label"), "judged answers")
    label = fields["label"]
    if not (isinstance(label, bool) or (isinstance(label, int) and label in (0, 1))):
        raise DataError(f"label: expected true or false, got {shown(label)}")
    prompt, completion = _prompted(fields)
    return JudgedText(prompt=prompt, completion=completion, is_good=bool(label), place=place)


def demonstrations_of(fields: Mapping[str, Any], place: str) -> list[Demonstration]:
    """A row with `messages`, with `prompt` and `completion`, or with `text`.

    Each message of the assistant is a demonstration, after all that was said before it.

    Raises:
        DataError: a column is missing or wrong; names it.
        Unusable: the text is empty.
    """
    if fields.get("messages") is not None:
        return _of_chat(_chat(fields["messages"], "messages"), place)
    if fields.get("completion") is not None:
        _require(fields, ("prompt", "completion"), "demonstrations")
        prompt, completion = _prompted(fields)
        return [Demonstration(prompt=prompt, completion=completion, place=place)]
    if fields.get("text") is not None:
        text = check_string(fields["text"], "text")
        if not text.strip():
            raise Unusable("text: empty")
        return [Demonstration(prompt=(), completion=text, place=place)]
    raise DataError(
        f"messages: missing; expected messages, or prompt and completion, or text; the row has {_names(fields)}"
    )


def _require(fields: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    for name in names:
        if fields.get(name) is None:
            near = did_you_mean(name, [known for known in fields if known not in names])
            raise DataError(f"{name}: missing; {what} have {', '.join(names)}, the row has {_names(fields)}.{near}")


def _names(fields: Mapping[str, Any]) -> str:
    return ", ".join(name[:40] for name in list(fields)[:12]) or "nothing"


def _is_equal(fields: Mapping[str, Any]) -> bool:
    choice = fields.get("choice")
    # `left` and `right` say which side the chosen one stood on, as files that heeler wrote have it.
    if choice not in (None, "left", "right", "equal"):
        raise DataError(f"choice: expected 'left', 'right' or 'equal', got {shown(choice)}")
    return choice == "equal"


def _margin(fields: Mapping[str, Any]) -> float:
    if fields.get("margin") is not None:
        margin = _number(fields["margin"], "margin")
        if margin < 0:
            raise DataError(f"margin: expected at least 0, as chosen is the better one, got {margin:g}")
        return margin
    for names in _SCORES:
        if all(fields.get(name) is not None for name in names):
            better, worse = (_number(fields[name], name) for name in names)
            if better < worse:
                raise DataError(f"{names[0]}: expected at least {names[1]} ({worse:g}), got {better:g}")
            return better - worse
    return 0.0


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{field}: expected a finite number, got {shown(value)}")
    return float(value)


def _name(fields: Mapping[str, Any], columns: Sequence[str]) -> str:
    for name in columns:
        value = fields.get(name)
        if isinstance(value, (str, int)):
            return str(value)
    return ""


def _prompted(fields: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    prompt = prompt_of(fields["prompt"])
    value = fields["completion"]
    if isinstance(value, str):
        completion = check_string(value, "completion")
    else:
        messages = _chat(value, "completion")
        if len(messages) != 1 or messages[0].role != ASSISTANT:
            raise DataError(f"completion: expected text or one message of the {ASSISTANT}, got {shown(value)}")
        completion = messages[0].content
    if not completion.strip():
        raise Unusable("completion: empty")
    return prompt, completion


def _chat(value: object, field: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise DataError(f"{field}: expected a list of messages, got {shown(value)}")
    return tuple(message_of(one, f"{field}[{i}]") for i, one in enumerate(check_list(cast(Any, value), field)))


def _of_chat(messages: tuple[Message, ...], place: str) -> list[Demonstration]:
    found = [
        Demonstration(prompt=messages[:i], completion=message.content, place=place)
        for i, message in enumerate(messages)
        if message.role == ASSISTANT and message.content.strip()
    ]
    if not found:
        raise Unusable(f"messages: none of them is the {ASSISTANT}'s")
    return found
