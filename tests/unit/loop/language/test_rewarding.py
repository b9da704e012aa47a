"""The learned reward of a run waits for pairs that can tell it something."""

import dataclasses
from pathlib import Path

import pytest

from heeler.core.nouns import Message
from heeler.core.text_data import TextPair
from heeler.loop.language.rewarding import Rewarding
from heeler.loop.language.worlds import HelpDesk
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run

SYSTEM = Message(role="system", content="Be brief.")


@pytest.fixture
def rewarding() -> Rewarding:
    config = tiny_language_run(Path("unused"))
    return Rewarding(dataclasses.replace(config, recipe="helpdesk"), HelpDesk(), tiny_llama(max_length=1024))


def pair(number: int, question: str) -> TextPair:
    return TextPair(
        prompt=(SYSTEM, Message(role="user", content=question)),
        chosen=f"Gladly, {number}.",
        rejected=f"No, {number}.",
        place=f"answer {number}",
    )


def test_a_shared_system_message_does_not_make_prompts_one(rewarding: Rewarding) -> None:
    figures = rewarding.refit_if_due([pair(number, f"question {number}?") for number in range(40)])
    assert rewarding.is_fitted and figures


def test_pairs_of_one_prompt_are_not_enough(rewarding: Rewarding) -> None:
    """A chat in which one thing is asked again and again goes on, and learns once others are asked."""
    alike = [pair(number, "the same?") for number in range(40)]
    assert rewarding.refit_if_due(alike) == {}
    assert not rewarding.is_fitted
    assert rewarding.refit_if_due([*alike, *(pair(40 + n, f"other {n}?") for n in range(30))])
    assert rewarding.is_fitted
