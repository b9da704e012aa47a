"""What a run asks of whatever learns in it."""

from typing import Any, Protocol

import gymnasium
import numpy as np
from torch import Tensor

from heeler.core.rollout import Rollout
from heeler.models.flat import FlatParameters
from heeler.models.policy import Policy


class LearnerState(Protocol):
    """All that learning changes."""

    policy: Policy
    """Acts, is judged and is released."""
    parameters: FlatParameters
    """What is learned of the policy."""
    pace: float
    """Share of its learning rate that an update may use at present."""
    num_updates: int


class Learner(Protocol):
    """State in, state out. The classes of this room say what they do with a rollout and its reward."""

    observation_size: int
    action_space: gymnasium.Space

    def init(self, seed: int, num_envs: int) -> Any:
        """A fresh state; the same seed gives the same one."""
        ...

    def fresh_policy(self, seed: int) -> Policy:
        """The policy that `init` begins with, on the CPU."""
        ...

    def update(
        self, state: Any, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[Any, dict[str, float]]:
        """One round of learning, and what there is to know about it."""
        ...

    def tensors(self, state: Any) -> dict[str, Tensor]:
        """What a checkpoint keeps; the policy's own stand under `policy.`."""
        ...

    def load_tensors(self, state: Any, tensors: dict[str, Tensor]) -> Any:
        """Go on from what `tensors` returned, bit for bit."""
        ...
