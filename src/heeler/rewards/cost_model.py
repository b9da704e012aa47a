"""A cost learned from answers about clips: an ensemble that says how likely each step is unsafe.

An answer says that something in a clip was unsafe, or that nothing was; which step it was is found by what unsafe clips
share and safe ones lack (noisy-or, as in multiple-instance learning: Maron and Lozano-Pérez 1998).
Shapes: M members, Q answers, L steps of a clip, F features of a step, B steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.core.nouns import Segment
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import Activation
from heeler.ops.noisy_or import any_step_log_probs
from heeler.rewards.preference_model import is_validation
from heeler.rewards.step_features import StepFeatures, StepInput, normalized


@dataclass(frozen=True, kw_only=True)
class CostModelConfig:
    """Settings of a learned cost."""

    num_members: int = 3
    """Networks in the ensemble; each sees its own bootstrap sample of the answers."""
    hidden_sizes: tuple[int, ...] = (32, 32)
    """Units of each hidden layer."""
    activation: Activation = "silu"
    """Non-linearity of the hidden layers."""
    inputs: tuple[StepInput, ...] = ("observation", "action")
    """What of a step the cost depends on."""
    observation_columns: tuple[int, ...] | None = None
    """Which numbers of an observation it depends on, by index; None for all."""
    learning_rate: float = 3e-3
    """Adam's step."""
    weight_decay: float = 1e-3
    """Decoupled weight decay."""
    minibatch_size: int = 32
    """Answers in one gradient step."""
    num_epochs: int = 60
    """Passes over the answers in one fit; each fit begins anew."""
    lapse: float = 0.1
    """Share of answers taken to be random."""
    validation_share: float = 0.1
    """Share of trajectories whose answers are kept from training, for the figures shown."""
    pessimism: float = 0.0
    """How many of the members' standard deviations are added to the cost."""

    def __post_init__(self) -> None:
        if not 0 <= self.lapse < 1:
            raise ConfigError(f"lapse must be at least 0 and below 1, got {self.lapse}")
        if not 0 <= self.validation_share < 0.5:
            raise ConfigError(f"validation_share must be at least 0 and below 0.5, got {self.validation_share}")
        if not self.inputs or not set(self.inputs) <= set(get_args(StepInput)):
            raise ConfigError(f"inputs must name observation, action or next_observation, got {self.inputs}")
        if self.activation not in get_args(Activation):
            raise ConfigError(f"activation must be one of {', '.join(get_args(Activation))}, got {self.activation!r}")
        if any(size < 1 for size in self.hidden_sizes):
            raise ConfigError(f"hidden_sizes must be positive numbers, got {self.hidden_sizes}")
        for name in ("num_members", "learning_rate", "minibatch_size", "num_epochs"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("weight_decay", "pessimism"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if self.pessimism and self.num_members < 2:
            raise ConfigError(
                "pessimism charges for disagreement among an ensemble's members: num_members must be >= 2, "
                f"got {self.num_members}"
            )


_DATA = ("feature_QLF", "unsafe_Q", "weight_MQ", "validation_Q")
"""What of a state answers are made of."""


@dataclass(kw_only=True)
class CostModelState:
    """All that answers change."""

    network: EnsembleMLP
    moments: RunningMoments
    """Of the features that the last fit saw."""
    generator: torch.Generator
    feature_QLF: Tensor
    unsafe_Q: Tensor
    """bool."""
    weight_MQ: Tensor
    """How often each member sees each answer: a Poisson bootstrap; 0 on validation rows."""
    validation_Q: Tensor
    """bool."""
    num_fits: int = 0
    last_fit: dict[str, float] = field(default_factory=dict[str, float])


class CostModel:
    """Learns which steps people find unsafe.

    Args:
        config: settings.
        clip_length: L.
        observation_size: numbers in an observation.
        action_size: numbers in an action of a segment or rollout.
        num_choices: choices of each Discrete action component; empty for Box actions.
    """

    def __init__(
        self,
        config: CostModelConfig,
        clip_length: int,
        observation_size: int,
        action_size: int,
        num_choices: tuple[int, ...] = (),
    ) -> None:
        self.config, self.clip_length = config, clip_length
        self.features = StepFeatures(
            config.inputs, config.observation_columns, observation_size, action_size, num_choices
        )

    def init(self, seed: int) -> CostModelState:
        """An untrained ensemble that knows no answer; the same seed gives the same weights."""
        M, L, F = self.config.num_members, self.clip_length, self.features.size
        return CostModelState(
            network=self._fresh(seed),
            moments=RunningMoments(F),
            generator=torch.Generator().manual_seed(seed),
            feature_QLF=torch.zeros(0, L, F),
            unsafe_Q=torch.zeros(0, dtype=torch.bool),
            weight_MQ=torch.zeros(M, 0),
            validation_Q=torch.zeros(0, dtype=torch.bool),
        )

    def _fresh(self, seed: int) -> EnsembleMLP:
        config = self.config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = EnsembleMLP(config.num_members, self.features.size, config.hidden_sizes, config.activation)
        with torch.no_grad():
            # So that a whole clip is unsafe about as often as not before anything is known.
            network.biases[-1].fill_(-math.log(self.clip_length))
        return network

    def add(self, state: CostModelState, segments: Sequence[Segment], unsafe: Sequence[bool]) -> CostModelState:
        """Take in answers about clips.

        Raises:
            DataError: a clip is of another length.
        """
        if not segments:
            return state
        for segment in segments:
            if len(segment) != self.clip_length:
                raise DataError(f"clips must all have {self.clip_length} steps, got one of {len(segment)}")
        feature = torch.stack([self.features(s.observation, s.action, s.next_observation) for s in segments])
        validation = torch.tensor([is_validation(s.trajectory_id, self.config.validation_share) for s in segments])
        rate = torch.ones(self.config.num_members, len(segments))
        weight = torch.poisson(rate, generator=state.generator) * ~validation
        state.feature_QLF = torch.cat([state.feature_QLF, feature])
        state.unsafe_Q = torch.cat([state.unsafe_Q, torch.tensor(unsafe, dtype=torch.bool)])
        state.weight_MQ = torch.cat([state.weight_MQ, weight], 1)
        state.validation_Q = torch.cat([state.validation_Q, validation])
        return state

    def without(self, state: CostModelState, kept: Sequence[bool]) -> CostModelState:
        """An untrained ensemble with those answers that are to stay, to be fitted to them.

        Args:
            state: holds all of them.
            kept: whether each is to stay, in the order in which they were added.
        """
        rows = torch.tensor(list(kept), dtype=torch.bool)
        state.feature_QLF, state.unsafe_Q = state.feature_QLF[rows], state.unsafe_Q[rows]
        state.weight_MQ, state.validation_Q = state.weight_MQ[:, rows], state.validation_Q[rows]
        # What the weights learned from them cannot be taken out of the weights.
        state.network, state.num_fits, state.last_fit = self._fresh(0), 0, {}
        return state

    def fit(self, state: CostModelState, seed: int) -> CostModelState:
        """Fit all members anew to all answers so far; `seed` gives their first weights.

        Raises:
            DataError: there is no answer to learn from.
        """
        train = torch.nonzero(~state.validation_Q).squeeze(1)
        if not len(train):
            raise DataError("there is no answer to fit the cost to; answer some first, or lower validation_share")
        config, network = self.config, self._fresh(seed)
        state.moments = RunningMoments(self.features.size)
        state.moments.update(state.feature_QLF.flatten(0, 1))
        feature = normalized(state.feature_QLF, state.moments)
        parameters = FlatParameters(network)
        optimizer = Adam(parameters.flat, learning_rate=config.learning_rate, weight_decay=config.weight_decay)
        for _ in range(config.num_epochs):
            order = train[torch.randperm(len(train), generator=state.generator)]
            for rows in order.split(config.minibatch_size):
                weight_MB = state.weight_MQ[:, rows]
                loss_MB = self._losses(network, feature[rows], state.unsafe_Q[rows])
                parameters.zero_grad()
                (loss_MB * weight_MB / weight_MB.sum(1, keepdim=True).clamp_min(1)).sum().backward()
                optimizer.step()
        state.network = network
        state.num_fits += 1
        state.last_fit = self._evaluate(state, feature)
        return state

    def _losses(self, network: EnsembleMLP, feature_BLF: Tensor, unsafe_B: Tensor) -> Tensor:
        """[M, B] what each member finds unlikely in each answer."""
        no_MB, yes_MB = any_step_log_probs(self._logits(network, feature_BLF), lapse=self.config.lapse)
        return -torch.where(unsafe_B, yes_MB, no_MB)

    @staticmethod
    def _logits(network: EnsembleMLP, feature_BLF: Tensor) -> Tensor:
        return network(feature_BLF.flatten(0, 1)).unflatten(1, feature_BLF.shape[:2])

    @torch.no_grad()
    def _evaluate(self, state: CostModelState, feature_QLF: Tensor) -> dict[str, float]:
        logit_MQL = self._logits(state.network, feature_QLF)
        no_MQ, yes_MQ = any_step_log_probs(logit_MQL, lapse=self.config.lapse)
        right_Q = (yes_MQ.exp().mean(0) > 0.5) == state.unsafe_Q
        loss_Q = -torch.where(state.unsafe_Q, yes_MQ.exp().mean(0), no_MQ.exp().mean(0)).clamp_min(1e-12).log()
        figures = {"unsafe_share": float(state.unsafe_Q.float().mean())}
        for name, rows in (("train", ~state.validation_Q), ("validation", state.validation_Q)):
            if rows.any():
                figures[f"{name}_loss"] = float(loss_Q[rows].mean())
                figures[f"{name}_accuracy"] = float(right_Q[rows].float().mean())
        return figures

    @torch.no_grad()
    def unsafe(self, state: CostModelState, segments: Sequence[Segment]) -> Tensor:
        """[M, K]: how likely each member finds each of K clips to be called unsafe by somebody who pays attention."""
        feature = torch.stack([self.features(s.observation, s.action, s.next_observation) for s in segments])
        logit_MKL = self._logits(state.network, normalized(feature, state.moments))
        return any_step_log_probs(logit_MKL, lapse=0.0)[1].exp()

    @torch.no_grad()
    def cost(
        self, state: CostModelState, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray
    ) -> np.ndarray:
        """[B] float64: how likely each step is unsafe, with `pessimism` on top, 0 to 1; 0 before the first fit."""
        if not state.num_fits:
            return np.zeros(len(observation))
        feature = normalized(self.features(observation, action, next_observation), state.moments)
        member_MB = torch.sigmoid(state.network(feature))
        cost_B = member_MB.mean(0)
        if self.config.pessimism:
            cost_B = (cost_B + self.config.pessimism * member_MB.std(0, correction=0)).clamp_max(1.0)
        return cost_B.double().numpy()

    def not_finite(self, state: CostModelState) -> list[str]:
        """What has stopped being a finite number in the last fit, in words; empty while all is well."""
        broken = [name.replace("_", " ") for name, value in state.last_fit.items() if not math.isfinite(value)]
        if not all(parameter.isfinite().all() for parameter in state.network.parameters()):
            broken.append("a weight of the cost model")
        return broken

    def tensors(self, state: CostModelState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"network.{name}": tensor.detach() for name, tensor in state.network.state_dict().items()}
        tensors |= {f"moments.{name}": tensor for name, tensor in state.moments.tensors().items()}
        tensors |= {name: getattr(state, name) for name in _DATA}
        return tensors | {"generator": state.generator.get_state()}

    def load_tensors(self, state: CostModelState, tensors: dict[str, Tensor], fits: dict[str, Any]) -> CostModelState:
        """Go on from what `tensors` and `fits` returned."""
        state.network.load_state_dict(under("network.", tensors))
        state.moments.load_tensors(under("moments.", tensors))
        for name in _DATA:
            setattr(state, name, tensors[name])
        state.generator.set_state(tensors["generator"])
        state.num_fits, state.last_fit = fits["num_fits"], fits["last_fit"]
        return state

    @staticmethod
    def fits(state: CostModelState) -> dict[str, Any]:
        """What a checkpoint keeps of past fits, JSON-ready."""
        return {"num_fits": state.num_fits, "last_fit": state.last_fit}
