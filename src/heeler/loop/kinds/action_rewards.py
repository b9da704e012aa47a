"""What an action earns by itself, in worlds where that can be told from what is seen: for simulated corrections.

Shapes: J actions, O observation numbers, A action numbers.
"""

from collections.abc import Mapping

import numpy as np

from heeler.core.errors import ConfigError
from heeler.feedback.kinds_teacher import ActionReward


def _pendulum(seen_JO: np.ndarray, action_JA: np.ndarray) -> np.ndarray:
    """Upright, at rest and without effort; what comes of an action counts in the steps that follow."""
    angle = np.arctan2(seen_JO[:, 1], seen_JO[:, 0])
    return -(angle**2 + 0.1 * seen_JO[:, 2] ** 2 + 0.001 * action_JA[:, 0] ** 2)


ACTION_REWARDS: Mapping[str, ActionReward] = {"Pendulum-v1": _pendulum}


def action_reward(env_id: str) -> ActionReward:
    """Of a world.

    Raises:
        ConfigError: nobody knows.
    """
    if env_id not in ACTION_REWARDS:
        raise ConfigError(
            "a simulated teacher can correct only where it is known what an action earns "
            f"({', '.join(ACTION_REWARDS)}), not in {env_id}; leave correction out of kinds.kinds, or let people answer"
        )
    return ACTION_REWARDS[env_id]
