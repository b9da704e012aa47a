"""The step of constrained policy optimisation, against a solver that knows nothing of it."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from heeler.ops.trust_region import conjugate_gradient, constrained_step

MAX_KL = 0.01


def problem(seed: int, num_costs: int, size: int = 6):
    """Gradient [P], costs' gradients [C, P], positive definite Hessian [P, P]."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    return rng.normal(size=size), rng.normal(size=(num_costs, size)), root @ root.T + 0.5 * np.eye(size)


def stepped(g, B, H, excess):
    """Our step [P] and its case."""
    inverse = np.linalg.inv(H)
    step = constrained_step(g @ inverse @ g, B @ inverse @ g, B @ inverse @ B.T, excess, MAX_KL)
    return inverse @ (step.along_gradient * g + B.T @ step.along_costs), step.case


def solved(g, B, H, excess):
    """The dense quadratic program, by sequential quadratic programming from several starts; None where infeasible."""
    constraints = [{"type": "ineq", "fun": lambda x: MAX_KL - 0.5 * x @ H @ x, "jac": lambda x: -H @ x}]
    constraints += [
        {"type": "ineq", "fun": lambda x, b=b, c=c: -c - b @ x, "jac": lambda x, b=b: -b}
        for b, c in zip(B, excess, strict=True)
    ]
    best = None
    for start in range(5):
        x0 = 0.01 * np.random.default_rng(start).normal(size=len(g))
        found = minimize(
            lambda x: -g @ x, x0, jac=lambda x: -g, constraints=constraints, options={"maxiter": 500, "ftol": 1e-14}
        )
        feasible = all(one["fun"](found.x) > -1e-8 for one in constraints)
        if found.success and feasible and (best is None or g @ found.x > g @ best):
            best = found.x
    return best


def recovered(g, B, H, excess):
    """Recovery, by the same solver: down the costs above their budgets, with the others within theirs."""
    above = excess > 0
    slope = excess[above] @ B[above]
    return solved(-slope / np.linalg.norm(slope), B[~above], H, excess[~above])


@pytest.mark.parametrize("num_costs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_the_step_solves_the_dense_quadratic_program(seed, num_costs):
    g, B, H = problem(seed, num_costs)
    excess = np.random.default_rng(100 + seed).normal(size=num_costs) * 0.02
    expected = solved(g, B, H, excess)
    x, case = stepped(g, B, H, excess)
    assert 0.5 * x @ H @ x <= MAX_KL * (1 + 1e-9)
    if expected is None:
        assert case == "recovery"
        assert_recovers(g, B, H, excess, x)
        return
    assert case == "held"
    assert (excess + B @ x <= 1e-9).all()
    assert g @ x == pytest.approx(g @ expected, rel=1e-5, abs=1e-8)


def assert_recovers(g, B, H, excess, x):
    above = excess > 0
    assert 0.5 * x @ H @ x <= MAX_KL * (1 + 1e-9)
    assert (excess + B @ x <= 1e-9)[~above].all(), "what is within its budget stays there"
    slope = excess[above] @ B[above]
    assert slope @ x == pytest.approx(slope @ recovered(g, B, H, excess), rel=1e-5)


@pytest.mark.parametrize("excess", [[9.0, -0.001], [9.0, 0.0], [9.0, -0.001, 4.0], [9.0, -0.001, -0.02]])
@pytest.mark.parametrize("seed", range(4))
def test_recovery_keeps_the_costs_that_are_within_their_budgets(seed, excess):
    """Against the dense program again; without them the step would break one in most of these."""
    g, B, H = problem(seed, len(excess))
    x, case = stepped(g, B, H, np.array(excess))
    assert case == "recovery"
    assert_recovers(g, B, H, np.array(excess), x)


@pytest.mark.parametrize("excess", [0.02, 0.0, -0.02])
@pytest.mark.parametrize("num_costs", [1, 2])
def test_where_the_costs_are_all_that_is_paid_for_it_goes_to_their_budgets(num_costs, excess):
    """The reward's gradient is a sum of the costs': nothing of it is free. Once more against the dense program."""
    _, B, H = problem(3, num_costs)
    g, limits = B.T @ np.array([2.0, 1.0][:num_costs]), np.full(num_costs, excess)
    x, case = stepped(g, B, H, limits)
    assert case == "held"
    np.testing.assert_allclose(limits + B @ x, 0, atol=1e-9)
    assert g @ x == pytest.approx(g @ solved(g, B, H, limits), rel=1e-5)
    assert 0.5 * x @ H @ x < MAX_KL


@pytest.mark.parametrize("seed", range(8))
def test_a_cost_that_is_just_at_its_budget_may_not_rise(seed):
    g, B, H = problem(seed, 2)
    x, case = stepped(g, B, H, np.zeros(2))
    assert case == "held"
    assert (B @ x <= 1e-9).all()
    assert g @ x == pytest.approx(g @ solved(g, B, H, np.zeros(2)), rel=1e-5, abs=1e-8)


def test_without_a_binding_cost_it_is_the_natural_gradient_step():
    g, B, H = problem(0, 1)
    x, case = stepped(g, B, H, np.array([-100.0]))
    natural = np.linalg.solve(H, g)
    assert case == "held"
    np.testing.assert_allclose(x, natural * np.sqrt(2 * MAX_KL / (g @ natural)))


def test_infeasible_recovery_goes_down_the_cost_as_far_as_the_trust_region():
    g, B, H = problem(1, 1)
    x, case = stepped(g, B, H, np.array([50.0]))
    assert case == "recovery"
    assert 0.5 * x @ H @ x == pytest.approx(MAX_KL)
    down = -np.linalg.solve(H, B[0])
    np.testing.assert_allclose(x / np.linalg.norm(x), down / np.linalg.norm(down))


def test_nothing_to_go_for_is_no_step():
    step = constrained_step(0.0, np.zeros(1), np.zeros((1, 1)), np.array([-1.0]), MAX_KL)
    assert (step.case, step.along_gradient, step.along_costs.tolist()) == ("still", 0.0, [0.0])


def test_conjugate_gradient_solves_a_dense_system():
    g, _, H = problem(2, 1)
    matrix, target = torch.from_numpy(H), torch.from_numpy(g)
    x = conjugate_gradient(lambda v: matrix @ v, target, num_iterations=len(g), tolerance=0.0)
    np.testing.assert_allclose(x.numpy(), np.linalg.solve(H, g), rtol=1e-6)
