"""SQIL (Reddy, Dragan and Levine 2020, arXiv 1905.11108): soft Q-learning from steps that are worth 1 where they were
shown and 0 where the policy made them, half of each in every minibatch.

For Discrete and MultiDiscrete actions the policy's logits are Q in units of the temperature, one sum over components;
for Box it is a soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) of two critics, of which the lower counts.
Left out of the latter: squashing. Actions are clipped as everywhere here, and the mean is drawn back within bounds.
Shapes: B steps, O observation numbers, A action numbers, L policy outputs, M critics.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.models.actions import CategoricalHead
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.optimizers import Adam
from heeler.models.policy import MLP, Policy, PolicyConfig
from heeler.ops.imitation import soft_target, soft_value


@dataclass(frozen=True, kw_only=True)
class SQILConfig:
    """Settings of SQIL."""

    learning_rate: float = 1e-3
    """Adam's step, of all networks."""
    num_gradient_steps: int = 64
    """After each rollout."""
    minibatch_size: int = 256
    """Steps in one of them, half shown and half the policy's own."""
    temperature: float = 1.0
    """What a nat of entropy is worth. For Box actions it is where it begins: it is learned, so that the entropy is that
    of `entropy_per_action`."""
    entropy_per_action: float = -1.0
    """For Box actions: nats of entropy that are held for each of an action's numbers."""
    target_rate: float = 0.01
    """Share by which the target networks follow in a gradient step."""
    capacity: int = 200_000
    """Own steps that are kept; the oldest make room."""
    critic_hidden_sizes: tuple[int, ...] = (128, 128)
    """Units of the critics' hidden layers, for Box actions."""
    max_gradient_norm: float = 10.0
    """Gradients longer than this are shortened to it."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "num_gradient_steps", "temperature", "capacity", "max_gradient_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be > 0 and finite, got {getattr(self, name)}")
        if self.minibatch_size < 2 or self.minibatch_size % 2:
            raise ConfigError(
                f"minibatch_size must be an even number, half shown and half own, got {self.minibatch_size}"
            )
        if not 0 < self.target_rate <= 1:
            raise ConfigError(f"target_rate must be above 0 and at most 1, got {self.target_rate}")
        if not math.isfinite(self.entropy_per_action):
            raise ConfigError(f"entropy_per_action must be finite, got {self.entropy_per_action}")
        if not self.critic_hidden_sizes or min(self.critic_hidden_sizes) < 1:
            raise ConfigError(
                f"critic_hidden_sizes must be one or more positive numbers, got {self.critic_hidden_sizes}"
            )


class Batch(NamedTuple):
    """Steps, shown ones and own ones alike; observations as the world gives them, as their normalisation moves."""

    observation_BO: Tensor
    action_BA: Tensor
    next_observation_BO: Tensor
    terminated_B: Tensor
    """1.0 where the episode ended in a terminal state."""


@dataclass
class Critics:
    """Q of Box actions."""

    networks: EnsembleMLP
    parameters: FlatParameters
    optimizer: Adam


@dataclass
class SQILState:
    """All that learning changes."""

    policy: Policy
    parameters: FlatParameters
    """Of the actor and the spread of Box actions."""
    optimizer: Adam
    critics: Critics | None
    """For Box actions."""
    targets: MLP | EnsembleMLP
    """What targets are computed by: follows the actor where its logits are Q, else the critics."""
    target_flat: Tensor
    """Its weights."""
    log_temperature: float
    own: Batch
    """The newest own steps, the oldest first."""
    generator: torch.Generator
    """Draws minibatches and actions."""
    num_updates: int = 0
    pace: float = 1.0
    """Share of its learning rate that an update may use at present; no part of what checkpoints hold."""


class SQIL:
    """The learner.

    Args:
        config: settings.
        policy_config: shape of the policy.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world.
        discount: gamma.
    """

    def __init__(
        self,
        config: SQILConfig,
        policy_config: PolicyConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations,
        *,
        discount: float,
    ) -> None:
        self.config, self.policy_config, self.discount = config, policy_config, discount
        self.observation_size, self.action_space = observation_size, action_space
        steps = demonstrations.steps
        arrays = (steps.observation, steps.action, steps.next_observation, steps.terminated.astype(np.float32))
        self.shown = Batch(*(torch.from_numpy(array) for array in arrays))

    def init(self, seed: int, num_envs: int) -> SQILState:
        """A fresh policy; observations are normalised by those that were shown, and then by all."""
        policy = self.fresh_policy(seed)
        policy.learn_observations(self.shown.observation_BO)
        parameters = FlatParameters([*policy.actor.parameters(), policy.log_std])
        critics = None
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            if isinstance(policy.head, CategoricalHead):
                sizes = (self.observation_size, *self.policy_config.hidden_sizes, policy.head.num_outputs)
                targets, learned = MLP(sizes, self.policy_config.activation, output_gain=0.01), parameters.flat
            else:
                shape = (2, self.observation_size + policy.head.action_size, self.config.critic_hidden_sizes, "relu")
                networks, targets = EnsembleMLP(*shape), EnsembleMLP(*shape)
                own = FlatParameters(networks)
                critics = Critics(networks, own, Adam(own.flat, learning_rate=self.config.learning_rate))
                learned = own.flat
        target_flat = FlatParameters(targets).flat.data
        target_flat.copy_(learned.detach())
        return SQILState(
            policy=policy,
            parameters=parameters,
            optimizer=Adam(parameters.flat, learning_rate=self.config.learning_rate),
            critics=critics,
            targets=targets,
            target_flat=target_flat,
            log_temperature=math.log(self.config.temperature),
            own=Batch(*(tensor[:0] for tensor in self.shown)),
            generator=torch.Generator().manual_seed(seed),
        )

    def fresh_policy(self, seed: int) -> Policy:
        """The policy that `init` begins with, before it has seen what was shown."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Policy(self.policy_config, self.observation_size, self.action_space)

    def update(
        self, state: SQILState, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[SQILState, dict[str, float]]:
        """Keep the rollout's steps and learn; the true reward is not looked at. Networks are changed in place."""
        own = _steps_of(rollout)
        state.own = Batch._make(
            torch.cat([old, new])[-self.config.capacity :] for old, new in zip(state.own, own, strict=True)
        )
        state.optimizer.learning_rate = self.config.learning_rate * state.pace
        if state.critics is not None:
            state.critics.optimizer.learning_rate = self.config.learning_rate * state.pace
        step = self._step_choices if state.critics is None else self._step_box
        losses = torch.stack([step(state, *self._minibatch(state)) for _ in range(self.config.num_gradient_steps)])
        if self.policy_config.normalize_observations:
            state.policy.learn_observations(own.observation_BO)
        state.num_updates += 1
        shown_value, own_value = (self._mean_value(state, batch) for batch in (self.shown, own))
        return state, {
            "soft_q_loss": float(losses.mean()),
            "shown_value": shown_value,
            "own_value": own_value,
            "temperature": math.exp(state.log_temperature),
        }

    def _minibatch(self, state: SQILState) -> tuple[Batch, Tensor]:
        """Half shown, worth 1; half own, worth 0. All normalised alike, by the policy's own statistics."""
        half = self.config.minibatch_size // 2
        rows = [torch.randint(len(b.terminated_B), (half,), generator=state.generator) for b in (self.shown, state.own)]
        mixed = Batch._make(torch.cat([a[rows[0]], b[rows[1]]]) for a, b in zip(self.shown, state.own, strict=True))
        normalize = state.policy.normalize
        batch = mixed._replace(
            observation_BO=normalize(mixed.observation_BO), next_observation_BO=normalize(mixed.next_observation_BO)
        )
        return batch, torch.cat([torch.ones(half), torch.zeros(half)])

    def _step_choices(self, state: SQILState, batch: Batch, reward_B: Tensor) -> Tensor:
        """One gradient step on the logits, which are Q."""
        policy, temperature = state.policy, self.config.temperature
        assert isinstance(policy.head, CategoricalHead)
        with torch.no_grad():
            next_value_B = temperature * soft_value(state.targets(batch.next_observation_BO), policy.head.num_choices)
            target_B = soft_target(reward_B, next_value_B, batch.terminated_B, discount=self.discount)
        state.parameters.zero_grad()
        q_B = temperature * chosen(policy.actor(batch.observation_BO), batch.action_BA, policy.head.num_choices)
        loss = 0.5 * (q_B - target_B).square().mean()
        loss.backward()
        state.parameters.clip_grad_norm(self.config.max_gradient_norm)
        state.optimizer.step()
        self._follow(state, state.parameters.flat)
        return loss.detach()

    def _step_box(self, state: SQILState, batch: Batch, reward_B: Tensor) -> Tensor:
        """One gradient step on the critics, one on the actor, and one of the temperature."""
        assert state.critics is not None
        critics, temperature = state.critics, math.exp(state.log_temperature)
        with torch.no_grad():
            action_BA, entropy, _ = self._act(state, batch.next_observation_BO)
            next_q_B = state.targets(torch.cat([batch.next_observation_BO, action_BA], -1)).amin(0)
            next_value_B = next_q_B + temperature * entropy
            target_B = soft_target(reward_B, next_value_B, batch.terminated_B, discount=self.discount)
        critics.parameters.zero_grad()
        q_MB = critics.networks(torch.cat([batch.observation_BO, batch.action_BA], -1))
        loss = 0.5 * (q_MB - target_B).square().mean()
        loss.backward()
        critics.parameters.clip_grad_norm(self.config.max_gradient_norm)
        critics.optimizer.step()

        state.parameters.zero_grad()
        action_BA, entropy, outside = self._act(state, batch.observation_BO)
        q_B = critics.networks(torch.cat([batch.observation_BO, action_BA], -1)).amin(0)
        (outside - q_B.mean() - temperature * entropy).backward()
        state.parameters.clip_grad_norm(self.config.max_gradient_norm)
        state.optimizer.step()
        wanted = self.config.entropy_per_action * action_BA.shape[1]
        state.log_temperature -= self.config.learning_rate * state.pace * (float(entropy.detach()) - wanted)
        self._follow(state, critics.parameters.flat)
        return loss.detach()

    def _act(self, state: SQILState, normalized_BO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Actions [B, A] within bounds, the entropy before they were clipped, and how far the mean lies outside."""
        policy, space = state.policy, self.action_space
        assert isinstance(space, gymnasium.spaces.Box)
        mean_BA = policy.actor(normalized_BO)
        noise = policy.head.noise((len(mean_BA),), state.generator)
        low_A, high_A = torch.from_numpy(space.low), torch.from_numpy(space.high)
        action_BA = policy.head.sample(mean_BA, policy.log_std, noise).clamp(low_A, high_A)
        # Clipped actions have no gradient; without this a mean beyond a bound would never come back.
        outside = (mean_BA - mean_BA.clamp(low_A, high_A)).square().sum(-1).mean()
        _, entropy = policy.head.log_prob_entropy(mean_BA[:1], policy.log_std, mean_BA[:1].detach())
        return action_BA, entropy, outside

    def _follow(self, state: SQILState, flat: Tensor) -> None:
        state.target_flat.lerp_(flat.detach(), self.config.target_rate)

    @torch.no_grad()
    def _mean_value(self, state: SQILState, batch: Batch) -> float:
        """What the policy is worth by its own lights, over at most a minibatch of observations."""
        normalized_BO = state.policy.normalize(batch.observation_BO[: self.config.minibatch_size])
        output_BL = state.policy.actor(normalized_BO)
        if isinstance(state.policy.head, CategoricalHead):
            return self.config.temperature * float(soft_value(output_BL, state.policy.head.num_choices).mean())
        assert state.critics is not None
        return float(state.critics.networks(torch.cat([normalized_BO, output_BL], -1)).amin(0).mean())

    def tensors(self, state: SQILState) -> dict[str, Tensor]:
        """What a checkpoint keeps, own steps included."""
        tensors = {f"policy.{name}": tensor for name, tensor in state.policy.tensors().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        if state.critics is not None:
            tensors |= {f"critic_optimizer.{name}": t for name, t in state.critics.optimizer.tensors().items()}
            tensors["critics"] = state.critics.parameters.flat.detach()
        tensors |= {f"own.{name}": tensor for name, tensor in state.own._asdict().items()}
        numbers = {"num_updates": torch.tensor(state.num_updates)}
        numbers["log_temperature"] = torch.tensor(state.log_temperature, dtype=torch.float64)
        return tensors | numbers | {"target": state.target_flat, "generator": state.generator.get_state()}

    def load_tensors(self, state: SQILState, tensors: dict[str, Tensor]) -> SQILState:
        """Go on from what `tensors` returned, bit for bit."""
        state.policy.load_tensors(under("policy.", tensors))
        state.optimizer.load_tensors(under("optimizer.", tensors))
        if state.critics is not None:
            state.critics.parameters.flat.data.copy_(tensors["critics"])
            state.critics.optimizer.load_tensors(under("critic_optimizer.", tensors))
        state.target_flat.copy_(tensors["target"])
        state.own = Batch(**{name: tensor.clone() for name, tensor in under("own.", tensors).items()})
        state.num_updates, state.log_temperature = int(tensors["num_updates"]), float(tensors["log_temperature"])
        state.generator.set_state(tensors["generator"])
        return state


def chosen(logits_BL: Tensor, action_BA: Tensor, num_choices: tuple[int, ...]) -> Tensor:
    """[B]: the sum of the logits of what was chosen, over components."""
    parts = logits_BL.split(num_choices, -1)
    return torch.stack([part.gather(-1, action_BA[:, i, None])[:, 0] for i, part in enumerate(parts)]).sum(0)


def _steps_of(rollout: Rollout) -> Batch:
    """The steps of a rollout with the actions that were executed; at an end with the terminal observation."""
    parts = (rollout.observation[:-1], rollout.executed, rollout.next_observation)
    before, action, after = (torch.from_numpy(array.reshape(-1, array.shape[-1])) for array in parts)
    return Batch(before, action, after, torch.from_numpy(rollout.terminated.ravel().astype(np.float32)))
