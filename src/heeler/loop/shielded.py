"""A run's shield: counts what it did, logs both actions where it stepped in, learns where it can, and is kept."""

import io
from pathlib import Path

import numpy as np

from heeler.core.rollout import Rollout
from heeler.core.rundir import write_atomically
from heeler.loop.parts import Arrays, Kept, Metrics, Part, Turn
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.safety.shields.shield import Shield

FOLDER = "shielded"
"""In the run's directory: of each rollout in which a shield stepped in, a file named by the step that it ended at."""


class Shielded(Part):
    """The shield of one run.

    Args:
        shield: over the world that the run acts in.
        run: the run's directory.
    """

    name = "shield"

    def __init__(self, shield: Shield, run: Path) -> None:
        self.shield, self._folder = shield, run / FOLDER
        self._counted: Metrics = {}

    def after_rollout(self, turn: Turn) -> Turn:
        """Count and log what was shielded, and have its critic learn.

        Raises:
            RunError: the disk is full or read-only.
        """
        self._counted = self.shield.learn(turn.rollout, turn.policy)
        logged = shielded_steps(turn.rollout)
        if len(logged["environment"]):
            self._folder.mkdir(exist_ok=True)
            content = io.BytesIO()
            np.savez_compressed(content, allow_pickle=False, **logged)
            # A stretch that is made again writes its files again.
            write_atomically(self._folder / f"{turn.step:012d}.npz", content.getvalue())
        return turn

    def metrics(self) -> Metrics:
        """Of the last rollout."""
        return self._counted

    def kept(self) -> Kept:
        """What its critic learned, and what it is about to do."""
        return to_arrays(self.shield.tensors() | self.shield.held()), None

    def restore(self, arrays: Arrays, state: None) -> None:
        """Go on from what `kept` returned."""
        self.shield.load_tensors(to_tensors(arrays))
        self.shield.load_held(to_tensors(arrays))

    def close(self) -> None:
        """Close its twins of the world."""
        self.shield.close()


def shielded_steps(rollout: Rollout) -> dict[str, np.ndarray]:
    """The steps in which a shield put another action in the place of the policy's, S of them in the order of time.

    Returns:
        `environment`, `episode`, `episode_step`, [S] integers; `proposed`, before its bounds, and `executed`, [S, A];
        `nothing_safe`, [S] bool, where what was executed is the declared fallback.
    """
    assert rollout.shielded is not None and rollout.nothing_safe is not None
    t_S, n_S = np.nonzero(rollout.shielded)
    return {
        "environment": n_S,
        "episode": rollout.episode_index[t_S, n_S],
        "episode_step": rollout.episode_step[t_S, n_S],
        "proposed": rollout.action[t_S, n_S],
        "executed": rollout.executed[t_S, n_S],
        "nothing_safe": rollout.nothing_safe[t_S, n_S],
    }
