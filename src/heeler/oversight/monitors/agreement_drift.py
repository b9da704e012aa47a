"""People's answers go on agreeing with what they said before."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.adwin import Adwin
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_FIRST, _WORSE, _MEMORY = 40, 0.1, 0.02


class AgreementDrift(Monitor):
    """Follows how often the learned reward foretold answers, before it learned from them: downwards alone.

    A bet (`e_detector`) against the claim that answers are foretold no less often than at the best time so far, by a
    tenth less; and ADWIN, for a fall of a tenth at least. Half of the error rate each.
    """

    name = "agreement_drift"
    about = "share of answers that the learned reward foretold: falls (e-detector, ADWIN)"
    kept = ("detector", "adwin", "share", "best", "num_seen")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        looks = max(1, setup.num_answers)
        self.detector, self.adwin = EDetector(0.5, self.rate / 2, looks), Adwin(self.rate / 2, looks)
        self.share, self.best, self.num_seen = 0.5, 0.5, 0

    def look(self, seen: Seen) -> Finding | None:
        """Take in the answers."""
        fell = False
        for answer in seen.answers:
            if answer.is_foretold is not None:
                fell = self._add(answer.is_foretold) or fell
        if not fell:
            return None
        told = self.found(
            seen,
            f"Answers agree less with those before: {self.share:.0%} were foretold lately, and {self.best:.0%} at best",
            foretold=self.share,
            best=self.best,
        )
        self.best = self.share
        return told

    def _add(self, is_foretold: bool) -> bool:
        self.num_seen += 1
        if self.num_seen > _FIRST:
            # Half of the way to the best: that is the luckiest of many shares.
            usual = 0.5 * (self.best + self.share) - _WORSE
            self.detector.mean = min(0.9, max(0.1, 1 - usual))
        bet = self.num_seen > _FIRST and self.detector.add(float(not is_foretold))
        sank = self.adwin.add(float(is_foretold)) and self.adwin.changed_by < -_WORSE
        self.share += max(_MEMORY, 1 / (self.num_seen + 1)) * (is_foretold - self.share)
        if self.num_seen > _FIRST:
            self.best = max(self.best, self.share)
        return bet or sank
