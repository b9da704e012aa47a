"""Nobody says one thing of a pair and the opposite another time."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.pairs_answered import PairsAnswered, named
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.seen import Seen

_USUAL = 0.4


class ContradictoryAnswers(Monitor):
    """Bets, on pairs that a person answers again, that they name another segment in more than four of ten."""

    name = "contradictory_answers"
    about = "pairs that a person answers again: another answer in more than four of ten"
    kept = ("bets", "pairs")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bets, self.pairs = PerPerson(self.rate, setup.num_answers), PairsAnswered()

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each answer that is a second one; the first person who is found is told of."""
        found: Finding | None = None
        for answer in seen.answers:
            before = self.pairs.add(answer)
            if before is None or answer.choice == "cant_tell" or before == "cant_tell":
                continue
            differs = float(before != named(answer))
            if self.bets.add(answer.annotator, differs, _USUAL) and found is None:
                found = self.found(
                    seen,
                    f"{answer.annotator} contradicts themselves: asked about the same pairs again, they say otherwise",
                    annotator=answer.annotator,
                    asked_again=self.bets.counts[answer.annotator],
                )
        return found
