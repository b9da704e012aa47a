"""Intervals of Beta distributions, many at once and in NumPy alone. Shape: P distributions, G points of a grid."""

import numpy as np

from heeler.feedback.annotators.answers import Floats

_NUM_POINTS = 2000


def beta_interval(a_P: Floats, b_P: Floats, probability: float) -> tuple[Floats, Floats]:
    """[P] low and high ends of the middle `probability` of Beta(a, b), right to about a thousandth.

    Args:
        a_P: first numbers, above 0.
        b_P: second numbers, above 0.
        probability: within the interval.
    """
    point_G = (np.arange(_NUM_POINTS) + 0.5) / _NUM_POINTS
    low, high = np.empty(len(a_P)), np.empty(len(a_P))
    # A few hundred at a time: the grid of 10^5 people would not fit.
    for start in range(0, len(a_P), 500):
        part = slice(start, start + 500)
        log_PG = (a_P[part, None] - 1) * np.log(point_G) + (b_P[part, None] - 1) * np.log1p(-point_G)
        mass_PG = np.exp(log_PG - log_PG.max(1, keepdims=True))
        below_PG = mass_PG.cumsum(1)
        below_PG /= below_PG[:, -1:]
        low[part] = ((below_PG < (1 - probability) / 2).sum(1) + 0.5) / _NUM_POINTS
        high[part] = ((below_PG < (1 + probability) / 2).sum(1) + 0.5) / _NUM_POINTS
    return low, high
