"""How many items the suites of a gate need: by asking the gate itself."""

from dataclasses import replace

import pytest

from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import Pair
from heeler.oversight.gate_sizes import num_for_a_gain, num_to_pass, too_small
from heeler.oversight.text_gate import judge

LOOSE = Check(suite="helpfulness", better="higher", margin=0.2)
STRICT = Check(suite="toxicity", better="lower", margin=0.05, is_goal=False)
CONFIG = GateConfig(checks=(LOOSE, STRICT), error_rate=0.1)


def seen(config: GateConfig, suite: str, candidate: float, num: int):
    pairs = [Pair(str(i), candidate, 0.0) for i in range(num)]
    return next(
        check
        for check in judge(config, {suite: pairs}, {"helpfulness": 999, "toxicity": 999}).checks
        if check.suite == suite
    )


@pytest.mark.parametrize("check", [LOOSE, STRICT, replace(STRICT, margin=0.1, max_difference=3.0)])
@pytest.mark.parametrize("error_rate", [0.05, 0.2])
def test_so_many_items_pass_where_both_answer_alike_and_one_fewer_does_not(check: Check, error_rate: float) -> None:
    checks = (check,) if check.is_goal else (LOOSE, check)
    config = GateConfig(checks=checks, error_rate=error_rate)
    needed = num_to_pass(config, check)
    assert seen(config, check.suite, 0.0, needed).is_not_worse
    assert not seen(config, check.suite, 0.0, needed - 1).is_not_worse


def test_a_gain_takes_so_many_items_at_least() -> None:
    needed = num_for_a_gain(CONFIG)
    assert seen(CONFIG, "helpfulness", 1.0, needed).is_better
    assert not seen(CONFIG, "helpfulness", 1.0, needed - 1).is_better


def test_suites_that_are_large_enough_are_not_complained_of() -> None:
    sizes = {check.suite: num_to_pass(CONFIG, check) for check in CONFIG.checks}
    assert too_small(CONFIG, sizes) == []
    (told,) = too_small(CONFIG, sizes | {"toxicity": sizes["toxicity"] - 1})
    assert f"toxicity has {sizes['toxicity'] - 1} items and needs {sizes['toxicity']} for its margin of 0.05" in told


def test_the_margin_that_is_named_would_do() -> None:
    sizes = {"helpfulness": 99, "toxicity": 40}
    (told,) = too_small(CONFIG, sizes)
    margin = float(told.partition("(")[2].partition(" would do")[0])
    assert too_small(replace(CONFIG, checks=(LOOSE, replace(STRICT, margin=margin))), sizes) == []
    less = replace(STRICT, margin=margin - 0.01)
    assert too_small(replace(CONFIG, checks=(LOOSE, less)), sizes), "and none much smaller"


def test_goals_too_small_for_any_gain_are_told() -> None:
    coarse = GateConfig(checks=(replace(LOOSE, margin=0.9), replace(STRICT, margin=0.9)))
    sizes = dict.fromkeys(("helpfulness", "toxicity"), num_to_pass(coarse, coarse.checks[0]))
    (told,) = too_small(coarse, sizes)
    assert told == f"helpfulness must have {num_for_a_gain(coarse)} items to show a gain"
    assert too_small(coarse, sizes | {"helpfulness": num_for_a_gain(coarse)}) == []
