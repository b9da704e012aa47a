"""Who acts while DAgger learns: at each step the expert or the policy, as chance has it.

Shapes: T steps, N environments, K noise numbers of an action.
"""

import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.dagger import Expert
from heeler.models.policy import Policy


class Mixture(Policy):
    """Acts by an expert with some probability at each step, else by a policy, whose networks it shares.

    Args:
        policy: the learner's.
        expert: is asked about all environments at once.
        expert_share: beta, the probability.
    """

    def __init__(self, policy: Policy, expert: Expert, expert_share: float) -> None:
        with torch.random.fork_rng():
            super().__init__(policy.config, policy.observation_size, policy.action_space)
        self.load_tensors(policy.tensors())
        self._expert, self._share = expert, expert_share

    def rollout_noise(self, num_steps: int, num_envs: int, generator: torch.Generator) -> Tensor:
        """[T, N, K + 1]: the policy's own, and what decides who acts."""
        own_TNK = super().rollout_noise(num_steps, num_envs, generator)
        return torch.cat([own_TNK, torch.rand(num_steps, num_envs, 1, generator=generator)], -1)

    @torch.no_grad()
    def act(self, observation: np.ndarray, noise: Tensor | None, allowed_BL: np.ndarray | None = None) -> Tensor:
        """Actions [N, A]; the expert does not ask which choices there are."""
        if noise is None:
            return super().act(observation, None, allowed_BL)
        own_NA = super().act(observation, noise[..., :-1], allowed_BL)
        expert_NA = torch.from_numpy(self._expert(observation)).to(own_NA.dtype)
        return torch.where(noise[..., -1:] < self._share, expert_NA, own_NA)
