"""Small worlds for the tests of inverse reinforcement learning, and plain loops to compare with."""

import itertools
import math
from typing import Any

import numpy as np

from heeler.rewards.inverse.world import FiniteWorld, from_dense, to_dense


def random_world(
    seed: int, *, num_states: int = 6, num_actions: int = 3, ends: bool = False, **fields: Any
) -> FiniteWorld:
    """Each action leads to one to three states; the last state is terminal where episodes end."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((num_states, num_actions, num_states))
    for state, action in itertools.product(range(num_states), range(num_actions)):
        reached = rng.choice(num_states, rng.integers(1, 4), replace=False)
        dense[state, action, reached] = rng.dirichlet(np.ones(len(reached)))
    start = np.zeros(num_states)
    start[:3] = rng.dirichlet(np.ones(3))
    terminal = np.zeros(num_states, bool)
    terminal[-1] = ends
    return from_dense(dense, **{"start_S": start, "discount": 0.9, "terminal_S": terminal} | fields)


def random_tables(world: FiniteWorld, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(world.num_states, world.num_actions)), rng.normal(size=world.num_states)


def looped_values(world: FiniteWorld, step: np.ndarray, end: np.ndarray, *, soft: bool, num: int) -> list[np.ndarray]:
    """Q of each of `num` steps, the first first, by loops over states, actions and next states."""
    dense, value = to_dense(world), [float(each) for each in end]
    tables: list[np.ndarray] = []
    for _ in range(num):
        q = np.zeros((world.num_states, world.num_actions))
        for s, a in itertools.product(range(world.num_states), range(world.num_actions)):
            q[s, a] = step[s, a] + world.discount * sum(dense[s, a, t] * value[t] for t in range(world.num_states))
        tables.insert(0, q)
        for s in range(world.num_states):
            if world.terminal_S[s]:
                value[s] = float(end[s])
            else:
                value[s] = math.log(sum(math.exp(each) for each in q[s])) if soft else max(q[s])
    return tables


def looped_visits(world: FiniteWorld, policies: list[np.ndarray], num: int) -> np.ndarray:
    """[S] discounted visits over `num` steps, the last state among them; the last policy goes on."""
    dense, mass, total = to_dense(world), world.start_S.copy(), np.zeros(world.num_states)
    for time in range(num):
        total += world.discount**time * mass
        after = np.zeros(world.num_states)
        policy = policies[min(time, len(policies) - 1)]
        for s, a, t in itertools.product(range(world.num_states), range(world.num_actions), range(world.num_states)):
            if not world.terminal_S[s]:
                after[t] += mass[s] * policy[s, a] * dense[s, a, t]
        mass = after
    return total + world.discount**num * mass
