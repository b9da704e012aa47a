"""Action distributions: Gaussian for Box, categorical for Discrete and MultiDiscrete.

One object a kind of action space, without state: the network's output and its parameters go in.
Shapes: B samples, A action numbers, L network outputs.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import WorldError

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
# No infinity: 0 times it is 0, as entropy and KL need it. Its probability is 0 exactly.
_NEVER = -1e9


class ActionHead(Protocol):
    """How a policy network's output becomes actions and log-probabilities."""

    action_dtype: ClassVar[type[np.generic]]

    @property
    def num_outputs(self) -> int:
        """L: how many numbers the network must give."""
        ...

    @property
    def num_log_std(self) -> int:
        """Length of the log standard deviation that does not depend on the observation; 0 for categorical heads."""
        ...

    @property
    def action_size(self) -> int:
        """A: columns of the action array."""
        ...

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Noise [*shape, K] that `sample` turns into actions: drawn for a whole rollout at once."""
        ...

    def sample(self, output_BL: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        """Actions [B, A] of this noise."""
        ...

    def mode(self, output_BL: Tensor) -> Tensor:
        """The likeliest actions [B, A]."""
        ...

    def log_prob_entropy(self, output_BL: Tensor, log_std: Tensor, action_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability [B] of the actions, and the mean entropy []."""
        ...

    def kl(self, output_BL: Tensor, log_std: Tensor, other_BL: Tensor, other_log_std: Tensor) -> Tensor:
        """[B]: KL(this || other) of two distributions."""
        ...


@dataclass(frozen=True)
class GaussianHead:
    """Independent normals whose spread is a parameter. Actions are clipped only on their way to the world."""

    size: int
    action_dtype: ClassVar[type[np.generic]] = np.float32

    @property
    def num_outputs(self) -> int:
        return self.size

    @property
    def num_log_std(self) -> int:
        return self.size

    @property
    def action_size(self) -> int:
        return self.size

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(*shape, self.size, generator=generator)

    def sample(self, output_BL: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        return torch.addcmul(output_BL, noise, log_std.exp())

    def mode(self, output_BL: Tensor) -> Tensor:
        return output_BL

    def log_prob_entropy(self, output_BL: Tensor, log_std: Tensor, action_BA: Tensor) -> tuple[Tensor, Tensor]:
        scaled_BA = (action_BA - output_BL) * torch.exp(-log_std)
        log_prob_B = -0.5 * scaled_BA.square().sum(-1) - (log_std.sum() + self.size * _HALF_LOG_TAU)
        return log_prob_B, log_std.sum() + self.size * (0.5 + _HALF_LOG_TAU)

    def kl(self, output_BL: Tensor, log_std: Tensor, other_BL: Tensor, other_log_std: Tensor) -> Tensor:
        apart_BA = (output_BL - other_BL).square() * torch.exp(-2 * other_log_std)
        spread_A = torch.exp(2 * (log_std - other_log_std)) - 1 - 2 * (log_std - other_log_std)
        return 0.5 * (apart_BA + spread_A).sum(-1)


@dataclass(frozen=True)
class CategoricalHead:
    """One categorical a component: one for Discrete, several for MultiDiscrete."""

    num_choices: tuple[int, ...]
    action_dtype: ClassVar[type[np.generic]] = np.int64

    @property
    def num_log_std(self) -> int:
        return 0

    @property
    def num_outputs(self) -> int:
        return sum(self.num_choices)

    @property
    def action_size(self) -> int:
        return len(self.num_choices)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        # Gumbel noise: the arg max of logits + noise is a sample of the softmax (Gumbel 1954).
        uniform = torch.rand(*shape, self.num_outputs, generator=generator)
        return -torch.log(torch.clamp(-torch.log(uniform.clamp_min(1e-20)), min=1e-20))

    def sample(self, output_BL: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        return self.mode(output_BL + noise)

    def mode(self, output_BL: Tensor) -> Tensor:
        if len(self.num_choices) == 1:
            return output_BL.argmax(-1, keepdim=True)
        return torch.stack([logits.argmax(-1) for logits in output_BL.split(self.num_choices, -1)], -1)

    def log_prob_entropy(self, output_BL: Tensor, log_std: Tensor, action_BA: Tensor) -> tuple[Tensor, Tensor]:
        log_prob_B, entropy = torch.zeros(()), torch.zeros(())
        for component, logits in enumerate(output_BL.split(self.num_choices, -1)):
            log_probs = torch.log_softmax(logits, -1)
            chosen = log_probs.gather(-1, action_BA[..., component, None]).squeeze(-1)
            log_prob_B = chosen if component == 0 else log_prob_B + chosen
            entropy = entropy - (log_probs.exp() * log_probs).sum(-1).mean()
        return log_prob_B, entropy

    def kl(self, output_BL: Tensor, log_std: Tensor, other_BL: Tensor, other_log_std: Tensor) -> Tensor:
        kl_B = torch.zeros(())
        for logits, others in zip(
            output_BL.split(self.num_choices, -1), other_BL.split(self.num_choices, -1), strict=True
        ):
            log_probs = torch.log_softmax(logits, -1)
            kl_B = kl_B + (log_probs.exp() * (log_probs - torch.log_softmax(others, -1))).sum(-1)
        return kl_B


def forbid(output_BL: Tensor, allowed_BL: Tensor) -> Tensor:
    """Logits under which choices that are not allowed have no probability, and no gradient.

    What is made of them (log-probability, entropy, KL, samples, the likeliest) is then that of the distribution
    renormalised over what is allowed.

    Args:
        output_BL: logits of a `CategoricalHead`.
        allowed_BL: booleans; of each component's choices at least one.
    """
    return output_BL.masked_fill(~allowed_BL, _NEVER)


def within_bounds(space: gymnasium.Space, action: np.ndarray) -> np.ndarray:
    """[..., A]: Box actions clipped to their bounds; others as they are."""
    return np.clip(action, space.low, space.high) if isinstance(space, gymnasium.spaces.Box) else action


def as_taken(space: gymnasium.Space, action_BA: np.ndarray) -> np.ndarray:
    """Actions within their bounds as a world takes them: Discrete ones without their last axis."""
    return action_BA[:, 0] if isinstance(space, gymnasium.spaces.Discrete) else action_BA


def action_head(space: gymnasium.Space) -> ActionHead:
    """The head for an action space of one environment.

    Raises:
        WorldError: for a space other than flat Box, Discrete and MultiDiscrete.
    """
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        return GaussianHead(space.shape[0])
    if isinstance(space, gymnasium.spaces.Discrete) and space.start == 0:
        return CategoricalHead((int(space.n),))
    if isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any():
        return CategoricalHead(tuple(int(n) for n in space.nvec))
    raise WorldError(
        f"action space must be a one-dimensional Box, a Discrete or a MultiDiscrete that starts at 0, got {space}; "
        "wrap the environment so that its actions are one of these"
    )


def correlate(noise_TNK: Tensor, correlation: float) -> Tensor:
    """[T, N, K]: standard normal noise made to last from step to step; every single step's stays standard normal.

    A first-order autoregression; the noise of steps t and t + k is correlated by `correlation` to the k.
    """
    fresh = math.sqrt(1 - correlation**2)
    noise = noise_TNK[0]
    rows = [noise]
    for row in noise_TNK[1:]:
        noise = torch.add(fresh * row, noise, alpha=correlation)
        rows.append(noise)
    return torch.stack(rows)
