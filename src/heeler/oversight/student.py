"""Student's bounds of a mean (1908, Biometrika 6): exact for normal values, and near it for values that are about that.

They take nothing for granted about the range of the values, and so promise nothing where a rare value decides: of a
cost that is mostly 0 and seldom large they say too little. Where a range is known, `betting` is right for any values.
"""

import math
from functools import cache

import numpy as np

from heeler.oversight.betting import Floats

_NUM_POINTS = 2001


def bounds(value_K: Floats, level: float) -> tuple[float, float]:
    """Lower and upper bound of the mean, each of which fails with probability `level`.

    Args:
        value_K: independent values; of fewer than two, or where all are the same, nothing follows.
        level: below 0.5.
    """
    num = len(value_K)
    spread = float(value_K.std(ddof=1)) if num > 1 else 0.0
    # Rounding alone is no spread.
    if spread <= 1e-12 * (1 + abs(float(value_K.mean())) if num else 1):
        return -math.inf, math.inf
    half = quantile(1 - level, num - 1) * spread / math.sqrt(num)
    mean = float(value_K.mean())
    return mean - half, mean + half


@cache
def quantile(probability: float, degrees: int) -> float:
    """Of Student's distribution, by bisection of its integral.

    Args:
        probability: above 0.5 and below 1.
        degrees: of freedom, from 1 on.

    >>> round(quantile(0.975, 10), 4), round(quantile(0.95, 1), 3)
    (2.2281, 6.314)
    """
    assert 0.5 < probability < 1 <= degrees, (probability, degrees)
    low, high = 0.0, math.pi / 2
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if _cumulative(middle, degrees) < probability else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _cumulative(angle: float, degrees: int) -> float:
    """Probability below √degrees · tan(angle): with that in the place of t, its density is a power of the cosine."""
    angles = np.linspace(0.0, angle, _NUM_POINTS)
    density = np.cos(angles) ** (degrees - 1)
    weights = np.ones(_NUM_POINTS)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    integral = float((weights * density).sum()) * angle / (3 * (_NUM_POINTS - 1))
    log_factor = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(math.pi) / 2
    return 0.5 + math.exp(log_factor) * integral
