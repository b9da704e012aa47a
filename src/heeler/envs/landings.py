"""Counting landed backflips from pitch and ground contacts, for a whole batch at once."""

import numpy as np

FULL_TURN = 2 * np.pi


class LandingCounter:
    """How many full backward turns each environment has landed in its episode.

    A landed backflip: the unwrapped pitch turns a full −2π between two foot contacts, and neither torso nor thigh
    touches the ground in between. Each turn counts once. The counter remembers the highest pitch at a foot contact
    (the anchor); a foot contact k full turns below the anchor counts k and lowers the anchor by as many turns; a touch
    of torso or thigh forgets the anchor, so that the next turn must begin at a later foot contact.
    """

    def __init__(self, num_envs: int):
        self.count = np.zeros(num_envs, np.int64)
        """[N] backflips landed so far in the episode."""
        self.anchor = np.full(num_envs, -np.inf)
        """[N] pitch (radians) that turns are measured from; −inf before the first foot contact."""

    def begin(self, rows: np.ndarray) -> None:
        """Forget everything about the environments `rows`."""
        self.count[rows] = 0
        self.anchor[rows] = -np.inf

    def update(self, pitch: np.ndarray, foot_touches: np.ndarray, body_touches: np.ndarray) -> np.ndarray:
        """Take in one step.

        Args:
            pitch: [N] unwrapped pitch in radians; backward turns lower it.
            foot_touches: [N] whether the foot touches the ground.
            body_touches: [N] whether torso or thigh touches the ground.

        Returns:
            [N] backflips landed in this step.
        """
        self.anchor[body_touches] = -np.inf
        stands = foot_touches & ~body_touches
        np.maximum(self.anchor, pitch, out=self.anchor, where=stands)
        turns = np.zeros_like(pitch)
        np.subtract(self.anchor, pitch, out=turns, where=stands)
        landed = np.floor(turns / FULL_TURN)
        self.anchor -= landed * FULL_TURN
        self.count += landed.astype(np.int64)
        return landed.astype(np.int64)
