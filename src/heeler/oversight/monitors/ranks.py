"""Whether the newest values are above all of those before: a test that asks nothing of how values are distributed.

Where m + W values come in any order equally likely, the last m are the m largest with probability 1 / C(m + W, m). The
least m is taken with which N such looks have a probability of α at most together.
"""

import math

from heeler.oversight.monitors.kept import Kept


def num_above(window: int, error_rate: float, num_looks: int) -> int:
    """m: how many values in a row must be above the W before.

    >>> num_above(32, 0.002, 100)
    4
    """
    number = 1
    while num_looks / math.comb(number + window, number) > error_rate:
        number += 1
    return number


class Ranks(Kept):
    """Follows one figure.

    Args:
        error_rate: α, for a whole run.
        num_looks: N.
        window: W, values that the newest are compared with.
    """

    kept = ("values",)

    def __init__(self, error_rate: float, num_looks: int, *, window: int = 16) -> None:
        self.window = window
        self.number = num_above(window, error_rate, num_looks)
        """m."""
        self.values: list[float] = []

    def add(self, value: float, least_factor: float = 1.0) -> tuple[float, float] | None:
        """Take in a value; where the newest are all above those before, by the factor at least, their means.

        Returns:
            The medians before and now; None where there is nothing to tell.
        """
        self.values = [*self.values, value][-(self.window + self.number) :]
        if len(self.values) < self.window + self.number:
            return None
        before, now = self.values[: self.window], self.values[self.window :]
        if min(now) <= max(before):
            return None
        usual = (_median(before), _median(now))
        return usual if usual[1] >= least_factor * usual[0] else None


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
