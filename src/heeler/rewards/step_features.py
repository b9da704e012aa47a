"""What networks that judge steps see of each of them. Shapes: F features, O observation numbers, A action numbers."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.models.moments import RunningMoments

StepInput = Literal["observation", "action", "next_observation"]
MOST_SPREADS = 5
"""A feature that is further from its mean counts as so far."""


class StepFeatures:
    """Picks what is seen of a step.

    Args:
        inputs: what of it.
        observation_columns: which numbers of an observation, by index; None for all.
        observation_size: O.
        action_size: A.
        num_choices: choices of each Discrete action component; empty for Box actions.

    Raises:
        ConfigError: an index is none of an observation's.
    """

    def __init__(
        self,
        inputs: tuple[StepInput, ...],
        observation_columns: tuple[int, ...] | None,
        observation_size: int,
        action_size: int,
        num_choices: tuple[int, ...] = (),
    ) -> None:
        self.inputs, self.num_choices = inputs, num_choices
        columns = tuple(range(observation_size)) if observation_columns is None else observation_columns
        if not set(columns) <= set(range(observation_size)):
            raise ConfigError(
                f"observation_columns must be indices of an observation's {observation_size} numbers, got {columns}"
            )
        self.columns = list(columns)
        sizes = {
            "observation": len(columns),
            "action": sum(num_choices) if num_choices else action_size,
            "next_observation": len(columns),
        }
        self.size = sum(sizes[name] for name in inputs)
        """F."""

    def __call__(self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray) -> Tensor:
        """[..., F] float32, before normalisation."""
        parts = {"observation": observation[..., self.columns], "next_observation": next_observation[..., self.columns]}
        parts["action"] = self._action(action)
        return torch.from_numpy(np.concatenate([parts[name] for name in self.inputs], -1, dtype=np.float32))

    def _action(self, action: np.ndarray) -> np.ndarray:
        if not self.num_choices:
            return action
        return np.concatenate([np.eye(n, dtype=np.float32)[action[..., i]] for i, n in enumerate(self.num_choices)], -1)


def normalized(feature: Tensor, moments: RunningMoments) -> Tensor:
    """[..., F] features, centred and in spreads, within plus and minus 5."""
    scale = torch.rsqrt(moments.variance + 1e-6).float()
    return ((feature - moments.mean.float()) * scale).clamp_(-MOST_SPREADS, MOST_SPREADS)
