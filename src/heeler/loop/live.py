"""Records what the first environment does while somebody watches the run; costs nothing while nobody does."""

import math
import time
from pathlib import Path

import numpy as np

from heeler.core.live import LiveStretch, is_watched, leave
from heeler.core.rollout import Rollout
from heeler.envs import DRAWN_IDS, World
from heeler.loop.parts import Arrays, Part, Turn

LEAVE_EVERY_S = 10.0
_SHOWN_S = 4.0
_SHOWN_FPS = 12.5
_LOOK_EVERY_S = 1.0
_DEFAULT_RENDER_FPS = 30.0


class LiveRecorder(Part):
    """Leaves the last seconds of the first environment for whoever watches, every ten seconds or so.

    Args:
        run: its directory.
        world: that it acts in; one that heeler cannot draw is never recorded.
    """

    def __init__(self, run: Path, world: World) -> None:
        self._run = run
        self._can_be_drawn = world.env_id in DRAWN_IDS
        speed = steps_per_second(world)
        self._every = max(1, round(speed / _SHOWN_FPS))
        self._fps = speed / self._every
        self._rows: list[np.ndarray] = []
        self._num_steps = 0
        self._looked_s = self._left_s = self._began_s = -math.inf
        self._is_watched = self._is_recorded = False

    def wants_snapshots(self) -> bool:
        """Whether somebody is to see the next rollout."""
        self._is_recorded = self._is_due()
        return self._is_recorded

    def after_rollout(self, turn: Turn) -> Turn:
        """Take it in, where somebody is to see it."""
        if self._is_recorded:
            self._add(turn.rollout, turn.step)
        return turn

    def restore(self, arrays: Arrays, state: None) -> None:
        """Another stretch follows than the one that was recorded."""
        self._rows = []

    def _is_due(self) -> bool:
        if not self._can_be_drawn:
            return False
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s, self._is_watched = now_s, is_watched(self._run)
        return self._is_watched and (bool(self._rows) or now_s - self._left_s >= LEAVE_EVERY_S)

    def _add(self, rollout: Rollout, step: int) -> None:
        """Leave what was recorded once it is enough; a rollout without snapshots is not taken."""
        if rollout.snapshot is None:
            return
        now_s = time.monotonic()
        if not self._rows:
            self._began_s, self._num_steps = now_s, 0
        first = -self._num_steps % self._every
        self._rows += list(rollout.snapshot[first :: self._every, 0].copy())
        self._num_steps += rollout.num_steps
        # Where updates are slow, a shorter stretch now is better than a whole one later.
        is_late = now_s - self._began_s >= LEAVE_EVERY_S
        if len(self._rows) >= _SHOWN_S * self._fps or (is_late and self._rows):
            shown = self._rows[-max(1, round(_SHOWN_S * self._fps)) :]
            leave(self._run, LiveStretch(snapshot=np.stack(shown), fps=self._fps, step=step))
            self._rows = []
            self._left_s = now_s


def steps_per_second(world: World) -> float:
    """Of the world's own time, or of what its maker shows it at."""
    fps = world.metadata.get("render_fps")
    is_number = isinstance(fps, int | float | np.integer | np.floating)
    return float(fps) if is_number and 0 < fps < math.inf else _DEFAULT_RENDER_FPS
