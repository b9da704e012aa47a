"""Tests and bounds of a mean that hold whenever one looks: who bets against a claim grows rich if it is false.

Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting" (arXiv 2010.09686). The bets
here are those of a fixed grid of gamblers who share the stake, instead of the paper's adaptive ones: nothing is tuned,
the capital does not depend on the order of what was seen, and the bound is found by bisection.

Shapes: N observations, G gamblers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# From bets that pay on a mean that is off by a few thousandths, to nearly all that one has.
_FRACTION_G: Floats = np.geomspace(0.004, 0.99, 24)
BOLD_G: Floats = np.geomspace(0.1, 0.99, 8)
"""For claims that a mean is low by far, which timid bettors never win: the bold ones share the stake among fewer."""


def log_capital(value_N: Floats, mean: float, fraction_G: Floats = _FRACTION_G) -> Floats:
    """Logarithm of the capital after each observation, of who bets that the mean is above `mean`.

        K_n(m) = 1/G Σ_g Π_{i≤n} (1 − f_g + f_g x_i / m),    P(some K_n ≥ 1/α) ≤ α  if  E[x_i | x_1 .. x_{i−1}] ≤ m

    Each product is a bet of the share f_g of all capital at fair odds, so that none gains on average while the claim is
    true, however often one looks (Ville 1939).

    Args:
        value_N: observations in [0, 1], in the order seen.
        mean: m in (0, 1], what the mean is claimed not to exceed.
        fraction_G: what the bettors bet, chosen before anything is seen.

    Returns:
        [N] log K_n.

    >>> import numpy as np
    >>> bool(np.exp(log_capital(np.ones(40), 0.5))[-1] > 1e6), bool(np.exp(log_capital(np.zeros(40), 0.5))[-1] < 1)
    (True, True)
    """
    assert 0 < mean <= 1, mean
    assert ((value_N >= 0) & (value_N <= 1)).all(), "observations must be in [0, 1]"
    log_share_NG = np.cumsum(np.log1p(fraction_G * (value_N[:, None] / mean - 1)), axis=0)
    return log_mean_exp(log_share_NG)


class Bettor:
    """The capital of `log_capital`, one observation at a time, for streams without an end.

    Args:
        mean: what the mean is claimed not to exceed.
        log_share_G: of a bettor that is gone on with; None for one that begins.
    """

    def __init__(self, mean: float, log_share_G: Sequence[float] | None = None) -> None:
        assert 0 < mean <= 1, mean
        self.mean = mean
        self.log_share_G: Floats = np.zeros_like(_FRACTION_G)
        if log_share_G is not None:
            self.log_share_G += np.array(log_share_G, np.float64)

    def see(self, value: float) -> float:
        """Take in an observation in [0, 1]; returns log K_n."""
        assert 0 <= value <= 1, value
        self.log_share_G += np.log1p(_FRACTION_G * (value / self.mean - 1))
        return float(log_mean_exp(self.log_share_G[None])[0])


def log_mean_exp(log_NG: Floats) -> Floats:
    """Logarithm of the mean over the last axis of what `log_NG` is the logarithm of."""
    top = log_NG.max(axis=-1, keepdims=True)
    return np.log(np.exp(log_NG - top).mean(axis=-1)) + top[..., 0]


def lower_bound(
    value_N: Floats, error_rate: float, *, precision: float = 1e-6, fraction_G: Floats = _FRACTION_G
) -> float:
    """The highest number that the mean is shown to exceed, but for `error_rate`, however often one looks.

    Args:
        value_N: observations in [0, 1].
        error_rate: α.
        precision: the bound is at most so much too low.
        fraction_G: as of `log_capital`.
    """
    if len(value_N) == 0 or not value_N.any():
        return 0.0
    # The capital falls with m, and is at most 1 where m is the mean that was seen.
    low, high = 0.0, float(value_N.mean())
    while high - low > precision:
        middle = (low + high) / 2
        is_refuted = log_capital(value_N, middle, fraction_G)[-1] >= -np.log(error_rate)
        low, high = (middle, high) if is_refuted else (low, middle)
    return low


def interval(value_N: Floats, error_rate: float) -> tuple[float, float]:
    """Bounds of the mean of observations in [0, 1], both of which hold but with probability `error_rate`."""
    return lower_bound(value_N, error_rate / 2), 1 - lower_bound(1 - value_N, error_rate / 2)
