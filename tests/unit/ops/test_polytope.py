"""The nearest point of a polytope against a quadratic program solved densely, and by hand."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from heeler.ops.polytope import is_within, nearest_in_half_space, nearest_in_polytope

WIDE = (np.full(2, -10.0), np.full(2, 10.0))


def by_program(point: np.ndarray, G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The same by sequential quadratic programming."""
    found = minimize(
        lambda x: 0.5 * np.square(x - point).sum(),
        np.clip(point, low, high),
        jac=lambda x: x - point,
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "ineq", "fun": lambda x: h - G @ x, "jac": lambda x: -G},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return found.x


def is_empty(G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    return linprog(np.zeros(G.shape[1]), G, h, bounds=list(zip(low, high, strict=True))).status == 2


def test_by_hand():
    # x + y <= 1 from (2, 1): along (1, 1) by 1 each.
    G, h = np.array([[[1.0, 1.0]]]), np.array([[1.0]])
    nearest, exists = nearest_in_polytope(np.array([[2.0, 1.0]]), G, h, *WIDE)
    np.testing.assert_allclose(nearest, [[1.0, 0.0]], atol=1e-12)
    assert exists.tolist() == [True]
    # With x >= 1.5 as well, the corner.
    nearest, _ = nearest_in_polytope(np.array([[2.0, 1.0]]), G, h, np.array([1.5, -10.0]), WIDE[1])
    np.testing.assert_allclose(nearest, [[1.5, -0.5]], atol=1e-12)


def test_what_lies_within_stays_and_bounds_alone_clip():
    G, h = np.array([[[1.0, 1.0]]] * 2), np.array([[30.0]] * 2)
    points = np.array([[1.0, 2.0], [12.0, -11.0]])
    nearest, exists = nearest_in_polytope(points, G, h, *WIDE)
    np.testing.assert_array_equal(nearest, [[1.0, 2.0], [10.0, -10.0]])
    assert exists.all()


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("num_constraints", [1, 2, 4, 7])
def test_against_a_dense_quadratic_program(size: int, num_constraints: int):
    rng = np.random.default_rng(size * 10 + num_constraints)
    low, high = -rng.uniform(0.5, 2.0, size), rng.uniform(0.5, 2.0, size)
    points = rng.normal(0, 3, (60, size))
    G = rng.normal(size=(60, num_constraints, size))
    h = rng.normal(0.2, 0.7, (60, num_constraints))
    nearest, exists = nearest_in_polytope(points, G, h, low, high)
    assert exists.any()
    for row in range(60):
        empty = is_empty(G[row], h[row], low, high)
        assert exists[row] == (not empty), row
        if not empty:
            assert (G[row] @ nearest[row] <= h[row] + 1e-9).all()
            assert ((nearest[row] >= low) & (nearest[row] <= high)).all()
            want = by_program(points[row], G[row], h[row], low, high)
            assert np.linalg.norm(nearest[row] - points[row]) <= np.linalg.norm(want - points[row]) + 1e-6
            np.testing.assert_allclose(nearest[row], want, atol=2e-5)


@pytest.mark.parametrize("bounded", [True, False])
def test_one_half_space_in_closed_form(bounded: bool):
    """The nearest point is the fixed point of projecting on after a step back: no move within the set is nearer."""
    rng = np.random.default_rng(3)
    low = -np.ones(4) if bounded else np.full(4, -np.inf)
    high = np.ones(4) if bounded else np.full(4, np.inf)
    points, normal, limit = rng.normal(0, 2, (200, 4)), rng.normal(size=(200, 4)), rng.normal(-0.5, 0.5, 200)
    nearest, exists = nearest_in_half_space(points, normal, limit, low, high)
    reachable = np.where(bounded, (-np.abs(normal)).sum(1) <= limit, True)
    np.testing.assert_array_equal(exists, reachable)
    if not bounded:
        over = np.maximum(0, (normal * points).sum(1) - limit) / np.square(normal).sum(1)
        np.testing.assert_allclose(nearest, points - over[:, None] * normal, atol=1e-10)
    for row in np.flatnonzero(exists)[:40]:
        others = np.clip(rng.normal(0, 2, (300, 4)), low, high)
        others = others[others @ normal[row] <= limit[row]]
        assert (((points[row] - nearest[row]) @ (others - nearest[row]).T) <= 1e-9).all()


def test_two_walls_that_leave_nothing():
    G = np.array([[[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]]])
    nearest, exists = nearest_in_polytope(np.array([[3.0, 0.5]]), G, np.array([[-1.0, -1.0, 5.0]]), *WIDE)
    assert not exists[0]
    np.testing.assert_array_equal(nearest, [[3.0, 0.5]])


def test_a_corner_of_parallel_and_repeated_constraints():
    G = np.array([[[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]])
    nearest, exists = nearest_in_polytope(np.array([[3.0, 4.0]]), G, np.array([[1.0, 1.0, 2.0, 0.0, 0.0]]), *WIDE)
    assert exists[0]
    np.testing.assert_allclose(nearest, [[1.0, 0.0]], atol=1e-9)


def test_a_constraint_of_nothing_but_noughts():
    G = np.zeros((2, 1, 2))
    nearest, exists = nearest_in_polytope(np.ones((2, 2)), G, np.array([[0.0], [-1.0]]), *WIDE)
    assert exists.tolist() == [True, False]
    np.testing.assert_array_equal(nearest, np.ones((2, 2)))


def test_within_knows_rounding():
    G, h = np.ones((1, 1, 3)), np.array([[0.3]])
    assert is_within(np.array([[0.1, 0.1, 0.1]]), G, h)[0]
    assert not is_within(np.array([[0.1, 0.1, 0.1001]]), G, h)[0]
