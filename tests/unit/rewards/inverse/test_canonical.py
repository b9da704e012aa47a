"""Distances between rewards: nothing that behaviour cannot show counts, and all else does."""

import math

import numpy as np
import pytest

from heeler.rewards.inverse.canonical import canonical, reachable, reward_distance, true_tables
from heeler.rewards.inverse.grids import lava_world
from heeler.rewards.inverse.world import to_dense
from tests.unit.rewards.inverse.worlds import random_tables, random_world


def shaped(world, tables, potential):  # type: ignore[no-untyped-def]
    """By a loop: γ E[φ(s')] − φ(s) for steps; an end gives back what the potential of its state has lent."""
    step, end = tables[0].copy(), tables[1] - potential
    dense = to_dense(world)
    for s in range(world.num_states):
        for a in range(world.num_actions):
            step[s, a] += world.discount * sum(dense[s, a, t] * potential[t] for t in range(world.num_states))
            step[s, a] -= potential[s]
    return step, end


@pytest.mark.parametrize("horizon", [5, None])
@pytest.mark.parametrize("ends", [False, True])
def test_potentials_constants_and_scales_do_not_count(horizon: int | None, ends: bool) -> None:
    world = random_world(1, horizon=horizon, ends=ends)
    tables = random_tables(world, 2)
    potential = np.random.default_rng(3).normal(size=6)
    moved = shaped(world, tables, potential)
    np.testing.assert_allclose(canonical(world, moved), canonical(world, tables), atol=1e-8)
    assert reward_distance(world, tables, (7 * moved[0], 7 * moved[1])) == pytest.approx(0, abs=1e-8)
    assert reward_distance(world, tables, (-tables[0], -tables[1])) == pytest.approx(1)
    if not ends:
        assert reward_distance(world, tables, (tables[0] + 5, tables[1] + 5)) == pytest.approx(0, abs=1e-8)


def test_it_is_a_distance() -> None:
    world = random_world(4)
    first, second, third = (random_tables(world, seed) for seed in (5, 6, 7))
    ways = [reward_distance(world, *pair) for pair in ((first, second), (second, third), (first, third))]
    assert all(0.05 < way < 1 for way in ways)
    assert ways[2] <= ways[0] + ways[1]
    assert reward_distance(world, second, first) == pytest.approx(ways[0])


def test_the_canonical_form_is_the_advantage_under_a_coin() -> None:
    world = random_world(8, horizon=3, ends=True)
    step, end = random_tables(world, 9)
    value, dense, lead = end.copy(), to_dense(world), np.zeros((3, 6, 3))
    for time in (2, 1, 0):
        q = step + world.discount * dense @ value
        value = np.where(world.terminal_S, end, q.mean(1))
        lead[time] = (q - value[:, None]) * ~world.terminal_S[:, None]
    np.testing.assert_allclose(canonical(world, (step, end)), lead, atol=1e-12)


def test_rewards_that_leave_all_behaviour_as_good_are_alike() -> None:
    world = random_world(10)
    nothing = np.zeros((6, 3)), np.zeros(6)
    constant = np.full((6, 3), 4.0), np.full(6, 4.0)
    assert reward_distance(world, nothing, constant) == 0
    assert reward_distance(world, nothing, random_tables(world, 1)) == pytest.approx(math.sqrt(0.5))


def test_where_nobody_can_come_nothing_counts() -> None:
    world = lava_world(("S.#", "..G"), discount=0.9)
    tables = true_tables(world)
    assert tables is not None
    elsewhere = tables[0].copy(), tables[1].copy()
    elsewhere[0][2] = 9.0, -9.0, 0.0, 3.0
    assert reward_distance(world, tables, elsewhere) == pytest.approx(0, abs=1e-9)
    assert reachable(world)[0].tolist() == [True, True, False, True, True, False]


def test_what_can_be_reached_by_each_step() -> None:
    world = lava_world(("S.G",), horizon=2)
    assert reachable(world).tolist() == [[True, False, False], [True, True, False]]
