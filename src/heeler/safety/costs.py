"""Costs beside the reward, each held within a budget of its own, and how what they come to is measured."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.rollout import Rollout

Per = Literal["episode", "step"]
_NUM_LATEST = 100
"""Ended episodes whose mean length is taken."""


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """One cost and what it may come to."""

    name: str
    """One of the world's `cost_names`."""
    budget: float
    """What it may come to on average, in the cost's own unit and not discounted."""
    per: Per = "episode"
    """Whether the budget is for the sum over an episode or for one step."""
    discount: float = 0.99
    """Gamma of the cost's own critic: how far ahead learning looks for it. The budget knows no discount."""
    trace_decay: float = 0.95
    """Lambda of the cost's own advantages."""
    unit: float | None = None
    """What excess over the budget is measured in by the multiplier: None for the budget itself, or for 1 where that is
    0. So a cost in other units, with its budget in them too, is held in the same way."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a cost needs a name: one of the world's")
        if not 0 <= self.budget < math.inf:
            raise ConfigError(f"cost {self.name!r}: budget must be >= 0 and finite, got {self.budget}")
        if self.per not in get_args(Per):
            raise ConfigError(f"cost {self.name!r}: per must be one of {', '.join(get_args(Per))}, got {self.per!r}")
        for name in ("discount", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"cost {self.name!r}: {name} must be between 0 and 1, got {getattr(self, name)}")
        if self.unit is not None and not 0 < self.unit < math.inf:
            raise ConfigError(f"cost {self.name!r}: unit must be > 0 and finite, or None, got {self.unit}")

    @property
    def scale(self) -> float:
        """The unit that is taken."""
        return self.unit if self.unit is not None else self.budget or 1.0


def check_costs(costs: Sequence[CostConfig], cost_names: Sequence[str], world: str) -> None:
    """Refuse budgets that no cost of the world answers to, and two for one cost.

    Raises:
        ConfigError: names the first.
    """
    if not costs:
        raise ConfigError("limits.costs must name at least one cost with its budget")
    seen: set[str] = set()
    for cost in costs:
        if cost.name not in cost_names:
            known = f"it has {', '.join(cost_names)}" if cost_names else "it has none"
            raise ConfigError(
                f"{world} has no cost {cost.name!r}; {known}.{did_you_mean(cost.name, cost_names)} A foreign world's "
                "are those of its infos that env.costs names"
            )
        if cost.name in seen:
            raise ConfigError(f"cost {cost.name!r} has two budgets; give it one")
        seen.add(cost.name)


class CostMeter:
    """What costs come to at present, from one rollout after another.

    A rollout's mean cost of a step times the mean length of an episode is what an episode costs (by renewal: each step
    belongs to one episode). That is known after each rollout, of the policy as it is, where sums over ended episodes
    would tell of what it was when they began.

    Args:
        costs: that are measured.
        cost_names: the world's, the order of a rollout's costs.
    """

    def __init__(self, costs: Sequence[CostConfig], cost_names: Sequence[str]) -> None:
        self.costs = tuple(costs)
        self.columns = [list(cost_names).index(cost.name) for cost in costs]
        self.lengths: deque[int] = deque(maxlen=_NUM_LATEST)
        self.rates = np.zeros(len(self.columns))
        """[C] mean cost of a step in the last rollout."""

    def add(self, rollout: Rollout) -> list[float | None]:
        """Take in a rollout; returns what each cost comes to in its budget's terms, None while no episode has ended."""
        t, n = rollout.final_index.T
        self.lengths.extend((rollout.episode_step[t, n] + 1).tolist())
        self.rates = self.of(rollout).mean((0, 1))
        return [
            None if steps is None else float(rate) * steps
            for steps, rate in zip(self._steps(), self.rates, strict=True)
        ]

    def excess_per_step(self) -> np.ndarray:
        """[C] by how much a step of the last rollout cost more than its share of the budget; 0 while unknown."""
        return np.array(
            [
                0.0 if steps is None else rate - cost.budget / steps
                for cost, steps, rate in zip(self.costs, self._steps(), self.rates, strict=True)
            ]
        )

    def _steps(self) -> list[float | None]:
        """How many steps each cost's budget is for."""
        length = float(np.mean(self.lengths)) if self.lengths else None
        return [1.0 if cost.per == "step" else length for cost in self.costs]

    def of(self, rollout: Rollout) -> np.ndarray:
        """[T, N, C]: the costs that are measured, in their order."""
        return rollout.cost[:, :, self.columns]

    def state(self) -> list[Any]:
        """JSON-ready values that a checkpoint keeps."""
        return list(self.lengths)

    def load(self, lengths: Sequence[Any]) -> None:
        """Go on from what `state` returned."""
        self.lengths = deque((int(length) for length in lengths), maxlen=_NUM_LATEST)
