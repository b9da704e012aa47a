"""Where the episodes of several copies of a world stand, as far as overseers are told of it.

Shapes: N copies, n of them, O observation numbers, A action numbers, C costs.
"""

from typing import Protocol

import numpy as np


class Episodes(Protocol):
    """Whatever keeps count of the present episodes."""

    episode_step: np.ndarray
    """[N] steps that were taken in each; 0 where it begins."""
    episode_cost: np.ndarray
    """[N, C] what they cost so far."""

    @property
    def cost_names(self) -> tuple[str, ...]:
        """C of them."""
        ...


class EpisodeCount:
    """Counts steps and costs of N episodes at a time.

    Args:
        num: N.
        cost_names: C of them.
    """

    def __init__(self, num: int, cost_names: tuple[str, ...]) -> None:
        self.cost_names = cost_names
        self.episode_step = np.zeros(num, np.int64)
        self.episode_cost = np.zeros((num, len(cost_names)))

    def add(self, cost: np.ndarray) -> None:
        """A step of all, of which each cost [N, C]."""
        self.episode_step += 1
        self.episode_cost += cost

    def begin(self, rows: np.ndarray) -> None:
        """New episodes in these copies."""
        self.episode_step[rows] = 0
        self.episode_cost[rows] = 0


class Course:
    """What was done in the present episodes and counts for what is to be done.

    Several reviews may share one, each of copies of its own, which then go from one to another as they stand.

    Args:
        num: N.
    """

    def __init__(self, num: int) -> None:
        self.energy = np.zeros(num)
        """[N] squared actions, summed over the episode."""
        self.previous: tuple[np.ndarray, np.ndarray] | None = None
        """[N, O] and [N, A]: the step before, as it was carried out; None at first."""
        self.sums: np.ndarray | None = None
        """What learned overseers have summed up; None where there are none."""

    def take(self, observation: np.ndarray, executed: np.ndarray, rows_n: np.ndarray) -> None:
        """A step of the copies `rows_n`, as it is carried out; of the others' numbers nothing is taken."""
        self.energy[rows_n] += energy_of(executed.take(rows_n, 0))
        if self.previous is None:
            self.previous = (np.zeros_like(observation), np.zeros_like(executed))
        for mine, given in zip(self.previous, (observation, executed), strict=True):
            mine[rows_n] = given.take(rows_n, 0)


def energy_of(action: np.ndarray) -> np.ndarray:
    """[N] squared actions, summed over each of [N, A]."""
    exact = action.astype(np.float64)
    return np.einsum("na,na->n", exact, exact)
