"""A test that watches for a mean of numbers in [0, 1] to rise above what is claimed, whenever that begins.

From every update on, somebody begins to bet that the mean is above m (`oversight.betting`). All that they have
together, had each begun with 1, is

    M_n = (M_{n−1} + 1) (1 − f + f x_n / m)

Each bet gains nothing on average while E[x_n | past] ≤ m, so that M_n − n is a supermartingale, and by Doob's
inequality P(some M_n ≥ N/α within N updates) ≤ α: the threshold is exact for a whole run however its values depend on
each other (Shin, Ramdas and Rinaldo 2022, "E-detectors", arXiv 2203.03532). A grid of shares f is averaged over.
"""

import math

import numpy as np

from heeler.oversight.betting import Floats, log_mean_exp
from heeler.oversight.monitors.kept import Kept

_FRACTION_G: Floats = np.array([0.02, 0.06, 0.2, 0.5, 0.9])


class EDetector(Kept):
    """Watches one stream.

    Args:
        mean: m in (0, 1): what the mean is claimed not to exceed.
        error_rate: α, for a whole run.
        num_looks: N, values in a run.
    """

    kept = ("log_capital_G",)

    def __init__(self, mean: float, error_rate: float, num_looks: int) -> None:
        assert 0 < mean < 1, mean
        self.mean = mean
        self.log_needed = math.log(num_looks / error_rate)
        self.log_capital_G: Floats = np.full(len(_FRACTION_G), -np.inf)

    def add(self, value: float) -> bool:
        """Take in a value in [0, 1]; whether the claim is refuted. All bets begin anew then."""
        assert 0 <= value <= 1, value
        begun_G = np.logaddexp(self.log_capital_G, 0.0)
        self.log_capital_G = begun_G + np.log1p(_FRACTION_G * (value / self.mean - 1))
        if self.log_evidence < self.log_needed:
            return False
        self.log_capital_G = np.full(len(_FRACTION_G), -np.inf)
        return True

    @property
    def log_evidence(self) -> float:
        """Logarithm of M_n; -inf before the first value."""
        return float(log_mean_exp(self.log_capital_G)) if np.isfinite(self.log_capital_G).any() else -math.inf
