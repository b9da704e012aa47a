"""Student's distribution (1908, Biometrika 6), far out in its tail as well, and his bounds of a mean.

Those are exact for normal values, and near it for values that are about that.

They take nothing for granted about the range of the values, and so promise nothing where a rare value decides: of a
cost that is mostly 0 and seldom large they say too little. Where a range is known, `betting` is right for any values.
"""

import math
from functools import cache

import numpy as np

from heeler.oversight.betting import Floats


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
    half = t_quantile(level, num - 1) * spread / math.sqrt(num)
    mean = float(value_K.mean())
    return mean - half, mean + half


def t_tail(t: float, degrees: int) -> float:
    """P(T > t) for t >= 0.

        P(T > t) = ∫_{θ}^{π/2} cos^{ν−1} φ dφ / ∫_{−π/2}^{π/2} cos^{ν−1} φ dφ,    θ = arctan(t / √ν)

    Args:
        t: at least 0.
        degrees: ν, degrees of freedom, at least 1.

    >>> round(t_tail(12.706, 1), 4), round(t_tail(1.96, 100000), 4)
    (0.025, 0.025)
    """
    assert t >= 0 and degrees >= 1, (t, degrees)
    # With u = π/2 − φ the mass lies at u = 0 .. arctan(√ν / t); Gauss and Legendre's points see all of it.
    upper = math.atan2(math.sqrt(degrees), t)
    point, weight = _points()
    u = upper * (point + 1) / 2
    # In logarithms: far out, the sine to the power of ν - 1 is smaller than any number.
    with np.errstate(divide="ignore"):
        log_sine = np.log(np.sin(u)) * (degrees - 1) if degrees > 1 else np.zeros_like(u)
    top = float(log_sine.max())
    log_mass = top + math.log(float(weight @ np.exp(log_sine - top)) * upper / 2)
    log_whole = 0.5 * math.log(math.pi) + math.lgamma(degrees / 2) - math.lgamma((degrees + 1) / 2)
    return math.exp(log_mass - log_whole)


@cache
def t_quantile(tail: float, degrees: int) -> float:
    """The t that T exceeds with probability `tail`, which is below 1/2.

    >>> round(t_quantile(0.025, 10), 3), round(t_quantile(1e-6, 18), 2)
    (2.228, 6.87)
    """
    assert 0 < tail < 0.5, tail
    low, high = 0.0, 1.0
    while t_tail(high, degrees) > tail:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, degrees) > tail else (low, middle)
    return high


@cache
def _points() -> "tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]":
    return np.polynomial.legendre.leggauss(200)
