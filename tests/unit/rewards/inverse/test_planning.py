"""Values and visits against loops, by hand, and against every deterministic policy."""

import itertools
import math

import numpy as np
import pytest

from heeler.core.errors import LearningError
from heeler.rewards.inverse import dynamics as dynamics_module
from heeler.rewards.inverse.dynamics import Dynamics
from heeler.rewards.inverse.grids import open_grid
from heeler.rewards.inverse.planning import evaluated, flow, plan
from heeler.rewards.inverse.world import from_dense, to_dense
from tests.unit.rewards.inverse.worlds import looped_values, looped_visits, random_tables, random_world


def softmax(q: np.ndarray) -> np.ndarray:
    return np.exp(q) / np.exp(q).sum(1, keepdims=True)


def test_two_states_by_hand() -> None:
    """Action 0 stays, action 1 goes to the end, which pays 2: Q = (0, γ 2) at the last step."""
    world = from_dense(
        np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]),
        start_S=np.array([1.0, 0.0]),
        discount=0.5,
        horizon=1,
        terminal_S=np.array([False, True]),
    )
    made = plan(world, np.zeros((2, 2)), np.array([0.0, 2.0]))
    go = math.e / (1 + math.e)
    assert made.policy_TSA[0, 0] == pytest.approx([1 - go, go])
    assert made.first_value_S == pytest.approx([math.log(1 + math.e), 2.0])
    visits = flow(world, made.policy_TSA)
    assert visits.state_S == pytest.approx([1 + 0.5 * (1 - go), 0.5 * go])
    assert evaluated(world, made.policy_TSA, np.zeros((2, 2)), np.array([0.0, 2.0])) == pytest.approx(go)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("backup", ["soft", "hard"])
def test_values_with_a_horizon_are_those_of_a_loop(ends: bool, backup: str) -> None:
    world = random_world(1, ends=ends, horizon=5)
    tables = random_tables(world, 2)
    looped = looped_values(world, *tables, soft=backup == "soft", num=5)
    made = plan(world, *tables, backup=backup)  # type: ignore[arg-type]
    for time, q in enumerate(looped):
        going_on = world.going_on_S
        expected = softmax(q) if backup == "soft" else np.eye(world.num_actions)[q.argmax(1)]
        np.testing.assert_allclose(made.policy_TSA[time][going_on], expected[going_on], atol=1e-12)


@pytest.mark.parametrize("ends", [False, True])
def test_soft_values_without_a_horizon_are_the_limit_of_a_loop(ends: bool) -> None:
    world = random_world(3, ends=ends)
    tables = random_tables(world, 4)
    q = looped_values(world, *tables, soft=True, num=250)[0]
    made = plan(world, *tables)
    np.testing.assert_allclose(made.policy_TSA[0][world.going_on_S], softmax(q)[world.going_on_S], atol=1e-8)
    warm = plan(world, *tables, warm_S=made.first_value_S + 0.3)
    np.testing.assert_allclose(warm.first_value_S, made.first_value_S, atol=1e-7)


def test_no_deterministic_policy_is_better_than_the_hard_one() -> None:
    world = random_world(5, num_states=4, num_actions=3, ends=True)
    tables = random_tables(world, 6)
    best = max(
        evaluated(world, np.eye(3)[list(choice)][None], *tables) for choice in itertools.product(range(3), repeat=4)
    )
    assert evaluated(world, plan(world, *tables, backup="hard").policy_TSA, *tables) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("discount", "horizon"), [(0.9, 7), (1.0, 7), (0.0, 3), (0.9, None)])
def test_trap_visits_sum_to_those_of_one_more_state_than_steps(discount: float, horizon: int | None) -> None:
    """ΣD = (1 − γ^(H+1)) / (1 − γ): the last state of an episode is visited too."""
    world = random_world(7, discount=discount, horizon=horizon)
    visits = flow(world, plan(world, *random_tables(world, 8)).policy_TSA)
    if horizon is None:
        assert visits.state_S.sum() == pytest.approx(1 / (1 - discount))
    else:
        assert visits.state_S.sum() == pytest.approx(sum(discount**time for time in range(horizon + 1)))
        assert visits.step_SA.sum() == pytest.approx(sum(discount**time for time in range(horizon)))


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("horizon", [4, None])
def test_visits_are_those_of_a_loop(ends: bool, horizon: int | None) -> None:
    world = random_world(9, ends=ends, horizon=horizon)
    policy = plan(world, *random_tables(world, 10)).policy_TSA
    looped = looped_visits(world, list(policy), horizon or 250)
    np.testing.assert_allclose(flow(world, policy).state_S, looped, atol=1e-9)


def test_many_states_are_solved_by_steps_as_few_are_outright() -> None:
    world = open_grid(15, 15, slip=0.2, discount=0.97)
    assert world.num_states > dynamics_module.DENSE_STATES
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(4), world.num_states)
    under = Dynamics(world).under(policy)
    matrix = np.eye(225) - 0.97 * np.einsum("sa,sat->st", policy, to_dense(world))
    b = rng.normal(size=(225, 2))
    np.testing.assert_allclose(under.solve(b), np.linalg.solve(matrix, b), atol=1e-7)
    np.testing.assert_allclose(under.solve_transposed(b[:, 0]), np.linalg.solve(matrix.T, b[:, 0]), atol=1e-7)
    guess = np.linalg.solve(matrix, b[:, 0]) + 0.01
    np.testing.assert_allclose(under.solve(b[:, 0], guess_S=guess), np.linalg.solve(matrix, b[:, 0]), atol=1e-7)
    # A start that is the same everywhere is what plain biconjugate gradients lose their way from.
    start = np.full(225, 1 / 225)
    np.testing.assert_allclose(under.solve_transposed(start), np.linalg.solve(matrix.T, start), atol=1e-9)


def test_sparse_products_are_those_of_the_matrix() -> None:
    world = random_world(11, num_states=80, num_actions=3)
    rng, dense = np.random.default_rng(1), to_dense(world)
    dynamics = Dynamics(world)
    assert dynamics.dense_SAS is None
    value, mass = rng.normal(size=(80, 2)), rng.random((80, 3))
    np.testing.assert_allclose(dynamics.expected(value[:, 0]), dense @ value[:, 0], atol=1e-12)
    np.testing.assert_allclose(dynamics.expected(value), dense @ value, atol=1e-12)
    np.testing.assert_allclose(dynamics.pushed(mass), np.einsum("sa,sat->t", mass, dense), atol=1e-12)


def test_a_reward_beyond_bounds_is_told() -> None:
    world = random_world(12)
    with pytest.raises(LearningError, match="raise the ridge"):
        plan(world, np.full((6, 3), np.inf), np.zeros(6))
