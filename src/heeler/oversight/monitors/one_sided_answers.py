"""Nobody names the same side whatever is shown there."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.seen import Seen

_USUAL = 0.6


class OneSidedAnswers(Monitor):
    """Bets that a person names one side in more than six answers of ten; which clip stands where is drawn by chance."""

    name = "one_sided_answers"
    about = "side that a person names: one of them in more than six of ten answers"
    kept = ("bets",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bets = {side: PerPerson(self.rate / 2, setup.num_answers) for side in ("left", "right")}

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each answer; the first person who is found is told of."""
        found: Finding | None = None
        for answer in seen.answers:
            if answer.choice not in self.bets:
                continue
            for side, bets in self.bets.items():
                if bets.add(answer.annotator, float(answer.choice == side), _USUAL) and found is None:
                    found = self.found(
                        seen, f"{answer.annotator} names the {side} side whatever is shown there",
                        annotator=answer.annotator, side=side, answers=bets.counts[answer.annotator],
                    )  # fmt: skip
        return found
