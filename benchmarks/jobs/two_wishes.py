"""A world in which two groups want opposite things of one number and the same of another, and what each gets in it."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

SPEED, LENGTH = 0.1, 20
WISH_GF = np.array([[2.0, 1.0, -0.5], [-2.0, 1.0, -0.5]])
"""What the two groups want of x, y and x²: opposite sides, and both of them up."""


class TwoWishes(gymnasium.Env[np.ndarray, np.ndarray]):
    """Move a point in a square, from its middle.

    Observation: x and y, each from −1 to 1, and x². Actions: velocities along x and y, each from −1 to 1, of which a
    tenth is covered in a step. Reward: what the first group wants, 2x + y − x²/2; the second wants −2x + y − x²/2.
    """

    def __init__(self) -> None:
        self.observation_space = Box(-1.0, 1.0, (3,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self._place, self._num_steps = np.zeros(2), 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin near the middle."""
        super().reset(seed=seed, options=options)
        self._place, self._num_steps = self.np_random.uniform(-0.2, 0.2, 2), 0
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move."""
        self._place = np.clip(self._place + SPEED * np.clip(action, -1.0, 1.0), -1.0, 1.0)
        self._num_steps += 1
        seen = self._seen()
        return seen, float(WISH_GF[0] @ seen), False, self._num_steps >= LENGTH, {}

    def _seen(self) -> np.ndarray:
        x, y = self._place
        return np.array([x, y, x * x], np.float32)


def worth_of_places(num_steps: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """What groups get who go straight to each of K places, and stay there, from the middle.

    As both groups' rewards are concave in where the point is, and both want it up, no mixture of policies does better
    by any rule than one of these.

    Returns:
        [G, K] mean rewards in units in which a group's best is 1 and to stay in the middle 0, and [G] what one is.
    """
    place_K = np.linspace(-1, 1, 81)
    way_T = np.minimum(SPEED * np.arange(1, num_steps + 1), 1.0)
    x_KT = np.sign(place_K)[:, None] * np.minimum(way_T, np.abs(place_K)[:, None])
    seen_KTF = np.stack([x_KT, np.broadcast_to(way_T, x_KT.shape), x_KT**2], -1)
    worth_GK = (seen_KTF @ WISH_GF.T).mean(1).T
    best_G = worth_GK.max(1)
    return worth_GK / best_G[:, None], best_G
