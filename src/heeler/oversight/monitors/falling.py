"""A share of successes that falls, and where it fell. As `agreement_drift` watches one, for whoever acts upon it."""

import math
from collections.abc import Sequence

from heeler.oversight.monitors.adwin import Adwin
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.kept import Kept

_FIRST, _WORSE, _MEMORY = 30, 0.1, 0.04


class Falling(Kept):
    """Bets (`e_detector`) against the claim that successes are no rarer than a tenth below the best share so far, and
    ADWIN, for a fall of a tenth at least; half of the error rate each.

    Args:
        error_rate: probability of a false alarm in a whole run.
        num_looks: values in a run.
    """

    kept = ("detector", "adwin", "share", "best", "num_seen")

    def __init__(self, error_rate: float, num_looks: int) -> None:
        self.detector = EDetector(0.5, error_rate / 2, max(1, num_looks))
        self.adwin = Adwin(error_rate / 2, max(1, num_looks))
        self.share, self.best, self.num_seen = 0.5, 0.5, 0

    def add(self, success: bool) -> bool:
        """Take in a value; whether the share has fallen."""
        self.num_seen += 1
        if self.num_seen > _FIRST:
            # Half of the way to the best: that is the luckiest of many shares.
            usual = 0.5 * (self.best + self.share) - _WORSE
            self.detector.mean = min(0.9, max(0.1, 1 - usual))
        bet = self.num_seen > _FIRST and self.detector.add(float(not success))
        sank = self.adwin.add(float(success)) and self.adwin.changed_by < -_WORSE
        self.share += max(_MEMORY, 1 / (self.num_seen + 1)) * (success - self.share)
        if self.num_seen > _FIRST:
            self.best = max(self.best, self.share)
        return bet or sank


def where_it_fell(successes: Sequence[bool]) -> int:
    """Values before the change: the split after which two shares make the values likeliest, the earlier the larger."""
    total, num, before = sum(successes), len(successes), 0
    best, place = -math.inf, 0
    for split in range(1, num):
        before += successes[split - 1]
        after = total - before
        if before / split <= after / (num - split):
            continue
        likelihood = _log_likelihood(before, split) + _log_likelihood(after, num - split)
        if likelihood > best:
            best, place = likelihood, split
    return place


def _log_likelihood(successes: float, num: int) -> float:
    rest = num - successes
    return sum(part * math.log(part / num) for part in (successes, rest) if part > 0)
