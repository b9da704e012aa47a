"""Page and Hinkley's test for a mean that falls (Page 1954, Biometrika 41; Hinkley 1971), in units of the spread.

    S_n = max(0, S_{n−1} + z_n − k),    z_n how far the n-th value is on the bad side of its reference, in spreads

Where z_n are independent with mean 0 at most and as light in the tail as the standard normal, a walk from any one
start ever reaches h with probability exp(−2 k h) at most (Lundberg's bound), so that within N values

    P(S_n ≥ h for some n ≤ N) ≤ N exp(−2 k h) = α    gives    h = log(N / α) / (2 k).
"""

import math

from heeler.oversight.monitors.kept import Kept


class PageHinkley(Kept):
    """One walk.

    Args:
        error_rate: α, for a whole run.
        num_looks: N.
        allowance: k: means that are off by less than this many spreads are not looked for.
    """

    kept = ("walk", "num_up")

    def __init__(self, error_rate: float, num_looks: int, *, allowance: float = 1.0) -> None:
        self.allowance = allowance
        self.threshold = math.log(num_looks / error_rate) / (2 * allowance)
        self.walk = 0.0
        self.num_up = 0
        """Values since the walk last left 0: when the change began, as far as it shows."""

    def add(self, deviation: float) -> bool:
        """Take in how many spreads the next value is on the bad side; whether that is a change. It begins anew then."""
        self.walk = max(0.0, self.walk + deviation - self.allowance)
        self.num_up = self.num_up + 1 if self.walk > 0 else 0
        if self.walk < self.threshold:
            return False
        self.walk = 0.0
        return True
