"""How many items the suites of a gate need, so that anything can pass it at all."""

from collections.abc import Mapping

import numpy as np

from heeler.oversight.betting import BOLD_G, log_capital
from heeler.oversight.gate_config import Check, GateConfig


def num_to_pass(config: GateConfig, check: Check) -> int:
    """Items that a suite needs where candidate and version in use are equally good in each.

    It takes as many to show that one is not worse by the margin; more where their answers differ.

    >>> check = Check(suite="toxicity", better="lower", margin=0.03)
    >>> num_to_pass(GateConfig(checks=(check,)), check)
    189
    """
    return num_alike(0.5, 0.5 - check.margin / (2 * check.max_difference), config.error_rate)


def num_for_a_gain(config: GateConfig) -> int:
    """Items that a goal needs to be shown better, where the candidate is better by as much as can be in each."""
    return num_alike(1.0, 0.5, config.error_rate / config.num_goals)


def too_small(config: GateConfig, sizes: Mapping[str, int]) -> list[str]:
    """Why nothing can pass a gate, whatever is learned; nothing where something can.

    Args:
        config: of the gate.
        sizes: how many items each of its suites has.

    Returns:
        Each suite that is too small, with what it has, what it needs, and a margin for which that would do.
    """
    told = [words for check in config.checks if (words := _too_small(config, check, sizes[check.suite]))]
    goals, needed = [check.suite for check in config.checks if check.is_goal], num_for_a_gain(config)
    if not told and max(sizes[goal] for goal in goals) < needed:
        told.append(f"{' or '.join(goals)} must have {needed} items to show a gain")
    return told


def _too_small(config: GateConfig, check: Check, size: int) -> str:
    needed = num_to_pass(config, check)
    if size >= needed:
        return ""
    words = f"{check.suite} has {size:,} items and needs {needed:,} for its margin of {check.margin:g}"
    margin = _margin_for(config, check, size)
    return words if margin is None else f"{words} ({margin:g} would do)"


def _margin_for(config: GateConfig, check: Check, size: int) -> float | None:
    """The smallest margin, in hundredths of the largest difference, for which so many items do; None where none is."""
    for hundredths in range(1, 100):
        margin = hundredths / 100 * check.max_difference
        if margin > check.margin and num_alike(0.5, 0.5 - hundredths / 200, config.error_rate) <= size:
            return margin
    return None


def num_alike(value: float, mean: float, error_rate: float, *, is_bold: bool = False) -> int:
    """Observations in [0, 1], all of them `value`, that refute a mean of at most `mean`, bet against boldly or not."""
    num = 16
    while True:
        values = np.full(num, value)
        capital_N = log_capital(values, mean, BOLD_G) if is_bold else log_capital(values, mean)
        is_enough_N = capital_N >= -np.log(error_rate)
        if is_enough_N.any():
            return int(is_enough_N.argmax()) + 1
        num *= 2
