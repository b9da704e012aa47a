"""Brakes of heeler's own worlds, as `shield.fallback.function` names them."""

import numpy as np

_PUSH_GAIN, _FACE_GAIN, _TURN_GAIN = 7.0, 8.0, 0.4
"""Pushing just short of what would bring the point robot past a standstill within a step."""
_STILL = 1e-4
"""Metres a second: slower than that it does not turn to face what is left."""


def point_robot(observation_BO: np.ndarray) -> np.ndarray:
    """[B, 2] against a point robot's speed, whichever way it slides.

    It can push along its heading alone, and drag takes half a second to halve what slides sideways. So it turns to face
    its own movement, or its back, and keeps as much speed ahead as it still slides sideways until it does: all of it
    comes to an end together, within about twenty steps.

    Args:
        observation_BO: of `PointGoal`: speed ahead comes first, speed to the left second, rate of turning fifth.
    """
    ahead_B, left_B, turning_B = observation_BO[:, 0], observation_BO[:, 1], observation_BO[:, 4]
    speed_B = np.hypot(ahead_B, left_B)
    # Whoever slides sideways alone faces it to the left or the right, and does not change sides by rounding.
    side_B = np.where(ahead_B < -0.2 * speed_B, -1.0, 1.0)
    along_B = np.maximum(side_B * ahead_B, 0.0)
    push_B = -_PUSH_GAIN * side_B * np.maximum(along_B - np.abs(left_B), 0.0)
    face_B = np.arctan2(side_B * left_B, along_B + 1e-12) * np.minimum(1.0, speed_B / _STILL)
    return np.clip(np.stack([push_B, _FACE_GAIN * face_B - _TURN_GAIN * turning_B], 1), -1.0, 1.0).astype(np.float32)
