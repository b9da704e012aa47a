"""A share of successes that falls, and where it fell. As `agreement_drift` watches one, for whoever acts upon it."""

import math
from collections.abc import Sequence

from heeler.oversight.monitors.adwin import Adwin
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.kept import Kept

_FIRST, _WORSE, _ADWINS = 30, 0.05, 0.1


class Falling(Kept):
    """Bets (`e_detector`) against the claim that successes are no rarer than they were on the whole, less a twentieth
    and a standard error; and ADWIN, for a fall of a twentieth at least, with a tenth of the error rate.

    On the whole, and not at best: the best of many shares is the luckiest. While the share still rises the claim lags
    behind, which costs power and raises no alarm.

    Args:
        error_rate: probability of a false alarm in a whole run.
        num_looks: values in a run.
    """

    kept = ("detector", "adwin", "num_right", "num_seen")

    def __init__(self, error_rate: float, num_looks: int) -> None:
        self.detector = EDetector(0.5, error_rate * (1 - _ADWINS), max(1, num_looks))
        self.adwin = Adwin(error_rate * _ADWINS, max(1, num_looks))
        self.num_right = self.num_seen = 0

    def add(self, success: bool) -> bool:
        """Take in a value; whether the share has fallen."""
        bet = False
        if self.num_seen >= _FIRST:
            usual = self.num_right / self.num_seen - _WORSE - 0.5 / math.sqrt(self.num_seen)
            self.detector.mean = min(0.9, max(0.1, 1 - usual))
            bet = self.detector.add(float(not success))
        self.num_right, self.num_seen = self.num_right + success, self.num_seen + 1
        return (self.adwin.add(float(success)) and self.adwin.changed_by < -_WORSE) or bet


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
