"""Segments of text: what names them, and what they count."""

import subprocess
import sys
from dataclasses import replace

import pytest

from heeler.core.nouns import Message, TextSegment, plain_prompt

CHAT = (
    Message(role="system", content="Be kind."),
    Message(role="user", content="What is the sky?"),
)


def text(**changes: object) -> TextSegment:
    fields = {"prompt": CHAT, "completion": "It is blue.", "policy_version": 0}
    return TextSegment(**(fields | changes))  # type: ignore[arg-type]


def test_equal_content_is_an_equal_id_and_nothing_else_is() -> None:
    others = [
        text(),
        text(policy_version=1),
        text(completion="It is blue"),
        text(prompt=CHAT[1:]),
        text(prompt=CHAT[::-1]),
        text(prompt=(*CHAT, Message(role="assistant", content="")), completion="It is blue."),
        text(prompt=(Message(role="system", content="Be kind.What is the sky?"),)),
        text(prompt=plain_prompt("What is the sky?")),
        text(prompt=()),
        text(prompt=(), completion=""),
        text(prompt=plain_prompt("It is"), completion=" blue."),
        text(prompt=plain_prompt("It is "), completion="blue."),
    ]
    assert len({other.id for other in others}) == len(others)
    assert text().id == text().id == replace(text(), completion="It is blue.").id
    assert len(text().id) == 64


def test_an_id_is_the_same_in_every_process_and_version() -> None:
    expected = "70b96e00"
    assert text().id.startswith(expected)
    program = (
        "from heeler.core.nouns import Message, TextSegment as T; m = Message;"
        "p = (m(role='system', content='Be kind.'), m(role='user', content='What is the sky?'));"
        "print(T(prompt=p, completion='It is blue.', policy_version=0).id)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == text().id


def test_completions_of_one_prompt_share_their_trajectory() -> None:
    assert text().trajectory_id == text(completion="no", policy_version=3).trajectory_id
    longer = text(prompt=(*CHAT, Message(role="assistant", content="It is blue."), CHAT[1]))
    assert longer.trajectory_id != text().trajectory_id
    assert longer.trajectory_id.split("/")[0] == text().trajectory_id.split("/")[0]
    other = text(prompt=(Message(role="system", content="Be brief."), CHAT[1]))
    assert other.trajectory_id.split("/")[0] != text().trajectory_id.split("/")[0]


def test_characters_are_code_points() -> None:
    assert len(text(completion="a😀e\u0301")) == 4
    assert len(text(completion="")) == 0
    assert text(completion="a😀b").completion[1:2] == "😀"


def test_any_text_has_an_id() -> None:
    """A store refuses what it cannot keep; to name it must not fail."""
    odd = [text(completion=completion) for completion in ("\ud83d", "\ude00", "\ud83d\ude00", "😀", "\0", "\ufeff", "")]
    assert len({one.id for one in odd}) == len(odd) - 1, "JSON writes a character and its two halves alike"


@pytest.mark.parametrize(
    ("prompt", "is_chat"), [(CHAT, True), (plain_prompt("What"), False), (plain_prompt(""), False), ((), False)]
)
def test_plain_text_is_no_chat(prompt: tuple[Message, ...], is_chat: bool) -> None:
    assert text(prompt=prompt).is_chat == is_chat
