"""TAMER (Knox and Stone 2009): a linear model of what people will say of an action, acted on greedily.

A signal's target is the sum of what the model says of the steps that it may be about, each by its credit. Beside
the paper, what is done where nobody watches may go by an average of the newest weights (Polyak and Juditsky 1992), as
single signals move them far.
Shapes: B observations, O observation numbers, L choices, F features, K steps of a signal.
"""

from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.evaluative import Choice, Metrics, flat_box, num_choices
from heeler.core.errors import ConfigError
from heeler.core.signals import CreditedSignal
from heeler.models.bases import Basis, BasisConfig


@dataclass(frozen=True, kw_only=True)
class TAMERConfig:
    """Settings of TAMER."""

    basis: BasisConfig = field(default_factory=BasisConfig)
    """In what the model is linear."""
    step_size: float = 0.5
    """Share of the error that one signal corrects, where all its credit lies on one step and squares of features sum to
    1."""

    num_averaged: int = 1
    """How many of the newest weights, about, are averaged for what is done where nobody watches; 1 for the last."""

    def __post_init__(self) -> None:
        if self.num_averaged < 1:
            raise ConfigError(f"num_averaged must be >= 1, got {self.num_averaged}")
        if not 0 < self.step_size < 2:
            raise ConfigError(f"step_size must be above 0 and below 2, beyond which errors grow, got {self.step_size}")


@dataclass(frozen=True, kw_only=True)
class TAMERState:
    """All that learning changes."""

    weight_LF: Tensor
    """H(s, a) is the product of a's row with the features of s."""
    mean_LF: Tensor
    """Of the newest weights."""
    num_signals: int = 0


def averaged(mean: Tensor, newest: Tensor, num_signals: int, num_averaged: int) -> Tensor:
    """The mean of about the `num_averaged` newest weights, of which `newest` is that after signal `num_signals`."""
    return mean + (newest - mean) / min(num_signals, num_averaged)


class TAMER:
    """The learner.

    Args:
        config: settings.
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: actions are not Discrete, or the basis does not fit.
    """

    num_trace_steps = 0

    def __init__(self, config: TAMERConfig, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        self.config = config
        self.num_choices = num_choices(action_space, "tamer")
        self.basis = Basis(config.basis, flat_box(observation_space))

    def init(self, seed: int) -> TAMERState:
        """A model that expects nothing of anything; the seed is not needed."""
        nothing_LF = torch.zeros(self.num_choices, self.basis.size)
        return TAMERState(weight_LF=nothing_LF, mean_LF=nothing_LF)

    def human_reward(self, state: TAMERState, observation_BO: np.ndarray) -> Tensor:
        """[B, L]: H, what people are expected to say of each choice."""
        return self.basis(torch.from_numpy(observation_BO)) @ state.weight_LF.T

    def choose(self, state: TAMERState, observation_O: np.ndarray, generator: torch.Generator) -> Choice:
        """The choice of which most is expected; among equals by chance."""
        return greedy_choice(self.human_reward(state, observation_O[None])[0], generator)

    def best(self, state: TAMERState, observation_BO: np.ndarray) -> np.ndarray:
        """[B, 1] the choices of which most is expected."""
        expected_BL = self.basis(torch.from_numpy(observation_BO)) @ state.mean_LF.T
        return expected_BL.argmax(-1, keepdim=True).numpy()

    def learn(self, state: TAMERState, signal: CreditedSignal) -> tuple[TAMERState, Metrics]:
        r"""$w \leftarrow w + \alpha\,(h - w \cdot f)\, f$ with $f = \sum_k c_k\, \phi(s_k, a_k)$."""
        credit_K = torch.from_numpy(signal.credit.astype(np.float32))
        feature_KF = self.basis(torch.from_numpy(signal.observation))
        credited_LF = torch.zeros_like(state.weight_LF)
        credited_LF.index_add_(0, torch.from_numpy(signal.action[:, 0]), feature_KF * credit_K[:, None])
        error = signal.sign - float((state.weight_LF * credited_LF).sum())
        weight_LF = state.weight_LF + self.config.step_size * error * credited_LF
        num_signals = state.num_signals + 1
        mean_LF = averaged(state.mean_LF, weight_LF, num_signals, self.config.num_averaged)
        return TAMERState(weight_LF=weight_LF, mean_LF=mean_LF, num_signals=num_signals), {"error": error}

    def rehearse(self, state: TAMERState) -> tuple[TAMERState, Metrics]:
        """Nothing: each signal is learned from once."""
        return state, {}

    def tensors(self, state: TAMERState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"weight": state.weight_LF, "mean": state.mean_LF, "num_signals": torch.tensor(state.num_signals)}

    def load_tensors(self, state: TAMERState, tensors: dict[str, Tensor]) -> TAMERState:
        """Go on from what `tensors` returned."""
        return TAMERState(
            weight_LF=tensors["weight"].clone(),
            mean_LF=tensors["mean"].clone(),
            num_signals=int(tensors["num_signals"]),
        )


def greedy_choice(expected_L: Tensor, generator: torch.Generator) -> Choice:
    """The largest of some numbers; among equals by chance."""
    equal = torch.nonzero(expected_L >= expected_L.max())[:, 0]
    chosen = int(equal[int(torch.randint(len(equal), (), generator=generator))])
    probability_L = np.zeros(len(expected_L))
    probability_L[equal.numpy()] = 1 / len(equal)
    return Choice(np.array([chosen]), float(np.log(probability_L[chosen])), probability_L)
