"""Splits by prompt."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Message
from heeler.core.text_data import Demonstration, TextPair
from heeler.feedback.datasets import folds, split


def pair(*said: str, chosen: str = "a") -> TextPair:
    prompt = tuple(Message(role="user", content=text) for text in said)
    return TextPair(prompt=prompt, chosen=chosen, rejected="b", place="x")


PAIRS = [pair(f"prompt {i % 60}", *(["and then"] if i % 3 else []), chosen=str(i)) for i in range(200)]


def test_no_prompt_is_in_both() -> None:
    kept, held_out = split(PAIRS, held_out_share=0.3)
    assert sorted(kept + held_out, key=lambda p: int(p.chosen)) == PAIRS
    # Not even its first message: a dialogue's continuation gives the dialogue away.
    assert not {p.prompt[0] for p in kept} & {p.prompt[0] for p in held_out}
    assert 0.15 < len(held_out) / len(PAIRS) < 0.45


def test_folds_hold_everything_out_once() -> None:
    parts = folds(PAIRS, num_folds=5)
    assert sorted(int(p.chosen) for _, held_out in parts for p in held_out) == list(range(200))
    for kept, held_out in parts:
        assert len(kept) + len(held_out) == 200
        assert not {p.prompt[0] for p in kept} & {p.prompt[0] for p in held_out}


@given(st.integers(0, 2**31))
def test_a_split_goes_by_the_prompt_and_the_seed_alone(seed: int) -> None:
    shuffled = random.Random(seed).sample(PAIRS, 150)
    _, held_out = split(PAIRS, held_out_share=0.5, seed=7)
    expected = {p.chosen for p in shuffled if p in held_out}
    assert {p.chosen for p in split(shuffled, held_out_share=0.5, seed=7)[1]} == expected


def test_another_seed_gives_another_split() -> None:
    assert split(PAIRS, held_out_share=0.5, seed=0) != split(PAIRS, held_out_share=0.5, seed=1)


def test_an_empty_side_is_refused() -> None:
    with pytest.raises(DataError, match="of 1 prompts leaves one side of the split empty"):
        split([pair("one"), pair("one", "two")], held_out_share=0.5)
    with pytest.raises(DataError, match="1 prompts are too few for 2 folds"):
        folds([pair("one")] * 10, num_folds=2)
    with pytest.raises(ConfigError, match="held_out_share"):
        split(PAIRS, held_out_share=1.0)
    with pytest.raises(ConfigError, match="num_folds"):
        folds(PAIRS, num_folds=1)


def test_prompts_that_share_a_system_message_are_told_apart_by_how_they_open() -> None:
    system = Message(role="system", content="Be brief.")
    pairs = [replace(one, prompt=(system, *one.prompt)) for one in PAIRS]
    kept, held_out = split(pairs, held_out_share=0.3)
    assert not {p.prompt[1] for p in kept} & {p.prompt[1] for p in held_out}
    assert 0.15 < len(held_out) / len(pairs) < 0.45


def test_texts_without_a_prompt_stand_for_themselves() -> None:
    texts = [Demonstration(prompt=(), completion=f"text {i // 2}", place="x") for i in range(100)]
    kept, held_out = split(texts, held_out_share=0.3)
    assert not {one.completion for one in kept} & {one.completion for one in held_out}
    assert len(held_out) > 10
