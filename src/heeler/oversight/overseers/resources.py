"""The charge *resources*: what an agent uses up, held within budgets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError, DataError, did_you_mean
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Proposals


@dataclass(frozen=True, kw_only=True)
class ResourceBudget:
    """How much of something may be used up."""

    name: str
    """Of what is used, as `Evidence.spent` has it. Of steps in a world: `steps` and `energy` (squared actions, summed)
    of the episode, its costs by their names, `seconds` of the run and `compute` seconds of its processor, and `money`,
    which is `compute` at `OverseersConfig.money_per_hour`. Of texts: `words` and `characters`."""
    limit: float
    """The most that there may be, this step included."""
    decision: Literal["veto", "halt"] = "veto"
    """What becomes of a step that would use more."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a budget needs the name of what is used up")
        if not 0 <= self.limit < math.inf:
            raise ConfigError(f"budget {self.name!r}: limit must be >= 0 and finite, got {self.limit}")
        if self.decision not in ("veto", "halt"):
            raise ConfigError(f"budget {self.name!r}: decision must be veto or halt, got {self.decision!r}")


class Resources:
    """Objects to a step, or a text, with which more would be used up than there is.

    Args:
        budgets: at least one, each of something else.
        name: of the overseer.

    Raises:
        ConfigError: there is no budget, or two are of one thing.
    """

    is_bounded = True

    def __init__(self, budgets: Sequence[ResourceBudget], *, name: str = "resources") -> None:
        names = [budget.name for budget in budgets]
        if not names:
            raise ConfigError("resources needs at least one budget: without any it would let everything pass")
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise ConfigError(f"{twice[0]!r} has two budgets; give it one")
        self.name = name
        # Those that halt are looked at first, and the first that is overdrawn counts.
        self.budgets = tuple(sorted(budgets, key=lambda budget: budget.decision != "halt"))

    def review(self, evidence: Evidence) -> Verdict:
        """Judge a step or a text by every budget."""
        for budget in self.budgets:
            spent = evidence.spent.get(budget.name)
            if spent is None:
                raise DataError(_unknown(budget.name, list(evidence.spent)))
            if not spent <= budget.limit:
                return _overdrawn(budget, spent)
        return ALLOW

    def review_all(self, proposals: Proposals) -> list[Verdict]:
        """Judge N steps."""
        verdicts = [ALLOW] * len(proposals)
        for budget in self.budgets:
            if budget.name not in proposals.spent:
                raise DataError(_unknown(budget.name, list(proposals.spent)))
            spent = proposals.spent[budget.name]
            is_within = spent <= budget.limit
            for number in () if is_within.all() else np.flatnonzero(~is_within).tolist():
                if verdicts[number] is ALLOW:
                    verdicts[number] = _overdrawn(budget, float(spent[number]))
        return verdicts


def _overdrawn(budget: ResourceBudget, spent: float) -> Verdict:
    reason = f"{budget.name} would come to {spent:.6g}, and the budget is {budget.limit:.6g}"
    evidence = {"resource": budget.name, "spent": spent if math.isfinite(spent) else None, "limit": budget.limit}
    return Verdict(decision=budget.decision, reason=reason, evidence=evidence)


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"nothing tells how much of {name!r} is used.{did_you_mean(name, known)} Told are: {', '.join(known)}"
