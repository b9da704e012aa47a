"""Conditions of rules: what they give, against Python on each step, and what may not stand in them."""

from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.oversight.overseers.expressions import Condition

RNG = np.random.default_rng(0)
OBSERVATION, ACTION, ENERGY = RNG.normal(size=(4, 50)), RNG.normal(size=(2, 50)), RNG.uniform(size=50)
VALUES: dict[str, Any] = {
    "observation": OBSERVATION,
    "action": ACTION,
    "spent": {"energy": ENERGY},
    "step": np.array(12),
}


@pytest.mark.parametrize(
    ("source", "by_hand"),
    [
        ("observation[3] < 0.5 and abs(action[0]) > 0.8", lambda o, a, e: o[3] < 0.5 and abs(a[0]) > 0.8),
        ("not observation[0] > 0 or spent['energy'] >= .5", lambda o, a, e: not o[0] > 0 or e >= 0.5),
        ("-1 < observation[-1] <= action[1] + 0.2", lambda o, a, e: -1 < o[-1] <= a[1] + 0.2),
        ("max(abs(action)) > 1", lambda o, a, e: max(abs(a)) > 1),
        ("min(observation) * 2 < sum(action) / 3", lambda o, a, e: min(o) * 2 < sum(a) / 3),
        ("norm(action) > 1.2", lambda o, a, e: (a[0] ** 2 + a[1] ** 2) ** 0.5 > 1.2),
        ("max(action[0], action[1], 0.1) > 0.7", lambda o, a, e: max(a[0], a[1], 0.1) > 0.7),
        ("step == 12 and observation[0] != 0", lambda o, a, e: o[0] != 0),
        ("step > 12", lambda o, a, e: False),
        ("observation[0] / 0 > 1", lambda o, a, e: o[0] > 0),
    ],
)
def test_many_steps_at_once_are_judged_like_one_by_one(source, by_hand):
    found = Condition(source, "rule").holds(VALUES, 50)
    expected = [bool(by_hand(o, a, e)) for o, a, e in zip(OBSERVATION.T, ACTION.T, ENERGY, strict=True)]
    assert found.tolist() == expected
    if source != "step > 12":
        assert len(set(expected)) == 2 or "step" in source


def test_it_says_what_it_reads():
    assert Condition("observation[0] > 1 and spent['energy'] < 2", "rule").reads == {"observation", "spent"}


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os').system('true')",
        "().__class__",
        "observation.shape",
        "(lambda: 1)()",
        "[x for x in observation]",
        "observation[0:2] > 1",
        "observation[action[0]] > 1",
        "2 ** 99999999 > 1",
        "f'{step}' == 'a'",
        "(step := 3) > 1",
        "abs(action, key=1) > 1",
        "abs(*action) > 1",
        "None",
        "1 if step > 1 else 0",
        "step is 1",
        "step % 2 == 0",
    ],
)
def test_what_may_not_stand_in_a_condition(source):
    with pytest.raises(ConfigError, match="may not stand in a condition"):
        Condition(source, "rule")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("eval('1')", "no function 'eval'"),
        ("open > 1", "no 'open' to read"),
        ("step >", "is no condition"),
        ("", "is no condition"),
        ("-" * 1900 + "1 > 0", "is no condition"),
        ("step > 1 and " * 300 + "step > 1", "at most 2000 characters"),
    ],
)
def test_mistakes_are_told(source, words):
    with pytest.raises(ConfigError, match=words):
        Condition(source, "rule")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("observation[0] + 1", "gives float64 and not yes or no"),
        ("observation[9] > 1", "IndexError"),
        ("observation > 1", "gives bool and not|and not yes or no"),
        ("spent['money'] > 1", "KeyError"),
        ("text == 'a'", "there is no text here"),
        ("observation[0] and step > 1", "take comparisons"),
        ("'a' < 'b'", "a text is compared with a text, by == or !="),
        ("'a' + 'b' == 'ab'", "expected numbers"),
        ("1 in observation", "looks for a text in a text"),
        ("max(action[0]) > 1", "of one argument take all"),
        ("observation[0] / 0 > observation[1] / 0 - observation[1] / 0", "a number is none"),
    ],
)
def test_what_cannot_be_computed_fails(source, words):
    with pytest.raises(DataError, match=words):
        Condition(source, "rule").holds(VALUES, 50)
