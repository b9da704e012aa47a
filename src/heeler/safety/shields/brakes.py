"""Brakes of heeler's own worlds, as `shield.fallback.function` names them."""

import numpy as np

_AHEAD_GAIN, _TURN_GAIN = 7.0, 0.4
"""Just short of what would bring the point robot past a standstill within a step."""


def point_robot(observation_BO: np.ndarray) -> np.ndarray:
    """[B, 2] against a point robot's speed ahead and its turning; what slides sideways is left to drag.

    Args:
        observation_BO: of `PointGoal`: speed ahead comes first, rate of turning fifth.
    """
    against = -np.stack([_AHEAD_GAIN * observation_BO[:, 0], _TURN_GAIN * observation_BO[:, 4]], 1)
    return np.clip(against, -1.0, 1.0).astype(np.float32)
