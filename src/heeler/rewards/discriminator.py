"""What adversarial rewards share: steps as networks see them, and telling the expert's from the learner's.

Shapes: B steps, E expert steps, O observation numbers, K action numbers (choices one-hot), X = O + K + O numbers of a
step as the networks see it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import ACTIVATIONS, Activation
from heeler.ops.imitation import discriminator_loss
from heeler.rewards.step_features import normalized


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """How the expert's steps are told from the learner's."""

    activation: Activation = "tanh"
    """Non-linearity of the hidden layers."""
    learning_rate: float = 1e-3
    """Adam's step."""
    num_gradient_steps: int = 8
    """After each rollout."""
    minibatch_size: int = 1024
    """Steps of the expert in one of them, and as many of the learner."""
    gradient_penalty: float = 1.0
    """Weight of how far the slope of the logit is from 1 between expert and learner (Gulrajani et al. 2017): keeps the
    reward smooth enough to climb."""
    weight_decay: float = 0.0
    """How strongly weights are drawn to nought."""
    num_rollouts_kept: int = 1
    """The newest rollouts that the learner's steps are drawn from."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "num_gradient_steps", "minibatch_size", "num_rollouts_kept"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("gradient_penalty", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")


class StepBatch(NamedTuple):
    """Steps, before normalisation."""

    observation_BO: Tensor
    action_BK: Tensor
    """Box actions as they were executed, choices one-hot."""
    next_observation_BO: Tensor
    """At an episode's end its last observation."""
    terminated_B: Tensor
    """1.0 where the episode ended in a terminal state."""
    log_prob_B: Tensor
    """Of the executed action under the policy that learns."""

    def rows(self, rows_B: Tensor) -> "StepBatch":
        """Some of them."""
        return StepBatch._make(tensor[rows_B] for tensor in self)


