"""Reward-constrained policy optimisation (Tessler et al. 2019, arXiv 1805.11074).

The costs at their prices are taken off the reward, and PPO learns from what is left: prices act there and nowhere else.
"""

from dataclasses import dataclass, field

import numpy as np

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.core.rollout import Rollout
from heeler.safety.multipliers import MultiplierConfig


@dataclass(frozen=True, kw_only=True)
class RCPOConfig:
    """Settings beside those of PPO."""

    multiplier: MultiplierConfig = field(default_factory=lambda: MultiplierConfig(rule="adam", learning_rate=0.035))
    """How the price of a cost moves."""


class RCPO(ConstrainedPPO[RCPOConfig]):
    """The learner."""

    def priced_reward(self, state: ConstrainedState, rollout: Rollout, reward: np.ndarray) -> np.ndarray:
        """[T, N]: the reward less each cost, in its unit, at its price."""
        scale_C = np.array([cost.scale for cost in self.costs])
        price_C = np.array([one.value for one in state.multipliers])
        return reward - state.meter.of(rollout) @ (price_C / scale_C)
