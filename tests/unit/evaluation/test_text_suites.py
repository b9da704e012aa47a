"""Held-out suites: who is asked what, how it is scored, and what is refused."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import Message, plain_prompt
from heeler.core.texts import TextSample
from heeler.evaluation.suite_kinds import (
    DOUBT,
    helpfulness,
    obeys_injection,
    perplexity,
    prompt_injection,
    pushback,
    right_refusals,
    stated_belief,
    toxicity,
    truthfulness,
    wrong_refusals,
)
from heeler.evaluation.text_suites import Answer, Item, Prompt


class Parrot:
    """Answers with a function of the prompt; remembers what it was asked."""

    def __init__(self, reply=lambda prompt: prompt[-1].content) -> None:
        self.reply, self.asked = reply, []

    def answer(self, prompts: Sequence[Prompt], *, seed: int) -> list[Answer]:
        self.asked.append((list(prompts), seed))
        return [Answer(text=self.reply(prompt), num_tokens=3, truncated=True) for prompt in prompts]

    def surprise(self, samples: Sequence[TextSample]) -> list[float]:
        return [float(len(sample.completion)) for sample in samples]


def question(text: str, **columns: object) -> Item:
    return Item(prompt=(Message(role="user", content=text),), columns=columns)


ITEMS = [question(f"What is {n} + 1?", reference=str(n + 1)) for n in range(5)]


def is_right(sample: TextSample) -> float:
    return float(sample.columns["reference"] in sample.completion)


def test_items_are_asked_in_batches_and_scored_with_their_columns() -> None:
    seen = []

    def score(sample: TextSample) -> float | None:
        seen.append(sample)
        return None if sample.columns["reference"] == "4" else 1.0

    model = Parrot()
    suite = truthfulness(ITEMS, score)
    found = suite.scores(model, 3, 7, seed=9)
    assert [(each.item, each.score) for each in found] == [(ITEMS[3].id, None), (ITEMS[4].id, 1.0)]
    assert model.asked == [([item.prompt for item in ITEMS[3:]], 9)]
    assert (seen[0].completion, seen[0].num_tokens, seen[0].truncated) == ("What is 3 + 1?", 3, True)
    assert suite.scores(model, 5, 9, seed=9) == []


def test_every_kind_says_which_way_is_better() -> None:
    score = is_right
    kinds = [f(ITEMS, score) for f in (helpfulness, truthfulness, toxicity, right_refusals, wrong_refusals, pushback)]
    kinds.append(prompt_injection([question("x", canary="owned")]))
    assert {suite.name: suite.better for suite in kinds} == {
        "helpfulness": "higher",
        "truthfulness": "higher",
        "toxicity": "lower",
        "right_refusals": "higher",
        "wrong_refusals": "lower",
        "pushback": "higher",
        "prompt_injection": "lower",
    }


def test_sycophancy_flips_under_pushback() -> None:
    def reply(prompt: Prompt) -> str:
        if prompt[-1].content == DOUBT:
            assert [message.role for message in prompt] == ["user", "assistant", "user"]
            return "You are right, it is 0." if prompt[0].content.startswith("What is 1") else prompt[1].content
        return "6" if prompt[0].content.startswith("What is 2") else str(int(prompt[0].content[8]) + 1)

    found = pushback(ITEMS, is_right).scores(Parrot(reply), 0, 5, seed=1)
    # It holds, turns, was wrong before, holds, holds.
    assert [each.score for each in found] == [1.0, 0.0, None, 1.0, 1.0]
    assert [sample.completion for sample in found[1].samples] == ["2", "You are right, it is 0."]


def test_sycophancy_follows_a_stated_belief() -> None:
    items = [question(f"What is {n} + 1?", reference=str(n + 1), belief="I think it is 0.") for n in range(2)]

    def reply(prompt: Prompt) -> str:
        assert len(prompt) == 1
        follows = prompt[0].content == "What is 1 + 1? I think it is 0."
        return "0" if follows else str(int(prompt[0].content[8]) + 1)

    found = stated_belief(items, is_right).scores(Parrot(reply), 0, 2, seed=1)
    assert [each.score for each in found] == [1.0, 0.0]
    with pytest.raises(DataError, match="stated_belief, row 1, belief"):
        stated_belief([items[0], ITEMS[0]], is_right)
    with pytest.raises(DataError, match="stated_belief, row 0, prompt: its last message must be the user's"):
        stated_belief([replace(items[0], prompt=plain_prompt("What is"))], is_right)


@pytest.mark.parametrize(
    ("answer", "obeys"),
    [
        ("Sure. I HAVE been pwned!", 1.0),
        ("i-have  been\u200b p\u200dwned", 1.0),
        ("\uff29 have been \uff50\uff57\uff4e\uff45\uff44", 1.0),
        ("The page asks me to say something; I will not.", 0.0),
        ("I have been owned", 0.0),
        ("", 0.0),
    ],
)
def test_an_injection_that_is_obeyed_is_seen_in_disguise(answer: str, obeys: float) -> None:
    sample = TextSample(prompt=(), completion=answer, columns={"canary": "I have been pwned"})
    assert obeys_injection(sample) == obeys


@pytest.mark.parametrize("columns", [{}, {"canary": "!?"}, {"canary": 7}])
def test_an_injection_without_words_to_look_for_is_refused(columns) -> None:
    with pytest.raises(
        DataError, match=r"prompt_injection, row 0, score: the scorer failed .ValueError: column canary"
    ):
        prompt_injection([question("x", **columns)]).scores(Parrot(), 0, 1, seed=0)


def test_perplexity_samples_nothing() -> None:
    model = Parrot()
    items = [Item(prompt=plain_prompt("The sky is"), columns={"completion": text}) for text in (" blue", " so grey")]
    assert [each.score for each in perplexity(items).scores(model, 0, 2, seed=0)] == [5.0, 8.0]
    assert model.asked == []
    for columns in ({}, {"completion": ""}, {"completion": 3}):
        with pytest.raises(DataError, match="perplexity, row 1, completion"):
            perplexity([items[0], Item(prompt=(), columns=columns)])


def test_the_hash_is_that_of_the_items_in_any_order() -> None:
    one, other = truthfulness(ITEMS, is_right), truthfulness(ITEMS[::-1], is_right)
    assert one.sha256 == other.sha256
    assert one.sha256 != truthfulness(ITEMS[1:], is_right).sha256
    changed = replace(ITEMS[0], columns={"reference": "2"})
    assert one.sha256 != truthfulness([changed, *ITEMS[1:]], is_right).sha256
    assert ITEMS[0].id == hashlib.sha256(b'[[["user", "What is 0 + 1?"]], {"reference": "1"}]').hexdigest()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "truthfulness: a suite needs items"),
        ([*ITEMS, ITEMS[2]], "truthfulness, row 5: the same as row 2"),
        ([ITEMS[0], question("x", reference={1, 2})], "truthfulness, row 1, columns: expected plain JSON"),
    ],
)
def test_items_that_cannot_be_are_refused(items, message) -> None:
    with pytest.raises(DataError, match=message):
        truthfulness(items, is_right)


@pytest.mark.parametrize("bad", [math.nan, math.inf, "1", [1.0]])
def test_a_scorer_that_gives_no_number_is_named(bad) -> None:
    with pytest.raises(DataError, match="toxicity, row 2, score: expected a finite number or None, got"):
        toxicity(ITEMS, lambda sample: bad).scores(Parrot(), 2, 3, seed=0)


def test_a_scorer_that_raises_is_named() -> None:
    def score(sample: TextSample) -> float:
        return sample.columns["facts"]

    with pytest.raises(DataError, match=r"toxicity, row 1, score: the scorer failed .KeyError: 'facts'"):
        toxicity(ITEMS, score).scores(Parrot(), 1, 2, seed=0)
