"""Finding out that an extra reward would change the best policy: exactly in tables, with a stated error from steps."""

import itertools
import math

import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.rewards.policy_invariance import best_loop, check_table
from heeler.rewards.sampled_invariance import check_samples
from tests.unit.rewards.tables import Table, action_values, random_table, shaped


def checked(table: Table, extra: np.ndarray, discount: float = 0.9):
    return check_table(extra, table.possible, table.terminal, discount=discount)


@pytest.mark.parametrize("discount", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("has_end", [True, False])
def test_the_potential_is_found_again(discount: float, has_end: bool):
    for seed in range(10):
        table = random_table(seed, has_end=has_end)
        potential = np.random.default_rng(seed).normal(size=6)
        found = checked(table, shaped(table, potential, discount), discount)
        assert found.is_potential_based, found.in_words
        assert found.loop is None
        # Without an end and a discount, potentials that differ by a constant are the same.
        free = discount == 1.0
        expected, got = potential[~table.terminal], found.potential[~table.terminal]
        if not free:
            np.testing.assert_allclose(got, expected, atol=1e-7)
        assert "stays as it is" in found.in_words


def test_what_it_finds_is_what_value_iteration_sees():
    """An extra reward that is no potential's changes the best policy under some reward; here under that which is best
    only just, so that any push turns it."""
    num_changed = 0
    for seed in range(30):
        table = random_table(seed)
        extra = shaped(table, np.random.default_rng(seed).normal(size=6), 0.9)
        extra[0, 0, :] += 1.0
        assert not checked(table, extra).is_potential_based
        # Make all actions in state 0 equally good, whatever they lead to: then nothing but the extra reward decides.
        quality = action_values(table, np.zeros(extra.shape), 0.9)
        level = table.reward.copy()
        level[0] += (quality[0].max() - quality[0])[:, None]
        tied = Table(table.chance, level, table.terminal)
        before, after = action_values(tied, np.zeros(extra.shape), 0.9), action_values(tied, extra, 0.9)
        assert before[0] == pytest.approx(before[0].max(), abs=1e-6)
        num_changed += after[0, 0] > after[0, 1:].max() + 1e-3
    assert num_changed == 30


def test_the_bicycle_that_goes_in_circles_by_hand():
    """Reward for going towards the goal and none for going away is earned for ever (Randløv and Alstrøm 1998)."""
    chance = np.zeros((3, 2, 3))
    chance[0, :, 1] = chance[1, 0, 0] = chance[1, 1, 2] = 1.0
    table = Table(chance, np.zeros(chance.shape), np.array([False, False, True]))
    extra = np.zeros(chance.shape)
    extra[0, :, 1] = 1.0
    found = checked(table, extra, 1.0)
    assert not found.is_potential_based
    assert found.loop is not None
    assert set(found.loop.states) == {0, 1}
    assert found.loop.gain == pytest.approx(0.5)
    assert "earns 0.5 a step, for ever" in found.in_words
    # Taken back on the way away, it is a potential.
    extra[1, 0, 0] = -1.0
    extra[1, 1, 2] = -1.0
    assert checked(table, extra, 1.0).is_potential_based


def test_pay_for_each_step_is_a_potential_where_nothing_ends_and_not_where_episodes_do():
    endless, ending = random_table(3, has_end=False), random_table(3, has_end=True)
    assert checked(endless, np.ones(endless.chance.shape)).is_potential_based
    found = checked(ending, np.ones(ending.chance.shape))
    assert not found.is_potential_based
    assert 0 < found.unexplained < 1


def test_a_potential_with_something_in_terminal_states_is_told():
    table = random_table(1)
    potential = np.random.default_rng(0).normal(size=6)
    extra = 0.9 * potential[None, None, :] - potential[:, None, None]
    assert not checked(table, np.broadcast_to(extra, table.chance.shape)).is_potential_based


def test_shaping_by_another_discount_is_told():
    table = random_table(1)
    potential = np.random.default_rng(0).normal(size=6)
    assert not checked(table, shaped(table, potential, 0.9), 0.8).is_potential_based


def test_steps_that_cannot_be_made_do_not_count():
    table = random_table(2)
    extra = shaped(table, np.arange(6.0), 0.9)
    extra[~table.possible] = 77.0
    extra[table.terminal] = -5.0
    assert checked(table, extra).is_potential_based


def test_bad_tables_are_refused():
    table = random_table(0)
    with pytest.raises(DataError, match=r"shape \(S, A, S\) with S = 6"):
        check_table(np.zeros((5, 3, 5)), table.possible, table.terminal, discount=0.9)
    with pytest.raises(DataError, match="discount"):
        check_table(np.zeros(table.chance.shape), table.possible, table.terminal, discount=0.0)
    with pytest.raises(DataError, match="finite number"):
        checked(table, np.full(table.chance.shape, np.nan))


def test_the_best_loop_against_enumeration():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        edges = np.where(rng.random((5, 5)) < 0.45, rng.normal(size=(5, 5)), -math.inf)
        means = [
            np.mean([edges[a, b] for a, b in zip(way, (*way[1:], way[0]), strict=True)])
            for length in range(1, 6)
            for way in itertools.permutations(range(5), length)
        ]
        best = max(means)
        found = best_loop(edges)
        if best == -math.inf:
            assert found is None
        else:
            assert found is not None
            assert found.gain == pytest.approx(best)
            around = zip(found.states, (*found.states[1:], found.states[0]), strict=True)
            assert np.mean([edges[a, b] for a, b in around]) == pytest.approx(best)


# By steps


def walk(seed: int, num_steps: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Before, action, after and ends of a body that is pushed about in a plane and falls off its edge now and then."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(num_steps, 2))
    action = rng.uniform(-1, 1, size=(num_steps, 2))
    after = place + 0.3 * action + 0.05 * rng.normal(size=(num_steps, 2))
    return place, action, after, np.abs(after).max(1) > 2.5


def potential(place: np.ndarray) -> np.ndarray:
    """A smooth hill."""
    return 3 * np.exp(-0.5 * np.square(place - 0.5).sum(1)) + 0.5 * place[:, 0]


def by_steps(extra: np.ndarray, seed: int = 0, discount: float = 0.95):
    place, _, after, ends = walk(seed)
    return check_samples(place, after, ends, extra, discount=discount, rng=np.random.default_rng(1))


@pytest.mark.parametrize("seed", range(3))
def test_a_potential_is_found_among_steps(seed: int):
    place, _, after, ends = walk(seed)
    extra = 0.95 * np.where(ends, 0.0, potential(after)) - potential(place)
    found = by_steps(extra, seed)
    assert found.unexplained < 0.05
    assert not found.changes_policy, found.in_words
    assert "should stay as it is" in found.in_words


@pytest.mark.parametrize("seed", range(3))
def test_what_depends_on_the_action_alone_is_told_with_its_error(seed: int):
    place, action, after, ends = walk(seed)
    extra, rng = np.abs(action[:, 0]), np.random.default_rng(1)
    found = check_samples(place, after, np.zeros_like(ends), extra, discount=0.95, rng=rng)
    assert found.changes_policy
    assert 0 < found.standard_error < 0.05
    # Where nothing ends a constant is a potential's: of a uniform |a| a quarter of the square is left over.
    assert found.unexplained == pytest.approx(0.25, abs=0.05)
    # Where something does, living on is paid for.
    assert by_steps(extra, seed).unexplained > found.unexplained + 0.1
    assert "may change which policy is best" in found.in_words


def test_coming_nearer_is_a_potential_only_where_going_away_costs_as_much():
    place, _, after, ends = walk(0)
    far, then = np.linalg.norm(place, axis=1), np.where(ends, 0.0, np.linalg.norm(after, axis=1))
    both_ways = far - 0.95 * then
    assert not by_steps(both_ways).changes_policy
    assert by_steps(np.maximum(both_ways, 0.0)).changes_policy


def test_pay_for_staying_in_a_place_is_a_loop_between_steps():
    place, _, after, ends = walk(0)
    rng = np.random.default_rng(3)
    stays = rng.random(len(place)) < 0.5
    reached = np.where(stays[:, None], place, after)
    paid = stays & (np.square(place - 0.5).sum(1) < 0.5)
    found = check_samples(place, reached, ends & ~stays, paid.astype(float), discount=0.95, rng=rng)
    assert found.changes_policy
    assert found.loop is not None
    assert "for ever" in found.in_words


def test_nothing_added_is_nothing_left_over():
    found = by_steps(np.zeros(3000))
    assert (found.unexplained, found.standard_error, found.changes_policy) == (0.0, 0.0, False)


def test_too_few_steps_are_refused():
    with pytest.raises(DataError, match="at least 40 steps"):
        check_samples(
            np.zeros((5, 1)),
            np.zeros((5, 1)),
            np.zeros(5, bool),
            np.zeros(5),
            discount=0.9,
            rng=np.random.default_rng(0),
        )
