"""One fixed weight for all costs, taken off the reward: the naive way to compare with. Nobody knows a right weight."""

import math
from dataclasses import dataclass

import numpy as np

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout


@dataclass(frozen=True, kw_only=True)
class FixedPenaltyConfig:
    """Settings beside those of PPO."""

    weight: float = 1.0
    """What one unit of any cost takes off the reward; budgets move nothing here."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ConfigError(f"fixed_penalty.weight must be >= 0 and finite, got {self.weight}")


class FixedPenalty(ConstrainedPPO[FixedPenaltyConfig]):
    """The learner."""

    def priced_reward(self, state: ConstrainedState, rollout: Rollout, reward: np.ndarray) -> np.ndarray:
        """[T, N]: the reward less all costs at the one weight."""
        return reward - self.own.weight * state.meter.of(rollout).sum(-1)
