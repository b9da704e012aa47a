"""What each kind of answer teaches: a pair, or nothing."""

from typing import Any

import pytest

from heeler.core.nouns import Feedback, FeedbackKind, Message, Query, TextSegment
from heeler.core.texts import TextSample
from heeler.feedback.datasets.said import Said, is_praise
from heeler.loop.language.answers import pair_of
from heeler.rewards.reward_learner import RewardLearner
from heeler.rewards.reward_settings import RewardModelConfig

PROMPT = (Message(role="user", content="hello?"),)
LEFT, RIGHT = (TextSegment(prompt=PROMPT, completion=text, policy_version=1) for text in ("left", "right"))


ANSWER = "We open at nine. What a stupid question. Come again!"


def criticised(part: str, words: str, answer: str = ANSWER, question: str = "hello?") -> Said:
    """Words on a part of an answer."""
    prompt = (Message(role="user", content=question),)
    start = answer.index(part)
    value = {"text": words, "start": start, "end": start + len(part)}
    return said("critique", value, TextSegment(prompt=prompt, completion=answer, policy_version=1))


def said(kind: FeedbackKind, value: dict[str, Any], *texts: TextSegment) -> Said:
    texts = texts or (LEFT,)
    query = Query(id="q", kind=kind, segment_ids=tuple(text.id for text in texts), policy_version=1, asked_step=0)
    feedback = Feedback(key="k", query_id="q", kind=kind, value=value, annotator="ann")
    return Said(position=7, feedback=feedback, query=query, texts=texts)


def other(prompt: tuple[Message, ...], number: int) -> str:
    assert (prompt, number) == (PROMPT, 7), "the draw is named by the answer's position"
    return "other"


MARKS = {"marks": [{"time_s": 0.0, "sign": 1}, {"time_s": 0.0, "sign": 1}, {"time_s": 0.0, "sign": -1}]}


@pytest.mark.parametrize(
    ("one", "chosen", "rejected"),
    [
        (said("preference", {"choice": "left"}, LEFT, RIGHT), "left", "right"),
        (said("preference", {"choice": "right"}, LEFT, RIGHT), "right", "left"),
        (said("correction", {"text": "better"}), "better", "left"),
        (said("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]}), "other", "left"),
        (said("evaluation", MARKS), "left", "other"),
        (said("rating", {"score": 5, "low": 1, "high": 5}), "left", "other"),
        (said("rating", {"score": 2, "low": 1, "high": 5}), "other", "left"),
        (said("critique", {"text": "too long", "start": 0, "end": 4}), "other", "left"),
        (said("critique", {"text": "Very good!", "start": 0, "end": 4}), "left", "other"),
        (criticised("stupid", "rude"), "We open at nine. Come again!", ANSWER),
        (criticised("stupid", "Just right."), ANSWER, "We open at nine. Come again!"),
        (criticised("We", "wrong"), "What a stupid question. Come again!", ANSWER),
        (criticised(".", "wrong"), "What a stupid question. Come again!", ANSWER),
        (criticised("question. Come", "rude"), "We open at nine.", ANSWER),
        (criticised(" Come again!", "too friendly"), "We open at nine. What a stupid question.", ANSWER),
        (criticised(ANSWER, "all of it"), "other", ANSWER),
    ],
)
def test_an_answer_is_a_pair(one: Said, chosen: str, rejected: str) -> None:
    pair = pair_of(one, other)
    assert pair is not None
    assert (pair.chosen, pair.rejected, pair.is_equal) == (chosen, rejected, False)
    assert (pair.prompt, pair.annotator, pair.group) == (PROMPT, "ann", one.feedback.kind)
    assert "7" in pair.place


def test_equal_answers_are_a_pair_of_equals() -> None:
    pair = pair_of(said("preference", {"choice": "equal"}, LEFT, RIGHT), other)
    assert pair is not None and pair.is_equal


@pytest.mark.parametrize(
    "one",
    [
        said("preference", {"choice": "cant_tell"}, LEFT, RIGHT),
        said("preference", {"choice": "left"}, LEFT, LEFT),
        said("rating", {"score": 3, "low": 1, "high": 5}),
        said("evaluation", {"marks": []}),
        said("correction", {"text": "left"}),
        said("demonstration", {"segment_id": "x"}),
    ],
)
def test_what_tells_nothing_is_left_out(one: Said) -> None:
    assert pair_of(one, other) is None


def test_an_alternative_that_says_the_same_tells_nothing() -> None:
    assert pair_of(said("critique", {"text": "no", "start": 0, "end": 1}), lambda prompt, number: "left") is None


@pytest.mark.parametrize("words", ["Good.", "very good!", "This is right", "I like that", "Thank you", "quite clear"])
def test_plain_praise_is_praise(words: str) -> None:
    assert is_praise(words)


@pytest.mark.parametrize(
    "words",
    [
        *("not good", "good but too long", "The right price is 12 euro.", "is that right?", "That could be better."),
        *("the", "...", "rude", "Nice try.", "gut", "I would like more"),
    ],
)
def test_all_else_is_criticism(words: str) -> None:
    assert not is_praise(words)


@pytest.mark.parametrize(("words", "way"), [("rude", -1), ("very good", 1)])
def test_the_learned_reward_goes_by_the_sentence_that_was_meant_and_not_by_the_rest(words: str, way: int) -> None:
    meant = "What a stupid question."
    others = ["We open at nine.", "The lamp is sold out.", "Shipping is free.", "Ask again.", "It costs twelve euro."]
    answers = [f"{one} {meant} {two}" for one in others for two in others if one != two]
    pairs = [
        pair_of(criticised(meant, words, answer, f"question {number}?"), lambda prompt, number: "no draw")
        for number, answer in enumerate(answers)
    ]
    learner = RewardLearner(RewardModelConfig(num_heads=1))
    state = learner.init(None, 0)
    data = learner.prepare(state, [pair for pair in pairs if pair is not None])
    state, _ = learner.fit_linear(state, data)
    state, _ = learner.finish(state, data)

    def reward(text: str) -> float:
        return float(state.reward.score([TextSample(prompt=PROMPT, completion=text)]).mean_N[0])

    moved = reward("The lamp is sold out. What a stupid question.") - reward("The lamp is sold out.")
    assert way * moved > 0.5
    unseen = reward("We close at six on friday.")
    for rest in others:
        assert abs(reward(rest) - unseen) < 0.25 * abs(moved), "nothing is said of what stands beside it"
