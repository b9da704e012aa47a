"""Small worlds of tables, solved exactly, for the tests of shaping."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Table:
    """A world of S states and A actions; the last state is terminal where there is one."""

    chance: np.ndarray
    """[S, A, S] of each next state."""
    reward: np.ndarray
    """[S, A, S]."""
    terminal: np.ndarray
    """[S] bool."""

    @property
    def possible(self) -> np.ndarray:
        """[S, A, S] bool."""
        return self.chance > 0


def random_table(seed: int, *, num_states: int = 6, num_actions: int = 3, has_end: bool = True) -> Table:
    """Each action leads to one to three states at random."""
    rng = np.random.default_rng(seed)
    shape = (num_states, num_actions, num_states)
    chance = np.zeros(shape)
    for state in range(num_states):
        for action in range(num_actions):
            reached = rng.choice(num_states, rng.integers(1, 4), replace=False)
            chance[state, action, reached] = rng.dirichlet(np.ones(len(reached)))
    terminal = np.zeros(num_states, bool)
    terminal[-1] = has_end
    return Table(chance, rng.normal(size=shape), terminal)


def action_values(table: Table, extra: np.ndarray, discount: float) -> np.ndarray:
    """[S, A] by value iteration, the extra reward added; 0 in terminal states."""
    value = np.zeros(len(table.terminal))
    paid = (table.chance * (table.reward + extra)).sum(-1)
    quality = np.zeros_like(paid)
    for _ in range(int(25 / (1 - discount))):
        quality = paid + discount * table.chance @ value
        quality[table.terminal] = 0.0
        value = quality.max(1)
    return quality


def shaped(table: Table, potential: np.ndarray, discount: float) -> np.ndarray:
    """[S, A, S] by a loop: gamma phi(s') - phi(s), phi nothing in terminal states."""
    extra = np.zeros(table.chance.shape)
    for s in range(extra.shape[0]):
        for a in range(extra.shape[1]):
            for t in range(extra.shape[2]):
                after = 0.0 if table.terminal[t] else potential[t]
                extra[s, a, t] = discount * after - potential[s]
    return extra
