"""A policy with its value function: two small networks, and the observation statistics that belong to them.

Shapes: B samples, O observation numbers, H hidden units, L policy outputs.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.models.actions import ActionHead, action_head, as_taken, correlate, forbid, within_bounds
from heeler.models.moments import RunningMoments

Activation = Literal["tanh", "relu", "silu"]
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "silu": nn.functional.silu}


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Shape of the policy and the value network."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, the same for policy and value."""
    activation: Activation = "tanh"
    """Non-linearity of the hidden layers."""
    initial_log_std: float = 0.0
    """Log standard deviation of Box actions at the start."""
    final_log_std: float | None = None
    """What it may be at most at the end of learning; on the way there the most is between the two. Whoever acts without
    noise later does then what was learned with little of it. None for no limit."""
    noise_correlation: float = 0.0
    """Correlation of the noise of Box actions between one step and the next while acting for the learner. Noise that
    lasts moves a body where noise that changes its mind every step only shakes it. An update goes on taking the steps
    for independent (Hollenstein et al. 2023, arXiv 2312.11091, who colour the noise by its spectrum)."""
    normalize_observations: bool = True
    """Whether observations are centred and scaled by what has been seen so far."""
    clip_observations: float = 10.0
    """Normalised observations are clipped to plus and minus this."""

    def __post_init__(self) -> None:
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ConfigError(f"hidden_sizes must be one or more positive numbers, got {self.hidden_sizes}")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        if not self.clip_observations > 0:
            raise ConfigError(f"clip_observations must be > 0, got {self.clip_observations}")
        if not math.isfinite(self.initial_log_std):
            raise ConfigError(f"initial_log_std must be finite, got {self.initial_log_std}")
        if self.final_log_std is not None and not -math.inf < self.final_log_std <= self.initial_log_std:
            raise ConfigError(
                f"final_log_std must be finite and at most initial_log_std ({self.initial_log_std:g}), got "
                f"{self.final_log_std}"
            )
        if not 0 <= self.noise_correlation < 1:
            raise ConfigError(f"noise_correlation must be at least 0 and below 1, got {self.noise_correlation}")


class MLP(nn.Module):
    """Fully connected layers, initialised orthogonally (gain √2 hidden, `output_gain` last)."""

    def __init__(self, sizes: tuple[int, ...], activation: Activation, output_gain: float) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        self.activation = ACTIVATIONS[activation]
        for index, layer in enumerate(layers):
            last = index == len(layers) - 1
            nn.init.orthogonal_(layer.weight, output_gain if last else math.sqrt(2))
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, last size] of [B, first size]."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)


class Policy(nn.Module):
    """Acts, and says what it expects. Made on the CPU; `.to(device)` moves it for learning.

    Args:
        config: shape of the networks.
        observation_size: O.
        action_space: of one environment.

    Raises:
        ConfigError: the spread or the correlation of noise is set, and the actions are not Box.
    """

    def __init__(self, config: PolicyConfig, observation_size: int, action_space: gymnasium.Space) -> None:
        super().__init__()
        for name in ("initial_log_std", "final_log_std", "noise_correlation"):
            if getattr(config, name) and not isinstance(action_space, gymnasium.spaces.Box):
                raise ConfigError(
                    f"{name} is for Box actions: leave it out for {action_space}, got {getattr(config, name)}"
                )
        self.config = config
        self.observation_size = observation_size
        self.action_space = action_space
        self.head: ActionHead = action_head(action_space)
        sizes = (observation_size, *config.hidden_sizes)
        # A small last layer starts the policy near its mean action, whatever it sees (Andrychowicz et al. 2021).
        self.actor = MLP((*sizes, self.head.num_outputs), config.activation, output_gain=0.01)
        self.critic = MLP((*sizes, 1), config.activation, output_gain=1.0)
        self.log_std = nn.Parameter(torch.full((self.head.num_log_std,), config.initial_log_std))
        self.moments = RunningMoments(observation_size)
        self.register_buffer("shift", torch.zeros(observation_size), persistent=False)
        self.register_buffer("scale", torch.ones(observation_size), persistent=False)
        self.shift: Tensor
        self.scale: Tensor

    def normalize(self, observation: Tensor) -> Tensor:
        """Observations as the networks see them. The statistics move only in `learn_observations`."""
        if not self.config.normalize_observations:
            return observation
        limit = self.config.clip_observations
        return ((observation - self.shift) * self.scale).clamp_(-limit, limit)

    def learn_observations(self, observation_BO: Tensor) -> None:
        """Merge observations into the statistics; only a learner calls this, evaluation never does."""
        self.moments.update(observation_BO)
        self.refresh_normalization()

    def refresh_normalization(self) -> None:
        """Recompute what `normalize` uses from the statistics."""
        self.shift.copy_(self.moments.mean)
        self.scale.copy_(torch.rsqrt(self.moments.variance + 1e-8))

    def output(self, normalized_BO: Tensor, allowed_BL: Tensor) -> Tensor:
        """[B, L] what `head` makes actions of, where `allowed_BL` says which choices there are; [B, 0] allows all."""
        output_BL = self.actor(normalized_BO)
        return forbid(output_BL, allowed_BL) if allowed_BL.shape[-1] else output_BL

    def value(self, normalized_BO: Tensor) -> Tensor:
        """[B]: the value of observations that `normalize` returned."""
        return self.critic(normalized_BO).squeeze(-1)

    def rollout_noise(self, num_steps: int, num_envs: int, generator: torch.Generator) -> Tensor:
        """[T, N, K] noise for a whole rollout, its row t for `act` at step t; on the device of the policy."""
        noise_TNK = self.head.noise((num_steps, num_envs), generator)
        if self.config.noise_correlation:
            noise_TNK = correlate(noise_TNK, self.config.noise_correlation)
        return noise_TNK.to(self.shift.device)

    @torch.no_grad()
    def act(self, observation: np.ndarray, noise: Tensor | None, allowed_BL: np.ndarray | None = None) -> Tensor:
        """Actions [B, A] for observations [B, O]: sampled with `noise`, or the likeliest ones without.

        Args:
            observation: as the world gives them.
            noise: from `rollout_noise` or the head's `noise`.
            allowed_BL: which choices there are, at least one of each component's; None allows all.
        """
        output = self.actor(self.normalize(torch.from_numpy(observation).to(self.shift.device)))
        if allowed_BL is not None:
            output = forbid(output, torch.from_numpy(allowed_BL).to(self.shift.device))
        return self.head.mode(output) if noise is None else self.head.sample(output, self.log_std, noise)

    def within_bounds(self, action: np.ndarray) -> np.ndarray:
        """[..., A]: Box actions clipped to their bounds; others as they are."""
        return within_bounds(self.action_space, action)

    def executable(self, action_BA: np.ndarray) -> np.ndarray:
        """Actions as a world takes them: within their bounds, Discrete ones without their last axis."""
        return as_taken(self.action_space, self.within_bounds(action_BA))

    @torch.no_grad()
    def quieten(self, progress: float) -> None:
        """Have the noise of Box actions be no wider than it may be after such a share of learning."""
        first, last = self.config.initial_log_std, self.config.final_log_std
        if last is not None:
            self.log_std.clamp_(max=first + progress * (last - first))

    def tensors(self) -> dict[str, Tensor]:
        """All that makes this policy: weights and observation statistics."""
        state = dict(self.state_dict())
        return state | {f"moments.{name}": tensor for name, tensor in self.moments.tensors().items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Become the policy that `tensors` returned."""
        self.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("moments.")})
        self.moments.load_tensors(under("moments.", tensors))
        self.refresh_normalization()
