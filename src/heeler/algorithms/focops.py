"""First-order constrained optimisation in policy space (Zhang et al. 2020, arXiv 2002.06506).

Steps towards the policy that would be best within a KL of the one that acted, with the costs at their prices. Beside
the paper: several costs, any rule for the prices, and advantages in units of their spread.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.ppo import PPOState, Samples
from heeler.algorithms.ppo_lagrangian import PPOLagrangian
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.policy import Policy
from heeler.ops.constrained import focops_loss
from heeler.safety.multipliers import MultiplierConfig


@dataclass(frozen=True, kw_only=True)
class FOCOPSConfig:
    """Settings beside those of PPO, whose `clip` and `anneal_clip` have no part in it."""

    multiplier: MultiplierConfig = field(default_factory=MultiplierConfig)
    """How the price of a cost moves."""
    temperature: float = 1.5
    """Tau (the paper's lambda): what a nat of KL costs."""
    max_kl: float = 0.02
    """Delta: samples whose policy is further than this from the one that acted teach nothing."""

    def __post_init__(self) -> None:
        for name in ("temperature", "max_kl"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"focops.{name} must be > 0 and finite, got {getattr(self, name)}")


class FOCOPS(PPOLagrangian):
    """The learner."""

    own: FOCOPSConfig

    @torch.no_grad()
    def _prepare(self, state: PPOState, rollout: Rollout, reward: np.ndarray) -> tuple[Samples, float]:
        samples, explained = super()._prepare(state, rollout, reward)
        self._acted_log_std = state.policy.log_std.detach().clone()
        self._max_kl = self.own.max_kl * state.pace
        return samples._replace(acted_BL=state.policy.output(samples.observation_BO, samples.allowed_BL)), explained

    def policy_loss(self, policy: Policy, batch: Samples, clip: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """FOCOPS's; beside it what PPO gives."""
        output_BL = policy.output(batch.observation_BO, batch.allowed_BL)
        log_prob_B, entropy = policy.head.log_prob_entropy(output_BL, policy.log_std, batch.action_BA)
        kl_B = policy.head.kl(output_BL, policy.log_std, batch.acted_BL, self._acted_log_std)
        loss = focops_loss(
            log_prob_B,
            batch.log_prob_B,
            kl_B,
            batch.advantage_B,
            temperature=self.own.temperature,
            max_kl=self._max_kl,
        )
        bonus = self.config.entropy_coefficient
        return loss - bonus * entropy if bonus else loss, loss, entropy, log_prob_B
