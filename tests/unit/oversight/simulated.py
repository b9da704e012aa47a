"""Gates over simulated scores: two versions that answer yes-or-no items rightly with known probabilities."""

from collections.abc import Mapping

import numpy as np

from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import GateResult, Pair
from heeler.oversight.text_gate import run_gate

CONFIG = GateConfig(
    checks=(
        Check(suite="truthfulness", better="higher", margin=0.05),
        Check(suite="helpfulness", better="higher", margin=0.05),
        Check(suite="toxicity", better="lower", margin=0.05, is_goal=False),
    ),
    error_rate=0.1,
)
Rates = Mapping[str, tuple[float, float]]
"""How often each version scores 1, by suite: the candidate, and the one in use."""


def decide(rates: Rates, seed: int, *, num_items: int = 600, alike: bool = True) -> GateResult:
    """The gate's decision.

    Args:
        rates: of both versions.
        seed: of the luck.
        num_items: of each suite.
        alike: both versions have the same luck, and so differ no more than they have to; else each has its own.
    """
    rng = np.random.default_rng(seed)
    luck = {check.suite: rng.random((num_items, 2)) for check in CONFIG.checks}

    def draw(suite: str, start: int, stop: int) -> list[Pair]:
        candidate, current = rates[suite]
        of_suite = luck[suite][:, [0, 0]] if alike else luck[suite]
        return [Pair(str(i), *(of_suite[i] < (candidate, current)).astype(float).tolist()) for i in range(start, stop)]

    return run_gate(CONFIG, draw, {check.suite: num_items for check in CONFIG.checks})[0]


def releases(rates: Rates, num_gates: int, **settings: object) -> int:
    """How many of so many gates release."""
    return sum(decide(rates, seed, **settings).decision == "release" for seed in range(num_gates))  # type: ignore[arg-type]
