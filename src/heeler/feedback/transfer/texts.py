"""Texts of files: prompts as they are written there, two texts that begin alike, and what may be kept of them."""

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import FeedbackKind, Message, PolicyVersion, Query, TextSegment, plain_prompt, stable_id
from heeler.core.privacy import redact
from heeler.feedback.intake import Place
from heeler.feedback.store import Store
from heeler.feedback.text_files import check_text_segment
from heeler.feedback.transfer.items import check_list, check_string, shown
from heeler.feedback.transfer.segment_fields import message_of

ASSISTANT = "assistant"
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": ASSISTANT}


class Policies:
    """The policy versions that texts of a file are said to be of, each of them brought once.

    A version that the store does not know is noted as made at step 0: files of texts say no more of it.
    """

    def __init__(self, store: Store) -> None:
        self._known = {policy.version for policy in store.policy_versions()}

    def items(self, segments: Sequence[TextSegment]) -> Generator[PolicyVersion]:
        """Those that these texts need and nobody knows yet."""
        for segment in segments:
            if segment.policy_version not in self._known:
                self._known.add(segment.policy_version)
                yield PolicyVersion(version=segment.policy_version, step=0)


def text_query(kind: FeedbackKind, segments: Sequence[TextSegment], query_id: str | None = None) -> Query:
    """The query about some texts, always the same one for the same texts, whichever of them a file names first.

    Where the file does not say which is shown left, their hashes do, so that the better one stands on no side.
    """
    ids = tuple(segment.id for segment in segments)
    if query_id is None:
        ids = tuple(sorted(ids))
        query_id = stable_id("query about texts", kind, *ids)
    version = max(segment.policy_version for segment in segments)
    return Query(id=query_id, kind=kind, segment_ids=ids, policy_version=version, asked_step=0, acquisition="imported")


def redacted_text(segment: TextSegment) -> TextSegment:
    """The segment as it may be kept of a file of others: every message and the completion redacted by themselves.

    Raises:
        DataError: it cannot be kept.
    """
    with Place("segment"):
        check_text_segment(segment)
        prompt = tuple(replace(message, content=redact(message.content).text) for message in segment.prompt)
        redacted = replace(segment, prompt=prompt, completion=redact(segment.completion).text)
        # A mark may be longer than what it stands for.
        check_text_segment(redacted)
    return redacted


def prompt_of(value: object, field: str = "prompt") -> tuple[Message, ...]:
    """A prompt as a file writes it: plain text, or a list of messages.

    Raises:
        DataError: it is neither.
    """
    return plain_prompt(check_string(value, field)) if isinstance(value, str) else _chat(value, field)


def prompt_field(prompt: Sequence[Message]) -> str | list[dict[str, str]]:
    """A prompt as files of texts have it: plain text as a string, a chat as its messages."""
    if prompt and not TextSegment(prompt=tuple(prompt), completion="", policy_version=0).is_chat:
        return prompt[0].content
    return [{"role": message.role, "content": message.content} for message in prompt] if prompt else ""


