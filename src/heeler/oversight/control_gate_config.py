"""What a policy that acts in a world has to show before it is released."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from heeler.core.errors import ConfigError
from heeler.oversight.gate_sizes import num_alike
from heeler.safety.costs import CostConfig, Per


@dataclass(frozen=True, kw_only=True)
class CostClaim:
    """One cost that is to be shown to stay within its budget."""

    name: str
    budget: float
    per: Per
    """Whether the budget is for an episode or for a step."""
    most: float
    """The most that an episode can cost; infinite where nobody can say."""


@dataclass(frozen=True, kw_only=True)
class ControlGateConfig:
    """What a candidate has to show in fresh episodes, and what becomes of it then."""

    margin: float
    """A mean return that is lower by so much than that of the policy in use is what has to be refuted."""
    every: int = 50
    """Updates between two candidates; the last update offers one too."""
    num_episodes: int = 400
    """Fresh episodes of the candidate, and as many of the policy in use from the same first states."""
    error_rate: float = 0.05
    """A candidate of which a cost is above its budget, or whose return is lower by the margin, is released with at most
    this probability. It is split evenly over return and costs, so that all bounds that are shown hold at once."""
    budgets: dict[str, float] = field(default_factory=dict[str, float])
    """Budgets of costs in place of the run's own. A learner that keeps to a budget is about at it, and what is about at
    a budget is not shown to be within: give the learner a smaller one than the gate."""
    max_costs: dict[str, float] = field(default_factory=dict[str, float])
    """The most that an episode can cost, of each cost that has a budget: of one that is at most 1 a step, the length of
    the longest episode. Bounds then hold whatever the costs are like. Where there is no such number, `.inf` has
    Student's bounds taken instead, which promise nothing for costs that are seldom and large."""
    return_range: tuple[float, float] | None = None
    """Lowest and highest return that an episode can have: then the bound of the difference holds whatever returns are
    like, and takes more episodes. None for Student's bound, which is right where differences are about normal."""
    approval: Literal["canary", "gate", "people"] = "canary"
    """Who puts a candidate that the gate passed into use: its canary share once that has gone well, the gate at once,
    or a person in the console. The first release has nothing to be compared with in use, and so the gate approves it in
    the canary's place."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise ConfigError(f"gate.margin must be >= 0 and finite, in units of return; got {self.margin}")
        if self.every < 1:
            raise ConfigError(f"gate.every must be >= 1, got {self.every}")
        if self.num_episodes < 2:
            raise ConfigError(f"gate.num_episodes must be >= 2, got {self.num_episodes}")
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"gate.error_rate must be between 0 and 0.5, got {self.error_rate:g}")
        if self.return_range is not None:
            low, high = self.return_range
            if not (math.isfinite(low) and math.isfinite(high) and high - low > self.margin):
                raise ConfigError(
                    f"gate.return_range must be a lowest and a highest return further apart than the margin "
                    f"({self.margin:g}), got {low:g} and {high:g}; leave it out where they are not known"
                )

    def level(self, num_costs: int) -> float:
        """Error rate of each single bound."""
        return self.error_rate / (1 + num_costs)

    def claims(self, costs: Sequence[CostConfig]) -> tuple[CostClaim, ...]:
        """The costs that are to be shown within their budgets: those of the run, and those that only the gate has.

        Raises:
            ConfigError: a budget can never be shown, or a cost's range is missing.
        """
        own = {cost.name: cost for cost in costs}
        names = list(dict.fromkeys([*own, *self.budgets]))
        for name in self.max_costs:
            if name not in names:
                raise ConfigError(f"gate.max_costs.{name} would be ignored: {name!r} has no budget; give it one")
        return tuple(self._claim(name, own.get(name), self.level(len(names))) for name in names)

    def _claim(self, name: str, cost: CostConfig | None, level: float) -> CostClaim:
        per: Per = "episode" if cost is None else cost.per
        budget = self.budgets[name] if name in self.budgets or cost is None else cost.budget
        if name not in self.max_costs:
            raise ConfigError(
                f"gate.max_costs.{name} is missing: say the most that an episode can cost (of a cost of at most 1 a "
                "step, the length of the longest episode), or .inf where nobody can say"
            )
        most = self.max_costs[name]
        if not 0 < budget < math.inf:
            raise ConfigError(
                f"gate.budgets.{name} must be > 0 and finite, got {budget:g}: no number of episodes shows that a cost "
                "is never met; give the gate a small budget"
            )
        if not most > budget:
            raise ConfigError(f"gate.max_costs.{name} must be above the budget of {budget:g}, got {most:g}")
        # A step's budget goes further the longer an episode is, which is not known here.
        if math.isfinite(most) and per == "episode":
            needed = num_alike(1.0, (most - budget) / most, level, is_bold=True)
            if needed > self.num_episodes:
                raise ConfigError(
                    f"gate.num_episodes: nothing could ever pass: even a policy that costs nothing needs {needed:,} "
                    f"episodes to show {name} within {budget:g} of at most {most:g}, got {self.num_episodes:,}"
                )
        return CostClaim(name=name, budget=budget, per=per, most=most)


def check_gate(gate: ControlGateConfig | None, costs: Sequence[CostConfig]) -> None:
    """Refuse a gate that cannot be, before a run with it begins.

    Raises:
        ConfigError: names what.
    """
    if gate is not None:
        gate.claims(costs)
