"""Policies of a run act anew, as they did or in situations unlike those.

Shapes: T steps, N environments, O observation numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from heeler.core.rollout import Rollout
from heeler.envs import World, make
from heeler.envs.mujoco_gravity import has_gravity, make_heavier
from heeler.loop.config import RunConfig
from heeler.loop.reading import shield_of
from heeler.models.actions import CategoricalHead
from heeler.models.policy import Policy
from heeler.rollouts.collector import Collector


@dataclass(frozen=True, kw_only=True)
class Situation:
    """In what a policy acts."""

    name: str
    observation_noise: float = 0.0
    """Added to what the policy sees, in spreads of each number."""
    action_noise: float = 0.0
    """Added to what it does, in halves of an action's range; of choices, the share that chance makes."""
    gravity: float = 1.0
    """Times what it was."""


AS_TRAINED = Situation(name="as it learned")
UNLIKE = (
    Situation(name="it sees badly", observation_noise=0.3),
    Situation(name="its actions slip", action_noise=0.4),
    Situation(name="gravity is half as strong again", gravity=1.5),
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where policies of a run act."""

    config: RunConfig
    shield: Mapping[str, Tensor]
    """What the run's shield has learned."""
    num_envs: int
    num_steps: int
    seed: int

    def offers(self, situation: Situation) -> bool:
        """Whether the world can be so."""
        return situation.gravity == 1.0 or has_gravity(self.config.env)

    def act(self, policy: Policy, situation: Situation = AS_TRAINED, spread_O: np.ndarray | None = None) -> Rollout:
        """Steps of a policy as it explored, behind the run's shield; the same seed begins the same episodes.

        Args:
            policy: who acts.
            situation: in which.
            spread_O: of what it usually sees; only for noise.
        """
        env = replace(self.config.env, num_envs=self.num_envs)
        world: World = (
            make_heavier(env, self.seed, situation.gravity) if situation.gravity != 1.0 else make(env, self.seed)
        )
        shield = None
        try:
            shield = shield_of(self.config, env, world, self.shield)
            collector = Collector(world, self.num_steps, record_snapshots=False, shield=shield)
            collector.reset(self.seed)
            actor = policy
            if situation.observation_noise or situation.action_noise:
                assert spread_O is not None
                actor = Disturbed(policy, situation, spread_O, self.seed)
            return collector.collect(actor, torch.Generator().manual_seed(self.seed), 0)
        finally:
            world.close()
            if shield is not None:
                shield.close()


class Disturbed(Policy):
    """A policy that sees badly, or whose actions slip, whose networks it shares.

    Args:
        policy: that acts.
        situation: how it is disturbed.
        spread_O: of what it usually sees.
        seed: of the noise.
    """

    def __init__(self, policy: Policy, situation: Situation, spread_O: np.ndarray, seed: int) -> None:
        with torch.random.fork_rng():
            super().__init__(policy.config, policy.observation_size, policy.action_space)
        self.load_tensors(policy.tensors())
        self._situation, self._chance = situation, np.random.default_rng(seed)
        self._spread_O = spread_O.astype(np.float32)

    @torch.no_grad()
    def act(self, observation: np.ndarray, noise: Tensor | None, allowed_BL: np.ndarray | None = None) -> Tensor:
        """Actions [B, A]."""
        blur = self._chance.standard_normal(observation.shape).astype(np.float32) * self._spread_O
        action_BA = super().act(observation + self._situation.observation_noise * blur, noise, allowed_BL)
        share = self._situation.action_noise
        if not share:
            return action_BA
        if isinstance(self.action_space, Box):
            low, high = self.action_space.low, self.action_space.high
            half_A = np.where(np.isfinite(high - low), (high - low) / 2, 1.0).ravel()
            slip = self._chance.standard_normal(tuple(action_BA.shape)) * half_A * share
            return action_BA + torch.from_numpy(slip).to(action_BA.dtype)
        # Where only some choices are allowed, chance may not choose among all.
        if allowed_BL is not None or not isinstance(self.head, CategoricalHead):
            return action_BA
        slips_B1 = torch.from_numpy(self._chance.random((len(action_BA), 1)) < share)
        others_BA = torch.from_numpy(self._chance.integers(self.head.num_choices, size=tuple(action_BA.shape)))
        return torch.where(slips_B1, others_BA, action_BA)


def first_episodes(rollout: Rollout) -> np.ndarray:
    """[T, N] bool: steps of the episode that each environment began with."""
    return rollout.episode_index == rollout.episode_index[0]


@torch.no_grad()
def kl_of_step(policy: Policy, first: Policy, rollout: Rollout) -> float:
    """Mean KL(policy ‖ first) of a step, where `policy` went, in nats."""
    observation = torch.from_numpy(rollout.observation[:-1].reshape(-1, policy.observation_size))
    here, there = (each.actor(each.normalize(observation.clone())) for each in (policy, first))
    return float(policy.head.kl(here, policy.log_std, there, first.log_std).clamp_min(0).mean())
