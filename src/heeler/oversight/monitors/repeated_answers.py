"""Answers come once: none is sent again and again."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.pairs_answered import PairsAnswered, named
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.seen import Seen

_USUAL = 0.1


class RepeatedAnswers(Monitor):
    """Bets that more than a tenth of a person's answers repeat, pair and choice alike, one that they gave before."""

    name = "repeated_answers"
    about = "answers of a person that repeat an earlier one of theirs: more than a tenth"
    kept = ("bets", "pairs")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bets, self.pairs = PerPerson(self.rate, setup.num_answers), PairsAnswered()

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each answer; the first person who is found is told of."""
        found: Finding | None = None
        for answer in seen.answers:
            repeats = float(self.pairs.add(answer) == named(answer))
            if self.bets.add(answer.annotator, repeats, _USUAL) and found is None:
                found = self.found(
                    seen,
                    f"Answers of {answer.annotator} come more than once",
                    annotator=answer.annotator,
                    answers=self.bets.counts[answer.annotator],
                )
        return found
