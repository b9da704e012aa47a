"""No cost stays above its budget once there was time to learn."""

from heeler.oversight.finding import Finding
from heeler.oversight.monitors.e_detector import EDetector
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.seen import Seen

_CAP = 10.0


class CostOverBudget(Monitor):
    """Bets, after a share of the run, that a cost's mean level is above the budget and its slack (`e_detector`).

    Levels are cut at ten times what is allowed, which can only take evidence away. However they depend on each other,
    a cost whose mean is within what is allowed, whatever came before, is told of with the error rate at most.
    """

    name = "cost_over_budget"
    about = "level of each cost with a budget: above budget_slack times it for long, after budget_grace_share"
    kept = ("detectors",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        share = self.rate / max(1, len(setup.budgets))
        self.detectors = {name: EDetector(1 / _CAP, share, setup.num_updates) for name in setup.budgets}

    def look(self, seen: Seen) -> Finding | None:
        """Bet on each cost; the first that is found is told."""
        if seen.update <= self.config.budget_grace_share * self.setup.num_updates:
            return None
        found: Finding | None = None
        for name, budget in self.setup.budgets.items():
            level = seen.row.get(f"cost_{name}_level")
            # A budget of nothing is kept only nearly.
            allowed = self.config.budget_slack * budget if budget else 0.25
            if level is None or not self.detectors[name].add(min(1.0, max(0.0, level) / (_CAP * allowed))):
                continue
            found = found or self.found(
                seen,
                f"Cost {name} has been above its budget of {budget:.4g} for long; it comes to {level:.4g}",
                cost=name,
                level=level,
                budget=budget,
            )
        return found
