"""Length, patterns, JSON, repetition, toxicity: each by hand."""

from typing import Any

import pytest

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.rewards.text.coherence import Repetition
from heeler.rewards.text.formats import MatchesPattern, MatchesSchema
from heeler.rewards.text.length import Length
from heeler.rewards.text.toxicity import Toxicity
from heeler.safety.toxicity.classifier import ToxicityClassifier
from heeler.safety.toxicity.word_list import WordList
from tests.unit.rewards.text.samples import plain


@pytest.mark.parametrize(
    ("words", "score"), [(0, -1.0), (1, -0.5), (2, 0.0), (4, 0.0), (5, -0.25), (6, -0.5), (8, -1.0), (80, -1.0)]
)
def test_length_costs_nothing_within_its_bounds_and_falls_in_a_line(words: int, score: float) -> None:
    assert Length(free=4, worst=8, least=2).score([plain("word " * words)]) == [score]


def test_length_in_tokens_and_characters() -> None:
    sampled = TextSample(prompt=(), completion="abcdef", num_tokens=3)
    assert Length(free=2, worst=4, unit="tokens").score([sampled]) == [-0.5]
    assert Length(free=2, worst=10, unit="characters").score([sampled]) == [-0.5]
    with pytest.raises(RewardError, match="row 1: num_tokens"):
        Length(free=2, worst=4, unit="tokens").score([sampled, plain("x")])


@pytest.mark.parametrize("bounds", [(4, 4, 0), (4, 3, 0), (4, 8, 5), (4, 8, -1)])
def test_length_bounds_out_of_order_are_refused(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="least <= free < worst"):
        Length(free=bounds[0], worst=bounds[1], least=bounds[2])


def test_a_pattern_fits_the_whole_or_anywhere() -> None:
    samples = [plain("  yes\n"), plain("yes or no"), plain("")]
    assert MatchesPattern("yes|no").score(samples) == [1.0, 0.0, 0.0]
    assert MatchesPattern("yes|no", where="anywhere").score(samples) == [1.0, 1.0, 0.0]


def test_a_pattern_that_backtracks_without_end_is_an_error() -> None:
    with pytest.raises(RewardError, match=r"row 1: the pattern took longer"):
        MatchesPattern("(a|aa)+", timeout_s=0.05).score([plain("aa"), plain("a" * 60 + "b")])
    with pytest.raises(ConfigError, match="no regular expression"):
        MatchesPattern("(")


SCHEMA = {"type": "object", "required": ["price"], "properties": {"price": {"type": "number", "minimum": 0}}}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"price": 4.5}', 1),
        (' \n{"price": 4, "more": [1]} ', 1),
        ('```json\n{"price": 4}\n```', 1),
        ('```\n{"price": 4}\n```', 1),
        ('{"price": -1}', 0),
        ('{"price": "4"}', 0),
        ("{}", 0),
        ('{"price": 4} Enjoy!', 0),
        ('{"price": NaN}', 0),
        ("", 0),
        ("[" * 100_000, 0),
        ('{"price": ' + "9" * 5000 + "}", 0),
    ],
)
def test_json_by_a_schema(text: str, score: float) -> None:
    assert MatchesSchema(SCHEMA).score([plain(text)]) == [score]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "thing"},
        {"properties": {"a": {"$ref": "https://example.org/a"}}},
        {"$ref": "file:///etc/passwd"},
        {"$defs": {"a": {}}, "items": {"$ref": "#/$defs/b"}},
        {"$defs": {"a": {}}, "items": {"$id": "http://x/", "$ref": "#/$defs/a"}},
    ],
)
def test_schemas_that_are_none_or_reach_outside_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="schema"):
        MatchesSchema(schema)


def test_a_schema_may_refer_to_itself() -> None:
    part = MatchesSchema({"$defs": {"a/b": {"type": "integer"}}, "items": {"$ref": "#/$defs/a~1b"}})
    assert part.score([plain("[1, 2]"), plain('["x"]')]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("text", "score"),
    [("a b c", 0), ("a b", 0), ("", 0), ("a a a a", 0.5), ("a b c a b c", 0.25), ("x y z x y z!", 0.25)],
)
def test_repetition_is_the_share_of_runs_said_before(text: str, score: float) -> None:
    assert Repetition().score([plain(text)]) == [score]


def test_repetition_of_single_words() -> None:
    assert Repetition(size=1).score([plain("no no no no")]) == [0.75]
    with pytest.raises(ConfigError, match="size"):
        Repetition(size=0)


def test_toxicity_is_a_share_or_a_probability() -> None:
    samples = [plain("The kettle costs 40 euros."), plain("You are stupid."), plain("You 1d10t!"), plain("")]
    assert Toxicity().score(samples) == [0.0, 1.0, 1.0, 0.0]
    kind, rude, listed, nothing = Toxicity(as_share=False).score(samples)
    assert kind is not None and rude is not None
    assert 0 < kind < 0.5 < rude < 1
    assert (listed, nothing) == (1.0, 0.0)


def test_toxicity_with_ones_own_words_and_classifier() -> None:
    import numpy as np

    from heeler.safety.toxicity.features import NUM_BUCKETS

    deaf = ToxicityClassifier(weight=np.zeros(NUM_BUCKETS, np.float32), bias=-5.0, threshold=0.5, card={})
    part = Toxicity(classifier=deaf, words=WordList(("gosh",)), name="manners")
    assert (part.name, part.score([plain("Gosh!"), plain("You idiot.")])) == ("manners", [1.0, 0.0])
