"""Behavioural cloning (Pomerleau 1991): the policy under which what was shown is likeliest.

Some episodes are held out. The policy that acts is always the one under which those were likeliest so far, and learning
ends where that has not risen for a while. Shapes: B steps, O observation numbers, A action numbers, L policy outputs.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations, held_out
from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import Policy, PolicyConfig

# Numbers that never change are shown to the networks as they are, not as noise scaled up.
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, kw_only=True)
class BCConfig:
    """Settings of behavioural cloning."""

    learning_rate: float = 1e-3
    """Adam's step at the start."""
    final_learning_rate_share: float = 0.1
    """Share of `learning_rate` left at the last update; annealed linearly."""
    num_epochs: int = 10
    """Passes over what was shown in one update."""
    minibatch_size: int = 256
    """Steps in one gradient step."""
    weight_decay: float = 0.0
    """How strongly weights are drawn to nought."""
    max_gradient_norm: float = 10.0
    """Gradients longer than this are shortened to it."""
    least_log_std: float = -4.0
    """Box actions' log standard deviation does not fall below this: an expert without noise would drive it for ever."""
    validation_share: float = 0.1
    """Share of the episodes that are held out; 0 for none, which learns to the end."""
    patience: int = 50
    """Learning ends when held-out episodes have not become likelier for so many passes."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "num_epochs", "minibatch_size", "max_gradient_norm", "patience"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not 0 <= self.validation_share < 1:
            raise ConfigError(f"validation_share must be at least 0 and below 1, got {self.validation_share}")
        if not 0 <= self.final_learning_rate_share <= 1:
            raise ConfigError(
                f"final_learning_rate_share must be between 0 and 1, got {self.final_learning_rate_share}"
            )
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError(f"weight_decay must be >= 0 and finite, got {self.weight_decay}")
        if not math.isfinite(self.least_log_std):
            raise ConfigError(f"least_log_std must be finite, got {self.least_log_std}")


class Shown(NamedTuple):
    """What is cloned."""

    observation_BO: Tensor
    """As the world gives them."""
    action_BA: Tensor
    held_out_B: Tensor
    """Booleans."""


@dataclass
class BCState:
    """All that learning changes."""

    policy: Policy
    """With the best weights so far."""
    parameters: FlatParameters
    """Of the actor and the spread; the value network learns nothing."""
    optimizer: Adam
    latest_flat: Tensor
    """The weights that learning goes on from."""
    generator: torch.Generator
    """Shuffles minibatches."""
    best_log_prob: float = -math.inf
    """Mean log-likelihood of a held-out step under the best weights."""
    num_stale_epochs: int = 0
    """Passes since it rose."""
    num_epochs: int = 0
    num_updates: int = 0
    pace: float = 1.0
    """Share of its learning rate that an update may use at present; no part of what checkpoints hold."""


class BC:
    """The learner. `update` looks at no rollout: what the policy does meanwhile is only watched.

    Args:
        config: settings.
        policy_config: shape of the policy.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world; None where `fit` is given what is cloned.

    Raises:
        ConfigError: episodes are to be held out, and there is one alone.
    """

    def __init__(
        self,
        config: BCConfig,
        policy_config: PolicyConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations | None,
    ) -> None:
        self.config, self.policy_config = config, policy_config
        self.observation_size, self.action_space = observation_size, action_space
        self.shown: Shown | None = None
        if demonstrations is not None:
            self.shown = shown_steps(demonstrations, config.validation_share)

    def init(self, seed: int, num_envs: int) -> BCState:
        """A fresh policy that knows how observations are spread in what was shown."""
        policy = self.fresh_policy(seed)
        if self.shown is not None:
            learn_spread(policy, self.shown)
        parameters = FlatParameters([*policy.actor.parameters(), policy.log_std])
        optimizer = Adam(
            parameters.flat, learning_rate=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        latest = parameters.flat.detach().clone()
        return BCState(policy, parameters, optimizer, latest, torch.Generator().manual_seed(seed))

    def fresh_policy(self, seed: int) -> Policy:
        """The policy that `init` begins with."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(self.policy_config, self.observation_size, self.action_space)

    def update(
        self, state: BCState, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[BCState, dict[str, float]]:
        """Some passes over what was shown; none once learning has ended. The policy is changed in place."""
        assert self.shown is not None
        state, metrics = self.fit(state, self.shown, progress=progress)
        state.num_updates += 1
        return state, metrics

    def fit(self, state: BCState, shown: Shown, *, progress: float) -> tuple[BCState, dict[str, float]]:
        """`num_epochs` passes over `shown`, or fewer where learning ends; the policy is left with the best weights."""
        config, flat = self.config, state.parameters.flat
        share = config.final_learning_rate_share + (1 - config.final_learning_rate_share) * (1 - progress)
        state.optimizer.learning_rate = config.learning_rate * share * state.pace
        train = _normalized(state.policy, shown, ~shown.held_out_B)
        judged = _normalized(state.policy, shown, shown.held_out_B)
        best = flat.detach().clone()
        flat.data.copy_(state.latest_flat)
        log_prob = math.nan
        for _ in range(config.num_epochs):
            if state.num_stale_epochs >= config.patience:
                break
            log_prob = self._epoch(state, *train)
            state.num_epochs += 1
            if len(judged[0]) == 0:
                best = flat.detach().clone()
                continue
            held_out_log_prob = mean_log_prob(state.policy, *judged)
            state.num_stale_epochs += 1
            if held_out_log_prob > state.best_log_prob:
                state.best_log_prob, state.num_stale_epochs = held_out_log_prob, 0
                best = flat.detach().clone()
        state.latest_flat = flat.detach().clone()
        flat.data.copy_(best)
        metrics = {"cloning_epochs": float(state.num_epochs)}
        metrics |= {} if math.isnan(log_prob) else {"cloning_log_prob": log_prob}
        return state, metrics | ({"held_out_log_prob": state.best_log_prob} if len(judged[0]) else {})

    def _epoch(self, state: BCState, observation_BO: Tensor, action_BA: Tensor) -> float:
        """One pass; returns the mean log-likelihood of a step, each as its gradient step found it."""
        order = torch.randperm(len(observation_BO), generator=state.generator)
        size, policy = self.config.minibatch_size, state.policy
        total = torch.zeros(())
        for observation, action in zip(observation_BO[order].split(size), action_BA[order].split(size), strict=True):
            state.parameters.zero_grad()
            log_prob_B, _ = policy.head.log_prob_entropy(policy.actor(observation), policy.log_std, action)
            (-log_prob_B.mean()).backward()
            state.parameters.clip_grad_norm(self.config.max_gradient_norm)
            state.optimizer.step()
            policy.log_std.data.clamp_(min=self.config.least_log_std)
            total += log_prob_B.detach().sum()
        return float(total) / len(order)

    def tensors(self, state: BCState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"policy.{name}": tensor for name, tensor in state.policy.tensors().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        counts = torch.tensor([state.num_stale_epochs, state.num_epochs, state.num_updates])
        best = torch.tensor(state.best_log_prob, dtype=torch.float64)
        own = {"latest": state.latest_flat, "best_log_prob": best, "counts": counts}
        return tensors | own | {"generator": state.generator.get_state()}

    def load_tensors(self, state: BCState, tensors: dict[str, Tensor]) -> BCState:
        """Go on from what `tensors` returned, bit for bit."""
        state.policy.load_tensors(under("policy.", tensors))
        state.optimizer.load_tensors(under("optimizer.", tensors))
        state.latest_flat = tensors["latest"].clone()
        state.best_log_prob = float(tensors["best_log_prob"])
        state.num_stale_epochs, state.num_epochs, state.num_updates = tensors["counts"].tolist()
        state.generator.set_state(tensors["generator"])
        return state


def shown_steps(demonstrations: Demonstrations, validation_share: float) -> Shown:
    """All steps, those of some whole episodes held out.

    Raises:
        ConfigError: episodes are to be held out, and there is one alone.
    """
    if validation_share > 0 and len(demonstrations) < 2:
        raise ConfigError(
            f"validation_share holds out whole episodes, and {demonstrations.source} has one alone; set it to 0, or "
            "give more demonstrations"
        )
    steps = demonstrations.steps
    held = held_out(steps.episode, validation_share)
    return Shown(*(torch.from_numpy(array) for array in (steps.observation, steps.action, held)))


def learn_spread(policy: Policy, shown: Shown) -> None:
    """Have the policy normalise observations by how those that it learns from are spread."""
    policy.moments = RunningMoments(policy.observation_size)
    policy.moments.update(shown.observation_BO[~shown.held_out_B])
    variance = policy.moments.variance
    policy.moments.variance = torch.where(variance < _LEAST_VARIANCE, torch.ones_like(variance), variance)
    policy.refresh_normalization()


@torch.no_grad()
def mean_log_prob(policy: Policy, normalized_BO: Tensor, action_BA: Tensor) -> float:
    """Mean log-likelihood of a step, by what the policy is now.

    Args:
        policy: whose actor is asked.
        normalized_BO: observations that `policy.normalize` returned.
        action_BA: what was done.
    """
    log_prob_B, _ = policy.head.log_prob_entropy(policy.actor(normalized_BO), policy.log_std, action_BA)
    return float(log_prob_B.mean())


def _normalized(policy: Policy, shown: Shown, rows_B: Tensor) -> tuple[Tensor, Tensor]:
    return policy.normalize(shown.observation_BO[rows_B]), shown.action_BA[rows_B]
