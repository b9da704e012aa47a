"""DAgger (Ross, Gordon and Bagnell 2011, arXiv 1011.0686): cloning what the expert would do where the policy went.

The expert is a policy, which is asked about a whole rollout at once, or people, whose answers are handed in. Which of
the two acts is drawn anew for every step: the expert with a probability that falls from update to update.
Shapes: B steps, O observation numbers, A action numbers, T steps of N environments.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.bc import BC, BCConfig, BCState, Shown, learn_spread
from heeler.core.demonstrations import Demonstrations, held_out
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.flat import FlatParameters
from heeler.models.policy import Policy, PolicyConfig

Expert = Callable[[np.ndarray], np.ndarray]
"""[B, A] what it does on [B, O] observations."""
NO_ANSWER = -1
"""Stands where a step's action is nobody's answer."""


@dataclass(frozen=True, kw_only=True)
class DAggerConfig:
    """Settings of DAgger."""

    cloning: BCConfig = field(default_factory=lambda: BCConfig(num_epochs=4))
    """How what was gathered is cloned, in each update anew."""
    initial_expert_share: float = 1.0
    """Beta: probability that the expert acts, in the first update."""
    expert_until: float = 0.25
    """Share of the run by which beta has fallen to nothing, linearly; 0 leaves the policy to act from the start."""
    max_steps: int = 200_000
    """Steps that are kept; beyond it those of the oldest rollouts are forgotten, never what was shown."""

    def __post_init__(self) -> None:
        for name in ("initial_expert_share", "expert_until"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps must be >= 1, got {self.max_steps}")

    def expert_share(self, progress: float) -> float:
        """Beta when so much of the run is over."""
        left = 1 - progress / self.expert_until if self.expert_until else 0.0
        return self.initial_expert_share * max(0.0, left)


@dataclass
class DAggerState:
    """All that learning changes."""

    cloned: BCState
    observation_BO: Tensor
    """Of all that was gathered, the oldest first."""
    action_BA: Tensor
    """The expert's there."""
    episode_B: Tensor
    """Numbers the episodes, those that were shown first: a validation split goes by it."""
    answer_B: Tensor
    """Position of the answer that a person gave; `NO_ANSWER` for other steps."""
    pace: float = 1.0
    """Share of its learning rate that an update may use at present; no part of what checkpoints hold."""

    @property
    def policy(self) -> Policy:
        """Acts."""
        return self.cloned.policy

    @property
    def parameters(self) -> FlatParameters:
        """What is learned of it."""
        return self.cloned.parameters

    @property
    def num_updates(self) -> int:
        """So far."""
        return self.cloned.num_updates


