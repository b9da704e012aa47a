"""PPO whose advantage takes each cost at its price (Ray et al. 2019, "Benchmarking safe exploration in deep RL").

Beside the paper: the price may move by Adam or by a PID rule (Stooke et al. 2020, arXiv 2007.03964), there may be
several costs, and each has a critic with a discount of its own.
"""

from dataclasses import dataclass, field

import numpy as np

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.algorithms.ppo import PPOState, Samples
from heeler.core.rollout import Rollout
from heeler.ops.constrained import lagrangian_advantage
from heeler.safety.multipliers import MultiplierConfig


@dataclass(frozen=True, kw_only=True)
class PPOLagrangianConfig:
    """Settings beside those of PPO."""

    multiplier: MultiplierConfig = field(default_factory=MultiplierConfig)
    """How the price of a cost moves."""


class PPOLagrangian(ConstrainedPPO[PPOLagrangianConfig]):
    """The learner."""

    def _prepare(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> tuple[Samples, float]:
        assert isinstance(state, ConstrainedState)
        samples, explained = super()._prepare(state, rollout, reward)
        advantage_B = lagrangian_advantage(samples.advantage_B, samples.cost_advantage_BC, self.prices(state))
        return samples._replace(advantage_B=advantage_B), explained
