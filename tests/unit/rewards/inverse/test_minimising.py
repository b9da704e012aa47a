"""L-BFGS on functions whose minimum is known."""

import numpy as np
import pytest

from heeler.rewards.inverse.minimising import minimise


def test_a_crooked_bowl() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    bowl, bottom = turn @ np.diag(10.0 ** np.arange(-2, 4, 0.5)) @ turn.T, rng.normal(size=12)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = bowl @ (x - bottom)
        return float((x - bottom) @ slope / 2), slope

    found = minimise(objective, np.zeros(12), tolerance=1e-9, max_evaluations=500)
    assert found.converged
    np.testing.assert_allclose(found.point_N, bottom, atol=1e-6)


def test_scales_change_the_way_and_not_the_end() -> None:
    curve = np.array([1e-4, 1.0, 1e4])

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float((curve * (x - 1) ** 2).sum() / 2), curve * (x - 1)

    scaled = minimise(objective, np.zeros(3), tolerance=1e-10, max_evaluations=500, scale_N=curve**-0.5)
    plain = minimise(objective, np.zeros(3), tolerance=1e-10, max_evaluations=500)
    assert scaled.num_evaluations < plain.num_evaluations
    assert scaled.point_N == pytest.approx([1, 1, 1], abs=1e-5)


def test_what_is_used_up_is_not_called_converged() -> None:
    told: list[int] = []
    found = minimise(
        lambda x: (float((x**4).sum()), 4 * x**3),
        np.full(2, 3.0),
        tolerance=1e-12,
        max_evaluations=6,
        on_step=lambda num, steepest: told.append(num),
    )
    assert not found.converged and found.num_evaluations >= 6 and told == sorted(told)


def test_nothing_to_do_is_done_at_once() -> None:
    found = minimise(lambda x: (0.0, np.zeros(2)), np.zeros(2), tolerance=1e-9, max_evaluations=10)
    assert found.converged and found.num_evaluations == 1
