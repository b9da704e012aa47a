"""What a task of another program shows: a prompt, and one completion or two, under whatever names it has them.

A comparison is of `left` and `right`, or of two fields whose names differ in their ends alone, such as `answer_1` and
`answer_2` or `textA` and `textB`. A single completion is `completion`, `response`, `answer` and the like, or the only
text there is beside the prompt; a prompt alone is one that waits for its completion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Message
from heeler.feedback.transfer.items import shown, under
from heeler.feedback.transfer.texts import completion_of, completions_of, prompt_of

PROMPTS = (
    *("messages", "prompt", "conversation", "chat", "dialogue", "dialog"),
    *("instruction", "question", "context", "input"),
)
"""Names of prompts; the first that there is counts."""
COMPLETIONS = ("completion", "response", "answer", "output", "reply", "generation", "generated_text", "text")
"""Names of single completions; the first that there is counts."""
_STRICT = ("messages", "prompt", "left", "right", "completion")
_SIDES = (
    *(("left", "right"), ("Left", "Right"), ("1", "2"), ("0", "1")),
    *(("a", "b"), ("A", "B"), ("one", "two"), ("first", "second")),
)
_NOT_TEXTS = ("query_id", "kind", "heeler", "id", "_server_id", "status")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The texts of a task."""

    prompt: tuple[Message, ...]
    completions: tuple[str, ...]
    """Two of a comparison, the left one first; otherwise one, which is empty where there is only a prompt."""
    names: tuple[str, ...]
    """Of the fields that hold the completions."""
    prompt_name: str | None
    """Of the field that holds the prompt."""

    @property
    def is_pair(self) -> bool:
        """Whether two texts are compared."""
        return len(self.completions) > 1


def shown_texts(fields: Mapping[str, Any], place: str) -> Shown:
    """The texts among the fields of a task.

    Args:
        fields: by name; what is no text is looked past.
        place: of the fields in the file, for messages.

    Raises:
        DataError: there is none, it cannot be told which is which, or one is not what it has to be.
    """
    for name in _STRICT:
        if fields.get(name) is not None and not isinstance(fields[name], str | list):
            where = under(place, name)
            raise DataError(f"{where}: expected text or a list of messages, got {shown(fields[name])}")
    texts = {name: value for name, value in fields.items() if name not in _NOT_TEXTS and _is_text(name, value)}
    pair = _pair(list(texts), place)
    prompt_name = next((name for name in PROMPTS if name in texts and name not in (pair or ())), None)
    prompt = None if prompt_name is None else texts[prompt_name]
    if pair is not None:
        values = texts[pair[0]], texts[pair[1]]
        # Texts without a prompt answer none, even where both begin alike.
        prompt = "" if prompt is None and isinstance(values[0], str) else prompt
        head, *completions = completions_of(prompt, values, (under(place, pair[0]), under(place, pair[1])))
        return Shown(prompt=head, completions=tuple(completions), names=pair, prompt_name=prompt_name)
    name = _single(texts, prompt_name, place)
    if name is None:
        head = prompt_of(prompt, under(place, prompt_name or ""))
        return Shown(prompt=head, completions=("",), names=(), prompt_name=prompt_name)
    head, completion = completion_of(prompt, texts[name], under(place, name))
    return Shown(prompt=head, completions=(completion,), names=(name,), prompt_name=prompt_name)


def side_of(value: str, names: Sequence[str]) -> str | None:
    """Which of two texts somebody named: `left`, `right`, `equal` or `cant_tell`; None where it is none of these."""
    word = value.strip().casefold().replace(" ", "_").replace("'", "")
    if word in ("equal", "tie", "both", "same", "equally_good"):
        return "equal"
    if word in ("cant_tell", "cannot_tell", "unsure"):
        return "cant_tell"
    for side, name, place in zip(("left", "right"), names, (0, 1), strict=True):
        if word in (side, name.casefold()) or any(word == ends[place].casefold() for ends in _SIDES if "0" not in ends):
            return side
    return None


def _is_text(name: str, value: object) -> bool:
    if isinstance(value, list) and name not in (*PROMPTS, *COMPLETIONS, *_STRICT):
        some = cast(list[Any], value)
        return bool(some) and all(isinstance(one, Mapping) and "role" in one for one in some)
    return isinstance(value, str | list)


def _pair(names: Sequence[str], place: str) -> tuple[str, str] | None:
    if "left" in names and "right" in names:
        return "left", "right"
    found = [
        (name, name[: -len(one)] + other)
        for name in names
        for one, other in _SIDES
        if _has_end(name, one) and name[: -len(one)] + other in names
    ]
    if len(found) > 1:
        all_of_them = ", ".join(f"{one} and {other}" for one, other in found)
        raise DataError(
            f"{place}: expected one pair of texts, got {all_of_them}; call those that were compared left and right"
        )
    for side in ("left", "right"):
        if not found and side in names:
            other = "right" if side == "left" else "left"
            raise DataError(f"{under(place, other)}: missing; a comparison is of two texts")
    return found[0] if found else None


def _has_end(name: str, end: str) -> bool:
    stem = name.removesuffix(end)
    return stem != name and (stem == "" or end[0].isdigit() or end[0].isupper() or stem[-1] in "_-. ")


def _single(texts: Mapping[str, Any], prompt_name: str | None, place: str) -> str | None:
    known = next((name for name in COMPLETIONS if name in texts), None)
    if known is not None:
        return known
    others = [name for name in texts if name not in PROMPTS]
    if len(others) > 1 or not texts:
        got = f"the texts {', '.join(others)}" if others else f"the fields {', '.join(list(texts)) or 'none of text'}"
        raise DataError(
            f"{place}: expected a text under completion, or two under left and right, with their prompt under prompt "
            f"where there is one; got {got}"
        )
    # Messages alone are a chat whose last message is what was judged, where that is the assistant's.
    if not others and prompt_name is not None and isinstance(texts[prompt_name], list):
        messages = cast(list[Any], texts[prompt_name])
        last: Any = messages[-1] if messages else None
        return prompt_name if isinstance(last, Mapping) and cast(Any, last).get("role") == "assistant" else None
    return others[0] if others else None
