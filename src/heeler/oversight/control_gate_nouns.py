"""What the gate of policies is shown and what it says. Shapes: K episodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from heeler.oversight.betting import Floats

Method = Literal["betting", "student"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Episodes:
    """Fresh episodes of one policy."""

    returns: Floats
    """[K] sums of true reward."""
    lengths: Floats
    """[K] steps."""
    costs: Mapping[str, Floats]
    """[K] sums each."""
    num_halted: int = 0
    """Of them, that overseers ended."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        costs = {name: values.tolist() for name, values in self.costs.items()}
        told = {"returns": self.returns.tolist(), "lengths": self.lengths.tolist(), "costs": costs}
        # Records of gates without overseers stay as they always were.
        return told | ({"num_halted": self.num_halted} if self.num_halted else {})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Episodes":
        """What `to_json` returned."""
        costs = {str(name): np.array(some, np.float64) for name, some in values["costs"].items()}
        returns, lengths = (np.array(values[name], np.float64) for name in ("returns", "lengths"))
        return cls(returns=returns, lengths=lengths, costs=costs, num_halted=int(values.get("num_halted", 0)))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one claim has shown. A bound that nothing can be said of is None."""

    name: str
    """`return`, or a cost's."""
    method: Method
    limit: float
    """The budget; of the return, what the difference must not be below."""
    estimate: float
    """Mean cost an episode or step; of the return, the mean difference, above 0 where the candidate is better."""
    low: float | None
    high: float | None
    """Bounds, each of which fails with the level's probability."""
    is_shown: bool
    problem: str = ""
    """Why nothing can be shown, whatever the estimate."""


@dataclass(frozen=True, kw_only=True)
class ControlGateResult:
    """What the gate says."""

    passed: bool
    reasons: tuple[str, ...]
    """In plain words."""
    shown: tuple[Shown, ...]
    """Of the return, then of each cost."""
    means: Mapping[str, float]
    """Mean returns: `candidate` and `current`; and `candidate_low`, a lower bound of the candidate's, at the level."""
