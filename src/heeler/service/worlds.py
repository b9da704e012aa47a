"""What is known of a run's world: how long a step takes and what an agent may do. No world goes on running for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from heeler.core.errors import HeelerError
from heeler.core.nouns import Segment
from heeler.envs import DRAWN_IDS, EnvConfig, World, make

DEFAULT_STEP_S = 1 / 30
MAX_CHOICES, MAX_NUMBERS = 9, 3
"""Actions that a keyboard has keys for: so many of a discrete one, or so many numbers."""


@dataclass(frozen=True, kw_only=True)
class Actions:
    """An action space. `counts` of discrete ones; `low` and `high` of numbers, None where unbounded."""

    discrete: bool
    size: int
    low: list[float | None] | None = None
    high: list[float | None] | None = None
    counts: list[int] | None = None

    @property
    def fit_a_keyboard(self) -> bool:
        """Whether somebody can drive with keys."""
        if self.discrete:
            return self.counts is not None and len(self.counts) == 1 and self.counts[0] <= MAX_CHOICES
        return self.low is not None and self.size <= MAX_NUMBERS and None not in [*self.low, *(self.high or [])]


@dataclass(frozen=True, kw_only=True)
class WorldFacts:
    """A world that was looked at once."""

    config: EnvConfig
    step_s: float
    actions: Actions

    @property
    def can_be_driven(self) -> bool:
        """Whether somebody may show how it is done."""
        return self.actions.fit_a_keyboard


def look_at(config: Mapping[str, Any]) -> WorldFacts | None:
    """The facts of the world in a run's configuration; None where it cannot be made here.

    A world named as `module:Class` is code that the run brings along, which the service does not execute.
    """
    settings = config.get("env")
    if not isinstance(settings, Mapping) or ":" in str(settings.get("id", ":")):
        return None
    known = {field.name for field in fields(EnvConfig)}
    try:
        env = EnvConfig(**{name: value for name, value in settings.items() if name in known}).single()
        # One thread, and not one for each core, of which the learner needs all.
        env = replace(env, num_threads=1)
        world = make(env, seed=0)
    except (HeelerError, TypeError, ImportError, ValueError):
        return None
    try:
        return WorldFacts(config=env, step_s=_step_s(world), actions=_actions(world))
    finally:
        world.close()


def can_be_drawn(segment: Segment) -> bool:
    """Whether there is a picture of it."""
    return segment.snapshot is not None and segment.env_id in DRAWN_IDS


def actions_of(segment: Segment) -> Actions:
    """What its actions tell by themselves, where its world is not known."""
    return Actions(discrete=segment.action.dtype == np.int64, size=segment.action.shape[1])


def _step_s(world: World) -> float:
    fps = world.metadata.get("render_fps")
    is_number = isinstance(fps, int | float | np.integer | np.floating)
    return 1 / float(fps) if is_number and 0 < fps < math.inf else DEFAULT_STEP_S


def _actions(world: World) -> Actions:
    space = world.single_action_space
    if isinstance(space, Discrete):
        return Actions(discrete=True, size=1, counts=[int(space.n)])
    if isinstance(space, MultiDiscrete):
        return Actions(discrete=True, size=len(space.nvec), counts=[int(n) for n in space.nvec])
    assert isinstance(space, Box)
    return Actions(discrete=False, size=space.shape[0], low=_bounds(space.low), high=_bounds(space.high))


def _bounds(values: np.ndarray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