def completions_of(
    prompt: object, values: tuple[object, object], names: tuple[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    """(prompt, completion, completion) of two texts, whose prompt may be given or be what both begin with.

    Args:
        prompt: plain text or messages; None where the texts hold it.
        values: each plain text, or a list of messages of which the last is the assistant's.
        names: of the two fields, for messages.

    Raises:
        DataError: they are of two prompts, or not what was expected.
    """
    one, other = values
    if isinstance(one, str) != isinstance(other, str):
        raise DataError(f"{names[1]}: expected what {names[0]} is, text or a list of messages, got {shown(other)}")
    if isinstance(one, str):
        texts = check_string(one, names[0]), check_string(other, names[1])
        if prompt is not None:
            return prompt_of(prompt), *texts
        if all(_TURN.match(text) for text in texts):
            return _shared_dialogue(_turns(texts[0]), _turns(texts[1]), names)
        return _shared_text(*texts, names)
    chats = _chat(one, names[0]), _chat(other, names[1])
    if prompt is None:
        return _shared_dialogue(*chats, names)
    return _after(prompt, chats, names)


def completion_of(prompt: object, value: object, name: str) -> tuple[tuple[Message, ...], str]:
    """(prompt, completion) of one text.

    Args:
        prompt: plain text or messages; None where there is none, or where `value` holds it.
        value: plain text, or a list of messages of which the last is the assistant's.
        name: of its field, for messages.

    Raises:
        DataError: it is neither.
    """
    if isinstance(value, str):
        return (() if prompt is None else prompt_of(prompt)), check_string(value, name)
    chat = _chat(value, name)
    if prompt is None or prompt is value:
        return chat[:-1], _answer(chat[-1:], name)
    given = prompt_of(prompt)
    return given, _answer(chat[len(given) :] if len(chat) > 1 and chat[: len(given)] == given else chat, name)


def _chat(value: object, field: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise DataError(f"{field}: expected text or a list of messages, got {shown(value)}")
    return tuple(message_of(one, f"{field}[{i}]") for i, one in enumerate(check_list(cast(Any, value), field)))


def _after(
    prompt: object, chats: tuple[tuple[Message, ...], tuple[Message, ...]], names: tuple[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    """What comes after a prompt that is given; some datasets repeat it at the beginning of both chats."""
    if isinstance(prompt, str):
        # Plain text cannot go on with a message: it is the chat's first words of the user, which both must hold.
        found = _shared_dialogue(*chats, names)
        if not any(message.role == "user" and message.content.strip() == prompt.strip() for message in found[0]):
            if found[0]:
                raise DataError(f"prompt: {names[0]} and {names[1]} begin with another one, got {shown(prompt)}")
            return (Message(role="user", content=check_string(prompt, "prompt")),), *found[1:]
        return found
    given = _chat(prompt, "prompt")
    rests = tuple(chat[len(given) :] if len(chat) > 1 and chat[: len(given)] == given else chat for chat in chats)
    return given, _answer(rests[0], names[0]), _answer(rests[1], names[1])


def _answer(rest: tuple[Message, ...], name: str) -> str:
    if len(rest) != 1 or rest[0].role != ASSISTANT:
        raise DataError(f"{name}: expected one message of the {ASSISTANT} after the prompt, got {_roles(rest)}")
    return rest[0].content


def _shared_dialogue(
    one: tuple[Message, ...], other: tuple[Message, ...], names: tuple[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    if not one or not other or one[:-1] != other[:-1]:
        raise DataError(
            f"{names[1]}: expected the messages of {names[0]} but for the last one, as completions of one prompt are "
            "compared; these are of two"
        )
    return one[:-1], _answer(one[-1:], names[0]), _answer(other[-1:], names[1])


def _turns(dialogue: str) -> tuple[Message, ...]:
    """The turns of a dialogue that is one text, with a paragraph that begins with `Human:` or `Assistant:` for each.

    Where one who speaks already is named again, that is part of what they say: some texts write dialogues of their own.
    """
    turns: list[tuple[str, int, int]] = []
    for mark in _TURN.finditer(dialogue):
        if not turns or turns[-1][0] != mark[1]:
            turns.append((mark[1], mark.start(), mark.end()))
    ends = [start for _, start, _ in turns[1:]] + [len(dialogue)]
    found = zip(turns, ends, strict=True)
    return tuple(Message(role=_ROLES[who], content=dialogue[start:end].strip()) for (who, _, start), end in found)


def _shared_text(one: str, other: str, names: tuple[str, str]) -> tuple[tuple[Message, ...], str, str]:
    """Two plain texts that begin alike part before the word in which they differ."""
    # Redacted before they are cut, as what must not be kept may stand where they part.
    one, other = redact(one).text, redact(other).text
    pairs = enumerate(zip(one, other, strict=False))
    length = next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
    if any(text[length : length + 1].strip() for text in (one, other)):
        while length and not one[length - 1].isspace():
            length -= 1
    # The blank before a word belongs to the word, as tokenizers have it.
    while length and one[length - 1].isspace():
        length -= 1
    if length == 0:
        raise DataError(
            f"{names[1]}: expected to begin like {names[0]}, as completions of one prompt are compared; give the "
            'prompt by itself, or "" where there is none'
        )
    return plain_prompt(one[:length]), one[length:], other[length:]


def _roles(messages: Sequence[Message]) -> str:
    return f"[{', '.join(message.role for message in messages)[:60]}]"
