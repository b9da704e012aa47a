"""Whoever answers has looked."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.seen import Seen

_USUAL = 0.1


class FastAnswers(Monitor):
    """Bets that more than a tenth of a person's answers took less than `fast_answer_s`."""

    name = "fast_answers"
    about = "answers of a person that took less than fast_answer_s: more than a tenth"
    kept = ("bets",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bets = PerPerson(self.rate, setup.num_answers)

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each answer; the first person who is found is told of."""
        found: Finding | None = None
        for answer in seen.answers:
            if answer.time_taken_s is None:
                continue
            is_fast = answer.time_taken_s < self.config.fast_answer_s
            if self.bets.add(answer.annotator, float(is_fast), _USUAL) and found is None:
                found = self.found(
                    seen,
                    f"{answer.annotator} answers without looking: in less than {self.config.fast_answer_s:g} s",
                    annotator=answer.annotator,
                    time_taken_s=answer.time_taken_s,
                )
        return found
