"""What learners from good and bad have in common: how they are asked to act, and what they keep of signals.

Shapes: B observations, O observation numbers, A action numbers, L choices, K steps of a signal, M kept signals.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.core.signals import CreditedSignal

Metrics = dict[str, float]


class Choice(NamedTuple):
    """What a learner does next."""

    action_A: np.ndarray
    """As networks have it: Discrete actions keep their axis, and Box ones are not clipped yet."""
    log_prob: float
    """With which it was chosen; 0 where nothing was left to chance."""
    probability_L: np.ndarray | None
    """Of each choice of a Discrete action; None for other actions."""


class EvaluativeLearner(Protocol):
    """Learns from signals. Its state is whatever `init` returns."""

    num_trace_steps: int
    """Steps before those that a signal may be about which it is also given."""

    def init(self, seed: int) -> Any:
        """A state that knows nothing; the same seed gives the same."""
        ...

    def choose(self, state: Any, observation_O: np.ndarray, generator: torch.Generator) -> Choice:
        """What to do, while people watch."""
        ...

    def best(self, state: Any, observation_BO: np.ndarray) -> np.ndarray:
        """[B, A] the best that is known, where nobody watches."""
        ...

    def learn(self, state: Any, signal: CreditedSignal) -> tuple[Any, Metrics]:
        """Take a signal in; returns the next state."""
        ...

    def rehearse(self, state: Any) -> tuple[Any, Metrics]:
        """Go over earlier signals again, where it keeps them; called after every few steps."""
        ...

    def tensors(self, state: Any) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        ...

    def load_tensors(self, state: Any, tensors: dict[str, Tensor]) -> Any:
        """Go on from what `tensors` returned."""
        ...


def num_choices(space: gymnasium.Space, method: str) -> int:
    """L of a Discrete action space.

    Raises:
        ConfigError: the actions are others: who judges every choice must be able to count them.
    """
    if isinstance(space, gymnasium.spaces.Discrete) and space.start == 0:
        return int(space.n)
    raise ConfigError(
        f"{method} compares every action there is, and needs a world with Discrete actions, got {space}; use coach or "
        "deep-coach"
    )


def flat_box(space: gymnasium.Space) -> Box:
    """The observation space, which worlds here have flat.

    Raises:
        ConfigError: it is another.
    """
    if isinstance(space, Box) and len(space.shape) == 1:
        return space
    raise ConfigError(f"observations must be a flat Box, got {space}")


def as_batch(signal: CreditedSignal) -> "SignalBatch":
    """One signal as a batch of one."""
    return SignalBatch(
        observation_MKO=torch.from_numpy(signal.observation)[None],
        action_MKA=torch.from_numpy(signal.action)[None],
        log_prob_MK=torch.from_numpy(signal.log_prob)[None],
        begins_MK=torch.from_numpy(signal.begins)[None],
        known_MK=torch.from_numpy(signal.known)[None],
        credit_MK=torch.from_numpy(signal.credit.astype(np.float32))[None],
        sign_M=torch.tensor([float(signal.sign)]),
    )


class SignalBatch(NamedTuple):
    """Signals, as `CreditedSignal` has each of them."""

    observation_MKO: Tensor
    action_MKA: Tensor
    log_prob_MK: Tensor
    begins_MK: Tensor
    known_MK: Tensor
    credit_MK: Tensor
    sign_M: Tensor


@dataclass
class SignalReplay:
    """The newest signals, the oldest of which gives way to the next."""

    kept: SignalBatch | None
    """None before the first."""
    capacity: int
    num_added: int = 0

    @property
    def size(self) -> int:
        """Signals that are kept."""
        return min(self.num_added, self.capacity)

    def add(self, signal: CreditedSignal) -> None:
        """Keep a signal."""
        one = as_batch(signal)
        if self.kept is None:
            self.kept = SignalBatch._make(
                torch.zeros((self.capacity, *part.shape[1:]), dtype=part.dtype) for part in one
            )
        for column, part in zip(self.kept, one, strict=True):
            column[self.num_added % self.capacity] = part[0]
        self.num_added += 1

    def sample(self, num: int, generator: torch.Generator) -> SignalBatch:
        """So many of those that are kept, drawn with replacement; at least one must be kept."""
        assert self.kept is not None
        index = torch.randint(self.size, (num,), generator=generator)
        return SignalBatch._make(part[index] for part in self.kept)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        kept = {} if self.kept is None else self.kept._asdict()
        return {**kept, "num_added": torch.tensor(self.num_added)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        self.num_added = int(tensors["num_added"])
        has_any = "sign_M" in tensors
        self.kept = SignalBatch._make(tensors[name].clone() for name in SignalBatch._fields) if has_any else None
