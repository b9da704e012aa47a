"""No single person answers against all the others."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.per_person import PerPerson
from heeler.oversight.monitors.seen import Seen

_MIN_OTHERS = 20
_KEPT = 40


class DisagreeingPerson(Monitor):
    """Bets that a person's answers are foretold less often than the others', by `agreement_gap`.

    What foretells them is the learned reward before it learned from them, which all answers together made. While it is
    young it is wrong more often, and of everybody. Where one person alone answers, there is no rest to disagree with.
    """

    name = "disagreeing_person"
    about = "answers of a person that the learned reward foretold: less often than the others', by agreement_gap"
    kept = ("bets", "told")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bets = PerPerson(self.rate, setup.num_answers)
        self.told: dict[str, list[float]] = {}
        """Answers foretold, and answers, of each person; halved now and then, so that old ones count less."""

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each answer; the first person who is found is told of."""
        found: Finding | None = None
        for answer in seen.answers:
            if answer.is_foretold is None:
                continue
            person, others = answer.annotator, self._others(answer.annotator)
            if others is not None:
                mean = min(max(1 - (others - self.config.agreement_gap), 0.1), 0.9)
                if self.bets.add(person, float(not answer.is_foretold), mean) and found is None:
                    found = self._tell(seen, person, others)
            right, number = self.told.get(person, [0.0, 0.0])
            right, number = right + answer.is_foretold, number + 1
            self.told[person] = [right / 2, number / 2] if number >= _KEPT else [right, number]
        return found

    def _others(self, person: str) -> float | None:
        """Share of the others' answers that were foretold; None while they are few."""
        rest = [counts for name, counts in self.told.items() if name != person]
        right, number = sum(counts[0] for counts in rest), sum(counts[1] for counts in rest)
        return right / number if number >= _MIN_OTHERS else None

    def _tell(self, seen: Seen, person: str, others: float) -> Finding:
        right, number = self.told.get(person, [0.0, 0.0])
        own = right / max(number, 1)
        return self.found(
            seen,
            f"{person} disagrees with the rest: {own:.0%} of their answers were foretold lately, and {others:.0%} of "
            "the others'",
            annotator=person,
            foretold=own,
            foretold_of_others=others,
        )
