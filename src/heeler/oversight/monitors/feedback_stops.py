"""While questions are open, answers come."""

import math

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_FIRST, _LEAST_UPDATES = 5, 4


class FeedbackStops(Monitor):
    """Counts the updates in a row at which questions were open and no answer came.

    Did each of them bring an answer with the probability that it did so far, or half of it, n in a row would bring none
    with (1 − p/2)ⁿ: n must be so large that this is the error rate for one of N updates.
    """

    name = "feedback_stops"
    about = "updates in a row with open questions and no answer"
    kept = ("num_open", "num_answered", "in_a_row")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.num_open = self.num_answered = self.in_a_row = 0

    def look(self, seen: Seen) -> Finding | None:
        """Count."""
        if seen.answers:
            self.num_open += self.in_a_row + 1
            self.num_answered, self.in_a_row = self.num_answered + 1, 0
            return None
        if not seen.num_open:
            return None
        self.in_a_row += 1
        if self.num_answered < _FIRST:
            return None
        share = self.num_answered / self.num_open
        needed = math.log(self.rate / self.setup.num_updates) / math.log1p(-share / 2)
        if self.in_a_row < max(needed, _LEAST_UPDATES):
            return None
        # These say nothing of how answers come while they do.
        updates, self.in_a_row = self.in_a_row, 0
        return self.found(
            seen,
            f"{seen.num_open} questions are open, and no answer came in {updates} updates; before, {share:.0%} of "
            "updates brought one",
            updates=updates,
            open=seen.num_open,
        )
