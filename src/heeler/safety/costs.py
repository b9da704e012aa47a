"""Costs beside the reward, each held within a budget of its own, and how what they come to is measured."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.rollout import Rollout, cost_figure

Per = Literal["episode", "step"]
WORLD, ANSWERS = "world", "answers"
"""Sources of costs beside functions."""
_NUM_LATEST = 100
"""Ended episodes whose mean length is taken."""


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """One cost and what it may come to."""

    name: str
    """One of the world's `cost_names`; of a cost from elsewhere, a name of its own."""
    budget: float
    """What it may come to on average, in the cost's own unit and not discounted."""
    per: Per = "episode"
    """Whether the budget is for the sum over an episode or for one step."""
    aim: float = 1.0
    """Share of the budget that learning aims at. What it aims at is met on average: below 1 leaves room for the runs
    that come out above it."""
    discount: float = 0.99
    """Gamma of the cost's own critic: how far ahead learning looks for it. The budget knows no discount."""
    trace_decay: float = 0.95
    """Lambda of the cost's own advantages."""
    unit: float | None = None
    """What excess over the budget is measured in by the multiplier: None for the budget itself, or for 1 where that is
    0. So a cost in other units, with its budget in them too, is held in the same way."""
    source: str = WORLD
    """Where it comes from: `world`; a function `FILE.py:NAME` or `MODULE:NAME`, called as `f(observation, action,
    next_observation) -> [B]` on many steps at once; or `answers`, learned from those who say what was unsafe
    (`limits.answers`)."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a cost needs a name: one of the world's")
        if not 0 <= self.budget < math.inf:
            raise ConfigError(f"cost {self.name!r}: budget must be >= 0 and finite, got {self.budget}")
        if self.per not in get_args(Per):
            raise ConfigError(f"cost {self.name!r}: per must be one of {', '.join(get_args(Per))}, got {self.per!r}")
        if not 0 < self.aim <= 1:
            raise ConfigError(f"cost {self.name!r}: aim must be above 0 and at most 1, got {self.aim}")
        for name in ("discount", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"cost {self.name!r}: {name} must be between 0 and 1, got {getattr(self, name)}")
        if self.source not in (WORLD, ANSWERS) and ":" not in self.source:
            raise ConfigError(
                f"cost {self.name!r}: source must be {WORLD}, {ANSWERS}, FILE.py:NAME or MODULE:NAME, got "
                f"{self.source!r}"
            )
        if self.unit is not None and not 0 < self.unit < math.inf:
            raise ConfigError(f"cost {self.name!r}: unit must be > 0 and finite, or None, got {self.unit}")

    @property
    def aimed(self) -> float:
        """What learning aims at, in the unit of the budget."""
        return self.aim * self.budget

    @property
    def scale(self) -> float:
        """The unit that is taken."""
        return self.unit if self.unit is not None else self.budget or 1.0


def all_cost_names(costs: Sequence[CostConfig], world_names: Sequence[str]) -> tuple[str, ...]:
    """The world's costs, and after them those that come from elsewhere: the order of a rollout's.

    Raises:
        ConfigError: one from elsewhere is called as one of the world's.
    """
    own = [cost.name for cost in costs if cost.source != WORLD]
    for name in own:
        if name in world_names:
            raise ConfigError(f"cost {name!r}: the world counts one of that name itself; call this one something else")
    return (*world_names, *dict.fromkeys(own))


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
        self.totals = np.zeros(len(self.columns))
        """[C] what all steps so far have cost."""
        self.num_over = np.zeros(len(self.columns))
        """[C] ended episodes so far that cost more than the budget."""

    def add(self, rollout: Rollout) -> list[float | None]:
        """Take in a rollout; returns what each cost comes to in its budget's terms, None while no episode has ended."""
        t, n = rollout.final_index.T
        self.lengths.extend((rollout.episode_step[t, n] + 1).tolist())
        cost = self.of(rollout)
        self.rates = cost.mean((0, 1))
        self.totals = self.totals + cost.sum((0, 1))
        self.num_over = self.num_over + self._over(rollout)
        return [
            None if steps is None else float(rate) * steps
            for steps, rate in zip(self._steps(), self.rates, strict=True)
        ]

    def _over(self, rollout: Rollout) -> np.ndarray:
        """[C] episodes that ended in a rollout above the budget."""
        t, n = rollout.final_index.T
        lengths = rollout.episode_step[t, n] + 1
        counts = []
        for cost in self.costs:
            spent = rollout.episode_figures.get(cost_figure(cost.name), np.zeros(0))
            allowed = cost.budget * lengths if cost.per == "step" else np.full(len(lengths), cost.budget)
            counts.append(int((spent > allowed[: len(spent)]).sum()))
        return np.array(counts, np.float64)

    def excess_per_step(self) -> np.ndarray:
        """[C] by how much a step of the last rollout cost more than its share of what is aimed at; 0 while unknown."""
        return np.array(
            [
                0.0 if steps is None else rate - cost.aimed / steps
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

    def arrays(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        lengths = np.array(self.lengths, np.int64)
        return {"lengths": lengths, "totals": self.totals.copy(), "num_over": self.num_over.copy()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""
        self.lengths = deque((int(length) for length in arrays["lengths"]), maxlen=_NUM_LATEST)
        self.totals, self.num_over = arrays["totals"].copy(), arrays["num_over"].copy()