class DAgger:
    """The learner.

    Args:
        config: settings.
        policy_config: shape of the policy.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world; None to begin with nothing.
        expert: asked about every rollout; None where people are, whose answers `aggregate` takes.
    """

    def __init__(
        self,
        config: DAggerConfig,
        policy_config: PolicyConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations | None,
        expert: Expert | None,
    ) -> None:
        self.config, self.demonstrations, self.expert = config, demonstrations, expert
        self.observation_size, self.action_space = observation_size, action_space
        self.bc = BC(config.cloning, policy_config, observation_size, action_space, None)

    def init(self, seed: int, num_envs: int) -> DAggerState:
        """A fresh policy, and what was shown."""
        cloned, shown = self.bc.init(seed, num_envs), self.demonstrations
        if shown is None:
            size, dtype = cloned.policy.head.action_size, cloned.policy.head.action_dtype
            steps = (np.zeros((0, self.observation_size), np.float32), np.zeros((0, size), dtype), np.zeros(0, int))
        else:
            steps = (shown.steps.observation, shown.steps.action, shown.steps.episode)
        observation_BO, action_BA, episode_B = (torch.from_numpy(array) for array in steps)
        return DAggerState(cloned, observation_BO, action_BA, episode_B, torch.full((len(episode_B),), NO_ANSWER))

    def fresh_policy(self, seed: int) -> Policy:
        """The policy that `init` begins with."""
        return self.bc.fresh_policy(seed)

    def update(
        self, state: DAggerState, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[DAggerState, dict[str, float]]:
        """Ask the expert about a rollout, add what it says, and clone all of it; the policy is changed in place."""
        metrics: dict[str, float] = {}
        if self.expert is not None:
            metrics["expert_agreement"] = self._ask(state, rollout)
        if not len(state.episode_B):
            state.cloned.num_updates += 1
            return state, metrics | {"gathered_steps": 0.0}
        held = torch.from_numpy(held_out(state.episode_B.numpy(), self.config.cloning.validation_share))
        # Nothing to learn from would be worse than nothing to judge by.
        shown = Shown(state.observation_BO, state.action_BA, held if not held.all() else torch.zeros_like(held))
        learn_spread(state.policy, shown)
        # What is held out has grown: likelihoods of before cannot be compared with those of now.
        state.cloned.best_log_prob, state.cloned.num_stale_epochs = -float("inf"), 0
        state.cloned.pace = state.pace
        state.cloned, cloned = self.bc.fit(state.cloned, shown, progress=progress)
        state.cloned.num_updates += 1
        return state, metrics | cloned | {"gathered_steps": float(len(state.episode_B))}

    def _ask(self, state: DAggerState, rollout: Rollout) -> float:
        """Take in what the expert does where the policy went; returns how far the policy agreed with it."""
        assert self.expert is not None
        T, N = rollout.terminated.shape
        seen_BO = rollout.observation[:-1].reshape(T * N, -1)
        action_BA = self.expert(seen_BO)
        own_BA = state.policy.within_bounds(state.policy.act(seen_BO, None).numpy())
        num_shown = 0 if self.demonstrations is None else len(self.demonstrations)
        episode_TN = num_shown + rollout.episode_index * N + np.arange(N)
        self.aggregate(state, seen_BO, action_BA, episode_TN.ravel(), np.full(T * N, NO_ANSWER))
        if own_BA.dtype.kind == "i":
            return float((own_BA == action_BA).all(1).mean())
        return 1 - float(np.square(own_BA - action_BA).mean() / max(float(action_BA.var(0).mean()), 1e-12))

    def aggregate(
        self,
        state: DAggerState,
        observation_BO: np.ndarray,
        action_BA: np.ndarray,
        episode_B: np.ndarray,
        answer_B: np.ndarray,
    ) -> DAggerState:
        """Add what an expert does.

        Args:
            state: to add it to.
            observation_BO: where.
            action_BA: what.
            episode_B: numbers of the episodes.
            answer_B: positions of people's answers; `NO_ANSWER` for other steps.
        """
        state.observation_BO = torch.cat([state.observation_BO, torch.from_numpy(observation_BO.astype(np.float32))])
        action = torch.from_numpy(action_BA.astype(state.policy.head.action_dtype))
        state.action_BA = torch.cat([state.action_BA, action])
        state.episode_B = torch.cat([state.episode_B, torch.from_numpy(episode_B.astype(np.int64))])
        state.answer_B = torch.cat([state.answer_B, torch.from_numpy(answer_B.astype(np.int64))])
        num_shown = 0 if self.demonstrations is None else self.demonstrations.num_steps
        if (excess := len(state.episode_B) - max(self.config.max_steps, num_shown)) > 0:
            kept = torch.cat([torch.arange(num_shown), torch.arange(num_shown + excess, len(state.episode_B))])
            self._keep(state, kept)
        return state

    def without(self, state: DAggerState, answers: set[int], seed: int) -> DAggerState:
        """Begin the policy anew without the answers at these positions, which were withdrawn."""
        gone_B = torch.isin(state.answer_B, torch.tensor(sorted(answers)))
        if not gone_B.any():
            return state
        self._keep(state, torch.nonzero(~gone_B)[:, 0])
        # What the weights learned from them cannot be taken out of the weights.
        num_updates, state.cloned = state.cloned.num_updates, self.bc.init(seed, 1)
        state.cloned.num_updates = num_updates
        return state

    @staticmethod
    def _keep(state: DAggerState, rows: Tensor) -> None:
        for name in ("observation_BO", "action_BA", "episode_B", "answer_B"):
            setattr(state, name, getattr(state, name)[rows])

    def tensors(self, state: DAggerState) -> dict[str, Tensor]:
        """What a checkpoint keeps: the data too, as no expert is asked twice."""
        own = {
            "data.observation": state.observation_BO,
            "data.action": state.action_BA,
            "data.episode": state.episode_B,
            "data.answer": state.answer_B,
        }
        return self.bc.tensors(state.cloned) | own

    def load_tensors(self, state: DAggerState, tensors: dict[str, Tensor]) -> DAggerState:
        """Go on from what `tensors` returned, bit for bit."""
        state.cloned = self.bc.load_tensors(state.cloned, tensors)
        state.observation_BO, state.action_BA = tensors["data.observation"], tensors["data.action"]
        state.episode_B, state.answer_B = tensors["data.episode"], tensors["data.answer"]
        return state
