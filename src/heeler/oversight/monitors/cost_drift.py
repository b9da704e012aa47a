"""Costs that have a budget do not shoot up."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.adwin import Adwin
from heeler.oversight.monitors.jumps import Jump
from heeler.oversight.monitors.kept import Kept
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.page_hinkley import PageHinkley
from heeler.oversight.monitors.seen import Seen

_FIRST, _MEMORY = 8, 0.1
_CAP, _LEAST_RISE = 4.0, 0.25


class CostDrift(Monitor):
    """Follows what each cost comes to (`cost_NAME_level`), in budgets, upwards alone and above the budget alone.

    Below its budget a cost may rise, and a learner that is new overshoots. So the deviation that Page and Hinkley's
    test adds up is from the budget, or from what is usual where that is more, in units of what it wavers by and of one
    budget at least. A leap against its own course (`jumps`) of half a budget is found at once; ADWIN finds a rise of a
    budget that stays. A third of the error rate each, shared among the costs.
    """

    name = "cost_drift"
    about = "level of each cost with a budget: rises above it (Page-Hinkley, ADWIN, jumps)"
    kept = ("courses",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        share = self.rate / max(1, len(setup.budgets))
        self.courses = {name: _Course(share, setup.num_updates) for name in setup.budgets}

    def look(self, seen: Seen) -> Finding | None:
        """Compare each with its course; the first that is found is told."""
        found: Finding | None = None
        for name, budget in self.setup.budgets.items():
            level = seen.row.get(f"cost_{name}_level")
            if level is None:
                continue
            by, usual = self.courses[name].add(level / (budget or 1.0))
            if by is not None and found is None:
                found = self.found(
                    seen,
                    f"Cost {name} rose to {level:.4g}, from about {usual * (budget or 1.0):.4g} ({by}); its budget is "
                    f"{budget:.4g}",
                    cost=name,
                    level=level,
                    budget=budget,
                    test=by,
                )
        return found


class _Course(Kept):
    """One cost, in budgets."""

    kept = ("page", "adwin", "jump", "num_seen", "last", "usual", "change")

    def __init__(self, error_rate: float, num_looks: int) -> None:
        third = error_rate / 3
        self.page, self.adwin = PageHinkley(third, num_looks), Adwin(third, num_looks)
        self.jump = Jump(third, num_looks, sided=1)
        self.num_seen = 0
        self.last = self.usual = self.change = 0.0

    def add(self, level: float) -> tuple[str | None, float]:
        """Take in a level; which test found something, and what was usual."""
        self.num_seen += 1
        usual = self.usual if self.num_seen > 1 else level
        scale = max(1.5 * self.change, 1.0, 0.5 * usual)
        rose = self.num_seen > _FIRST and self.page.add(min((level - max(usual, 1.0)) / scale, 10.0))
        leapt = self.jump.look(level, 0.5) > 0
        stays = self.adwin.add(min(1.0, max(0.0, level / _CAP))) and self.adwin.changed_by > _LEAST_RISE
        memory = max(_MEMORY, 1 / self.num_seen)
        self.change += memory * (abs(level - (self.last if self.num_seen > 1 else level)) - self.change)
        self.usual, self.last = level if rose else usual + memory * (level - usual), level
        tests = {"Page-Hinkley": rose, "a leap": leapt and level > 1, "ADWIN": stays and level > 1}
        return next((name for name, found in tests.items() if found), None), usual
