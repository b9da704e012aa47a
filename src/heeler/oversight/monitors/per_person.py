"""One bet for each person who answers, against a claim about all that they do.

Somebody bets from a person's first answer on, and somebody from each later one (`e_detector`), half of the person's
error rate each: who answers badly from the start is found in few answers, who begins to later on is found too. The
i-th person who comes is given the share 1 / (i (i + 1)) of the error rate, so that all persons together keep to it,
however many come.
"""

import math

import numpy as np

from heeler.oversight.betting import Floats, log_mean_exp
from heeler.oversight.monitors.kept import Kept

_FRACTION_G: Floats = np.array([0.06, 0.2, 0.5, 0.9])
_NOTHING = -1e6
"""Logarithm of a capital that no winnings bring back, and that can be reckoned with, as that of nought cannot."""


class PerPerson(Kept):
    """Bets on what each person does.

    Args:
        error_rate: α, for a whole run and all persons.
        num_looks: answers that one person may give.
    """

    kept = ("capital_2G", "counts")

    def __init__(self, error_rate: float, num_looks: int) -> None:
        self.error_rate, self.num_looks = error_rate, max(1, num_looks)
        self.capital_2G: dict[str, Floats] = {}
        """Logarithms by person, in the order they came in: the bet from the first answer, and those from later."""
        self.counts: dict[str, int] = {}
        """Answers of each person."""

    def add(self, person: str, value: float, mean: float) -> bool:
        """Take in an answer; whether the person's claim is refuted. Their bets begin anew then.

        Args:
            person: who gave it.
            value: in [0, 1], what the bet is on.
            mean: in (0, 1), what the mean is claimed not to exceed; it may depend on all that came before.
        """
        if person not in self.capital_2G:
            self.capital_2G[person] = np.stack([np.zeros(len(_FRACTION_G)), np.full(len(_FRACTION_G), -np.inf)])
            self.counts[person] = 0
        self.counts[person] += 1
        before = self.capital_2G[person]
        begun = np.stack([before[0], np.logaddexp(before[1], 0.0)])
        now = begun + np.log1p(_FRACTION_G * (value / mean - 1))
        self.capital_2G[person] = now
        place = list(self.capital_2G).index(person) + 1
        log_needed = math.log(2 * place * (place + 1) / self.error_rate)
        evidence = log_mean_exp(now)
        if evidence[0] < log_needed and evidence[1] < log_needed + math.log(self.num_looks):
            return False
        # Nobody bets from the first answer on any more; those who begin later do.
        self.capital_2G[person] = np.stack([np.full(len(_FRACTION_G), _NOTHING), np.full(len(_FRACTION_G), -np.inf)])
        return True
