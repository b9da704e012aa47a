"""The step of constrained policy optimisation. Shapes: P parameters, C costs."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Case = Literal["held", "recovery", "still"]
"""The step improves the reward within all budgets; or no step within the trust region gets there, and it goes for the
costs alone; or there is nothing to go for."""
_TINY = 1e-10
_PARALLEL = 1e-6
"""Share of the reward's gradient that costs must leave free for there to be anything to gain beside them."""


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target_P: Tensor, *, num_iterations: int, tolerance: float = 1e-10
) -> Tensor:
    """Solve H x = b by conjugate gradients (Hestenes and Stiefel 1952).

    Args:
        product: x -> H x, with H symmetric and positive definite.
        target_P: b.
        num_iterations: at most.
        tolerance: of the squared residual, at which it is done.
    """
    x_P = torch.zeros_like(target_P)
    residual_P = target_P.clone()
    direction_P = residual_P.clone()
    size = residual_P.dot(residual_P)
    for _ in range(num_iterations):
        if size <= tolerance:
            break
        image_P = product(direction_P)
        step = size / direction_P.dot(image_P)
        x_P = x_P + step * direction_P
        residual_P = residual_P - step * image_P
        next_size = residual_P.dot(residual_P)
        direction_P = residual_P + (next_size / size) * direction_P
        size = next_size
    return x_P


@dataclass(frozen=True, kw_only=True)
class ConstrainedStep:
    """A step as a sum of H⁻¹g and H⁻¹b_i."""

    along_gradient: float
    """Of H⁻¹g."""
    along_costs: np.ndarray
    """[C] of H⁻¹b_i."""
    case: Case


def constrained_step(
    q: float, r_C: np.ndarray, S_CC: np.ndarray, excess_C: np.ndarray, max_kl: float
) -> ConstrainedStep:
    r"""The exact solution of what a step of CPO is to be (Achiam et al. 2017, arXiv 1705.10528, equation 10).

    $$\max_x\ g^\top x \quad\text{where}\quad c_i + b_i^\top x \le 0,\quad \tfrac12 x^\top H x \le \delta$$

    The paper solves one cost; here every set of costs that may bind is tried, which for the handful there are is exact
    and at once. With the costs A binding, $x = \tfrac1\lambda H^{-1}(g - B_A^\top \nu)$,
    $\nu = S_{AA}^{-1}(r_A + \lambda c_A)$ and $\lambda = \sqrt{(q - r_A^\top S_{AA}^{-1} r_A) /
    (2\delta - c_A^\top S_{AA}^{-1} c_A)}$; where they leave nothing of g free, $x = -H^{-1} B_A^\top S_{AA}^{-1} c_A$.

    Where no step within the trust region satisfies all costs, the step is the one that lowers
    $\tfrac12 \sum_{c_i > 0} c_i^2$ most, to first order, with the other costs kept within their budgets.

    Args:
        q: $g^\top H^{-1} g$.
        r_C: $b_i^\top H^{-1} g$.
        S_CC: $b_i^\top H^{-1} b_j$.
        excess_C: $c_i$, by how much each cost is above its budget.
        max_kl: $\delta$ > 0.
    """
    step = _held(q, r_C, S_CC, excess_C, max_kl)
    return step if step is not None else _recovery(S_CC, excess_C, max_kl)


def _held(q: float, r_C: np.ndarray, S_CC: np.ndarray, excess_C: np.ndarray, max_kl: float) -> ConstrainedStep | None:
    """The step that gains most within all budgets; None where there is none."""
    best: ConstrainedStep | None = None
    gain = -np.inf
    for size in range(len(r_C) + 1):
        for chosen in combinations(range(len(r_C)), size):
            step = _binding(list(chosen), q, r_C, S_CC, excess_C, max_kl)
            if step is None:
                continue
            gained = step.along_gradient * q + float(step.along_costs @ r_C)
            if gained > gain:
                best, gain = step, gained
    return best


def _binding(
    binding: list[int], q: float, r_C: np.ndarray, S_CC: np.ndarray, excess_C: np.ndarray, max_kl: float
) -> ConstrainedStep | None:
    """The step with just these costs binding; None where there is none, or it breaks another.

    One that is held back by a cost that it need not go up to is none the worse for it: another set gains more.
    """
    r, c = r_C[binding], excess_C[binding]
    inverse = np.linalg.pinv(S_CC[np.ix_(binding, binding)], hermitian=True)
    room = 2 * max_kl - float(c @ inverse @ c)
    if room <= 0 or q <= _TINY**2:
        return None
    free = q - float(r @ inverse @ r)
    # Where they leave nothing of the gradient free, no more is to be had than to go up to their budgets.
    price = np.sqrt(free / room) if free > _PARALLEL * q else 0.0
    along_gradient = 1 / price if price else 0.0
    along = np.zeros_like(r_C)
    along[binding] = -along_gradient * (inverse @ r) - inverse @ c
    change = along_gradient * r_C + S_CC @ along
    # Of the size of what is summed up: a binding cost whose excess is 0 sums up to what float64 rounds.
    slack = 1e-8 * (np.abs(excess_C) + along_gradient * np.abs(r_C) + np.abs(S_CC) @ np.abs(along))
    if (excess_C + change > slack).any():
        return None
    return ConstrainedStep(along_gradient=along_gradient, along_costs=along, case="held")


def _recovery(S_CC: np.ndarray, excess_C: np.ndarray, max_kl: float) -> ConstrainedStep:
    """The step down the costs above their budgets: as one that gains, with their slope in the gradient's place."""
    above_C = np.maximum(excess_C, 0.0)
    kept = np.flatnonzero(excess_C <= 0)
    slope_C = S_CC @ above_C
    down = _held(float(above_C @ slope_C), -slope_C[kept], S_CC[np.ix_(kept, kept)], excess_C[kept], max_kl)
    along = np.zeros_like(excess_C)
    if down is None:
        return ConstrainedStep(along_gradient=0.0, along_costs=along, case="still")
    along[kept] = down.along_costs
    return ConstrainedStep(along_gradient=0.0, along_costs=along - down.along_gradient * above_C, case="recovery")
