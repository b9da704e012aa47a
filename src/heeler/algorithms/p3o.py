"""P3O (Zhang et al. 2022, arXiv 2205.11814): a penalty that is exact, so that no price has to be found.

The clipped surrogate of the reward, and for each cost the clipped surrogate of what it rises by, above what its budget
leaves, times one coefficient that is higher than any price could have to be.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.algorithms.ppo import PPOState, Samples
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.policy import Policy
from heeler.ops.constrained import clipped_cost_surrogates, exact_penalty


@dataclass(frozen=True, kw_only=True)
class P3OConfig:
    """Settings beside those of PPO."""

    coefficient: float = 20.0
    """Kappa: what excess over a budget is charged, in spreads of advantages."""

    def __post_init__(self) -> None:
        if not 0 < self.coefficient < math.inf:
            raise ConfigError(f"p3o.coefficient must be > 0 and finite, got {self.coefficient}")


class P3O(ConstrainedPPO[P3OConfig]):
    """The learner."""

    def _prepare(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> tuple[Samples, float]:
        assert isinstance(state, ConstrainedState)
        prepared = super()._prepare(state, rollout, reward)
        self._excess_C = self.excess(state)
        return prepared

    def policy_loss(self, policy: Policy, batch: Samples, clip: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """PPO's, and the penalty."""
        loss, surrogate, entropy, log_prob_B = super().policy_loss(policy, batch, clip)
        rise_C = clipped_cost_surrogates(log_prob_B, batch.log_prob_B, batch.cost_advantage_BC, clip=clip)
        penalty = exact_penalty(rise_C, self._excess_C, coefficient=self.own.coefficient)
        return loss + penalty, surrogate, entropy, log_prob_B
