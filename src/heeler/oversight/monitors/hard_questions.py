"""People can judge what they are asked."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_START, _END = "kinds/", "/cannot_judge"


class HardQuestions(Monitor):
    """Reads the metrics `kinds/KIND/cannot_judge`: kinds of question that people cannot answer.

    Half of the latest 20 answers of the kind say nothing; or, of comparisons, marks and critiques, 20 held-out answers
    are foretold no better than by a coin. Told once for each kind, and again where it had been better meanwhile.
    """

    name = "hard_questions"
    about = "metrics kinds/KIND/cannot_judge: people cannot tell, or answer as by a coin"
    kept = ("told",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.told: list[str] = []

    def look(self, seen: Seen) -> Finding | None:
        """Tell of kinds that are new among the hard ones."""
        hard = sorted(
            name.removeprefix(_START).removesuffix(_END)
            for name, value in seen.row.items()
            if name.startswith(_START) and name.endswith(_END) and value
        )
        new, self.told = [kind for kind in hard if kind not in self.told], hard
        if not new:
            return None
        shares = {kind: seen.row.get(f"{_START}{kind}/silent_share") for kind in new}
        words = ", ".join(
            kind if share is None else f"{kind} ({share:.0%} of the latest answers say nothing)"
            for kind, share in shares.items()
        )
        return self.found(
            seen,
            f"People cannot judge by this kind of question: {words}. They are shown such clips slowly and with the "
            "numbers behind them, and other kinds are asked instead; look whether the clips show what matters",
            kinds=new,
            silent_shares=[share for share in shares.values() if share is not None],
        )
