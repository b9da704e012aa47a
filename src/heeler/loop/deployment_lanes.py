"""Episodes side by side, each under one release, and what they came to in the order in which they began.

Shapes: N lanes, C costs.
"""

from collections import deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.loop.overseers.course import EpisodeCount
from heeler.oversight.harm import LiveEpisode


@dataclass
class _Begun:
    """An episode; what it came to once it is over."""

    release: str
    came_to: LiveEpisode | None = None
    is_void: bool = False
    """Another release took over in the middle, so that it tells of neither."""


class Lanes:
    """Keeps count of N episodes at a time.

    Args:
        count: of the steps and costs of N episodes; it is kept here, and others may look.
        random: draws which episodes a candidate gets.
    """

    def __init__(self, count: EpisodeCount, random: np.random.Generator) -> None:
        self._count, self._random = count, random
        num = len(count.episode_step)
        self._returns = np.zeros(num)
        self._figures: dict[str, np.ndarray] = {}
        self._counted: dict[str, np.ndarray] = {}
        """Of the step that was acted in last and is not taken in yet."""
        self._begun: list[_Begun] = [_Begun("", is_void=True) for _ in range(num)]
        self._order: dict[str, deque[_Begun]] = {}
        """Episodes of each release that were not handed on yet, the first first."""

    def begin(self, rows: np.ndarray, release: str, other: str | None, share: float) -> None:
        """New episodes in these lanes.

        Args:
            rows: which lanes.
            release: in use.
            other: a candidate, which gets some of them.
            share: how many, on average.
        """
        self._returns[rows] = 0
        self._count.begin(rows)
        for sums in self._figures.values():
            sums[rows] = 0
        draws = self._random.random(len(rows))
        for row, draw in zip(rows.tolist(), draws.tolist(), strict=True):
            begun = _Begun(other if other is not None and draw < share else release)
            # One that was never ended tells of nothing, and must not hold up those that began after it.
            self._begun[row].is_void |= self._begun[row].came_to is None
            self._begun[row] = begun
            self._order.setdefault(begun.release, deque()).append(begun)

    def by_release(self, in_use: str, may_act: Container[str]) -> Iterator[tuple[str, np.ndarray]]:
        """[N] bool, the lanes of each release; those of one that may act no more go to the one in use from now on."""
        rows: dict[str, np.ndarray] = {}
        for row, begun in enumerate(self._begun):
            if begun.release not in may_act:
                begun.is_void, begun.release = True, in_use
            rows.setdefault(begun.release, np.zeros(len(self._begun), bool))[row] = True
        self._counted = {}
        yield from rows.items()

    def count(self, counted: Mapping[str, np.ndarray]) -> None:
        """Of which kind the step is that is acted in now: [N] bool each, in the lanes of one release."""
        for name, is_so_N in counted.items():
            self._counted[name] = self._counted.get(name, False) | is_so_N

    def checked(self, observation: np.ndarray) -> np.ndarray:
        """[N, O] float32 observations, one for each lane.

        Raises:
            DataError: there are more or fewer, or one is not finite.
        """
        seen = np.asarray(observation, np.float32)
        if seen.ndim != 2 or len(seen) != len(self._begun):
            raise DataError(f"observation: expected [{len(self._begun)}, O] numbers, got the shape {list(seen.shape)}")
        if not np.isfinite(seen).all():
            row = int(np.flatnonzero(~np.isfinite(seen).all(1))[0])
            raise DataError(f"observation, row {row}: expected finite numbers, got {seen[row]}")
        return seen

    def add(self, reward: np.ndarray, ended: np.ndarray, cost: np.ndarray | None) -> np.ndarray:
        """Take in a step; returns the lanes whose episode is over.

        Raises:
            DataError: numbers of lanes or costs do not fit, or one is not finite.
        """
        num = len(self._begun)
        given = np.zeros((num, 0)) if cost is None else np.asarray(cost, np.float64)
        shapes = {"reward": (num,), "ended": (num,), "cost": self._count.episode_cost.shape}
        for name, came in (("reward", reward), ("ended", ended), ("cost", given)):
            if np.shape(came) != shapes[name]:
                raise DataError(f"{name}: expected the shape {list(shapes[name])}, got {list(np.shape(came))}")
        for name, values in (("reward", np.asarray(reward)), ("cost", given)):
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values.reshape(num, -1)).all(1))[0])
                raise DataError(f"{name}, row {row}: expected a finite number, got {values[row]}")
        self._returns += reward
        self._count.add(given)
        for name, is_so_N in self._counted.items():
            self._figures[name] = self._figures.get(name, np.zeros(num)) + is_so_N
        self._counted = {}
        rows = np.flatnonzero(ended)
        for row in rows.tolist():
            self._begun[row].came_to = LiveEpisode(
                episode_return=float(self._returns[row]),
                length=int(self._count.episode_step[row]),
                costs=dict(zip(self._count.cost_names, self._count.episode_cost[row].tolist(), strict=True)),
                figures={name: float(sums[row]) for name, sums in self._figures.items()},
            )
        return rows

    def take(self) -> list[tuple[str, LiveEpisode]]:
        """Episodes that are over and that none is before which began earlier under the same release."""
        taken: list[tuple[str, LiveEpisode]] = []
        for release, waiting in list(self._order.items()):
            while waiting and (waiting[0].is_void or waiting[0].came_to is not None):
                first = waiting.popleft()
                if not first.is_void and first.came_to is not None:
                    taken.append((release, first.came_to))
            if not waiting:
                del self._order[release]
        return taken