@dataclass
class Scale:
    """How steps are normalised: expert's and learner's by the same numbers, as else those would tell them apart."""

    observation: RunningMoments
    action: RunningMoments | None
    """None for choices."""

    @classmethod
    def of(cls, observation_size: int, action_size: int, *, is_box: bool) -> "Scale":
        """Of nothing seen yet."""
        return cls(RunningMoments(observation_size), RunningMoments(action_size) if is_box else None)

    def learn(self, batch: StepBatch) -> None:
        """Merge steps in."""
        self.observation.update(batch.observation_BO)
        if self.action is not None:
            self.action.update(batch.action_BK)

    def __call__(self, batch: StepBatch) -> Tensor:
        """[B, X]: observation, action and next observation, which is normalised as the observation is."""
        action_BK = batch.action_BK if self.action is None else normalized(batch.action_BK, self.action)
        before, after = (normalized(o, self.observation) for o in (batch.observation_BO, batch.next_observation_BO))
        return torch.cat([before, action_BK, after], -1)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        parts = {"observation": self.observation} | ({"action": self.action} if self.action else {})
        return {f"{part}.{name}": t for part, moments in parts.items() for name, t in moments.tensors().items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        for part, moments in (("observation", self.observation), ("action", self.action)):
            if moments is not None:
                names = ("count", "mean", "variance")
                moments.load_tensors({name: tensors[f"{part}.{name}"] for name in names})


@dataclass
class DiscriminatorState:
    """All that learning changes."""

    networks: nn.Module
    parameters: FlatParameters
    optimizer: Adam
    scale: Scale
    generator: torch.Generator
    """Draws minibatches."""
    kept: list[StepBatch] = field(default_factory=list[StepBatch])
    """Steps of rollouts before the newest, the oldest first."""
    num_updates: int = 0


def fresh_state(
    networks: nn.Module,
    config: DiscriminatorConfig,
    *,
    observation_size: int,
    action_size: int,
    is_box: bool,
    seed: int,
) -> DiscriminatorState:
    """With fresh networks, and nothing seen yet.

    Args:
        networks: that the logit is made of.
        config: settings.
        observation_size: O.
        action_size: K.
        is_box: whether actions are numbers, which are normalised.
        seed: of the minibatches.
    """
    parameters = FlatParameters(networks)
    optimizer = Adam(parameters.flat, learning_rate=config.learning_rate, weight_decay=config.weight_decay)
    scale = Scale.of(observation_size, action_size, is_box=is_box)
    return DiscriminatorState(networks, parameters, optimizer, scale, torch.Generator().manual_seed(seed))


Logit = Callable[[Tensor, StepBatch], Tensor]
"""[B] of steps [B, X] as networks see them, and of the same steps before normalisation."""


def fit_discriminator(
    state: DiscriminatorState, config: DiscriminatorConfig, logit: Logit, expert: StepBatch, learner: StepBatch
) -> dict[str, float]:
    """Learn to tell the expert's steps from the learner's; the state is changed in place.

    Args:
        state: to learn.
        config: settings.
        logit: of the probability that a step is the expert's; of the state's networks.
        expert: all that was shown.
        learner: the newest rollout.

    Returns:
        What there is to know: loss, and the shares of steps on either side that were told right, as each gradient step
        found them.
    """
    num = min(len(expert.terminated_B), len(learner.terminated_B))
    # As many of either, so that their common spread is neither's own.
    for batch in (expert, learner):
        state.scale.learn(batch.rows(_draw(state, len(batch.terminated_B), num)))
    newest = [*state.kept, learner]
    state.kept = newest[1 - config.num_rollouts_kept :] if config.num_rollouts_kept > 1 else []
    pool = StepBatch._make(torch.cat(parts) for parts in zip(*newest, strict=True))
    sides = [(batch, state.scale(batch)) for batch in (expert, pool)]
    rows: list[Tensor] = []
    for _ in range(config.num_gradient_steps):
        drawn = [_draw(state, len(x_BX), config.minibatch_size) for _, x_BX in sides]
        batches = [(batch.rows(some), x_BX[some]) for (batch, x_BX), some in zip(sides, drawn, strict=True)]
        rows.append(_step(state, config, logit, batches))
    state.num_updates += 1
    loss, expert_right, learner_right = torch.stack(rows).mean(0).tolist()
    return {
        "discriminator_loss": loss,
        "discriminator_accuracy": 0.5 * (expert_right + learner_right),
        "discriminator_expert_accuracy": expert_right,
    }


def _step(
    state: DiscriminatorState, config: DiscriminatorConfig, logit: Logit, batches: list[tuple[StepBatch, Tensor]]
) -> Tensor:
    (expert, expert_BX), (learner, learner_BX) = batches
    state.parameters.zero_grad()
    expert_logit, learner_logit = logit(expert_BX, expert), logit(learner_BX, learner)
    loss = discriminator_loss(expert_logit, learner_logit)
    whole = loss
    if config.gradient_penalty:
        whole = loss + config.gradient_penalty * slope_penalty(state, logit, batches)
    whole.backward()
    state.optimizer.step()
    right = [(expert_logit > 0).float().mean(), (learner_logit <= 0).float().mean()]
    return torch.stack([loss.detach(), *right])


def slope_penalty(state: DiscriminatorState, logit: Logit, batches: list[tuple[StepBatch, Tensor]]) -> Tensor:
    """Mean of (slope - 1)^2 on the lines between expert's and learner's steps, of all that the logit sees of a step.

    What is not seen as a number of the step (its end, its likelihood) is taken from the expert's.
    """
    (expert, expert_BX), (_, learner_BX) = batches
    num = min(len(expert_BX), len(learner_BX))
    share = torch.rand(num, 1, generator=state.generator)
    between_BX = (share * expert_BX[:num] + (1 - share) * learner_BX[:num]).requires_grad_()
    value = logit(between_BX, StepBatch._make(tensor[:num] for tensor in expert))
    (slope_BX,) = torch.autograd.grad(value.sum(), between_BX, create_graph=True)
    return (slope_BX.square().sum(-1).add(1e-12).sqrt() - 1).square().mean()


def _draw(state: DiscriminatorState, size: int, num: int) -> Tensor:
    return torch.randint(size, (num,), generator=state.generator)


def state_tensors(state: DiscriminatorState) -> dict[str, Tensor]:
    """What a checkpoint keeps."""
    tensors = {f"networks.{name}": tensor for name, tensor in state.networks.state_dict().items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
    tensors |= {f"scale.{name}": tensor for name, tensor in state.scale.tensors().items()}
    for index, batch in enumerate(state.kept):
        tensors |= {f"kept.{index}.{name}": tensor for name, tensor in batch._asdict().items()}
    counts = torch.tensor([state.num_updates, len(state.kept)])
    return tensors | {"counts": counts, "generator": state.generator.get_state()}


def load_state_tensors(state: DiscriminatorState, tensors: dict[str, Tensor]) -> DiscriminatorState:
    """Go on from what `state_tensors` returned, bit for bit."""
    state.networks.load_state_dict(under("networks.", tensors))
    state.optimizer.load_tensors(under("optimizer.", tensors))
    state.scale.load_tensors(under("scale.", tensors))
    state.num_updates, num_kept = tensors["counts"].tolist()
    state.kept = [StepBatch(**under(f"kept.{index}.", tensors)) for index in range(num_kept)]
    state.generator.set_state(tensors["generator"])
    return state
