"""Segments of text, checked and as files: prompt and completion stand in the header, and there are no arrays."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from safetensors.numpy import save

from heeler.core.errors import DataError
from heeler.core.nouns import PLAIN, Message, TextSegment

MAX_COMPLETION = 100_000
"""Characters of a completion."""
MAX_PROMPT = 1_000_000
"""Characters of all messages of a prompt."""
MAX_MESSAGES = 10_000
MAX_ROLE = 64
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

MARK = "completion"
"""Field of the header that only segments of text have."""


def check_text_segment(segment: TextSegment) -> None:
    """Refuse a text that would not come back from a file or a browser as it went in.

    Raises:
        DataError: it is too long, holds NUL characters or half surrogates, or mixes plain text with a chat.
    """
    _check_string(segment.completion, "completion", MAX_COMPLETION)
    if len(segment.prompt) > MAX_MESSAGES:
        raise DataError(f"prompt: expected at most {MAX_MESSAGES:,} messages, got {len(segment.prompt):,}")
    left = MAX_PROMPT
    for index, message in enumerate(segment.prompt):
        field = f"prompt[{index}]"
        if not message.role.isprintable() or not 0 < len(message.role) <= MAX_ROLE:
            raise DataError(f"{field}.role: expected a word of at most {MAX_ROLE} characters, got {message.role!a:.80}")
        _check_string(message.content, f"{field}.content", MAX_PROMPT)
        left -= len(message.content)
    if left < 0:
        raise DataError(f"prompt: expected at most {MAX_PROMPT:,} characters in all, got {MAX_PROMPT - left:,}")
    if len(segment.prompt) > 1 and any(message.role == PLAIN for message in segment.prompt):
        raise DataError(f"prompt: plain text is one message of the role {PLAIN!r}, and no chat has one of that role")


def _check_string(text: str, field: str, max_length: int) -> None:
    if len(text) > max_length:
        raise DataError(f"{field}: expected at most {max_length:,} characters, got {len(text):,}")
    for place, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise DataError(
                f"{field}: expected text without NUL characters and half surrogates, got {character!a} "
                f"at character {place}"
            )


def encode(segment: TextSegment) -> bytes:
    """The content of a segment's file."""
    prompt = [{"role": message.role, "content": message.content} for message in segment.prompt]
    metadata = {
        "prompt": json.dumps(prompt),
        MARK: json.dumps(segment.completion),
        "policy_version": str(segment.policy_version),
    }
    return save({}, metadata=metadata)


def decode(header: Mapping[str, str]) -> TextSegment:
    """The segment of a file's header.

    Raises:
        KeyError: a field is missing.
        ValueError: a field is no JSON, or of another type.
    """
    return TextSegment(
        prompt=tuple(_message(value) for value in _list(json.loads(header["prompt"]))),
        completion=_string(json.loads(header[MARK])),
        policy_version=int(header["policy_version"]),
    )


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise ValueError("prompt: a message is no object")
    fields = cast(dict[str, Any], value)
    return Message(role=_string(fields["role"]), content=_string(fields["content"]))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("prompt: no list")
    return cast(list[Any], value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value
