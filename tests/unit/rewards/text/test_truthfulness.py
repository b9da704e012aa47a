"""Claims against facts, agreement where there are none, and details as claims."""

from collections.abc import Sequence
from typing import Any

import pytest

from heeler.core.errors import ConfigError, RewardError
from heeler.rewards.text.details import DetailChecker
from heeler.rewards.text.truthfulness import Agreement, Truthfulness
from tests.unit.rewards.text.samples import chat, plain


class Words:
    """Each word is a claim; facts say of some words whether they are true."""

    def claims(self, text: str) -> Sequence[str]:
        return text.split()

    def check(self, claim: str, facts: Any) -> bool | None:
        return facts.get(claim)


FACTS = {"blue": True, "red": False}


@pytest.mark.parametrize(
    ("settings", "text", "score"),
    [
        ({}, "blue", 1.0),
        ({}, "blue red", 0.5),
        ({}, "blue green", 0.5),
        ({"unknown": "left_out"}, "blue green", 1.0),
        ({"unknown": "left_out"}, "green", None),
        ({"whole": True}, "blue blue red", 0.0),
        ({"whole": True}, "blue blue", 1.0),
        ({}, "", None),
        ({"no_claims": 0.0}, "", 0.0),
    ],
)
def test_the_share_of_claims_that_are_borne_out(settings: dict[str, Any], text: str, score: float | None) -> None:
    assert Truthfulness(Words(), **settings).score([plain(text, facts=FACTS)]) == [score]


def test_without_facts_it_does_not_apply() -> None:
    assert Truthfulness(Words()).score([plain("blue", facts=None)]) == [None]
    with pytest.raises(RewardError, match="needs the column 'facts'"):
        Truthfulness(Words()).score([plain("blue")])


def test_what_is_known_may_stand_for_every_prompt() -> None:
    known = Truthfulness(DetailChecker(), facts="We open at 9 am.")
    assert known.score([plain("At 9am."), plain("At 8 am.", facts=None), plain("Soon.")]) == [1.0, 0.0, None]


def test_a_checker_that_raises_names_the_row() -> None:
    with pytest.raises(RewardError, match=r"'truthfulness', row 1: the claim checker raised AttributeError"):
        Truthfulness(Words()).score([plain("blue", facts=FACTS), plain("blue", facts=7)])
    with pytest.raises(ConfigError, match="unknown"):
        Truthfulness(Words(), unknown="maybe")  # type: ignore[arg-type]


def test_agreement_is_the_mean_likeness_to_the_others_of_the_same_prompt() -> None:
    samples = [chat("q", "nine"), chat("other", "ten"), chat("q", "nine"), chat("q", "ten")]
    assert Agreement().score(samples) == [0.5, None, 0.5, 0.0]
    assert Agreement(lambda a, b: float(a[0] == b[0])).score(samples) == [0.5, None, 0.5, 0.0]


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("It costs €1,200.50.", ["1200.5"]),
        ("It costs 40 euros, not $40.00!", ["40"]),
        ("Open 9am to 5:30 p.m. on Monday", ["9 am", "5:30 pm", "monday"]),
        ("Order A-1234 of 2024-05-01, 15 % off", ["a-1234", "2024-05-01", "15 %"]),
        (
            "Write to desk@lumen.example or see https://lumen.example/a.",
            ["desk@lumen.example", "https://lumen.example/a."],
        ),
        ("You may march on.", []),
        ("In May.", ["may"]),
        ("No details here", []),
    ],
)
def test_details_of_a_text(text: str, claims: list[str]) -> None:
    assert DetailChecker().claims(text) == claims


def test_details_are_looked_for_in_the_facts() -> None:
    checker = DetailChecker()
    facts = ["The lamp costs 1200.50 euros.", "We open at 9 am."]
    assert Truthfulness(checker).score(
        [
            plain("It costs €1,200.50 and we open at 9am.", facts=facts),
            plain("It costs €1,300 and we open at 9am.", facts=facts),
            plain("It costs 200 euros.", facts=facts),
        ]
    ) == [1.0, 0.5, 0.0]
    with pytest.raises(RewardError, match="facts must be"):
        Truthfulness(checker).score([plain("9 am", facts=9)])
