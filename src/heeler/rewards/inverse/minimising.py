"""The minimum of a smooth convex function of many numbers, by L-BFGS (Liu and Nocedal 1989).

Shapes: N numbers.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""[N] to the value and its gradient [N]."""

_MEMORY = 40
_MAX_HALVINGS = 40
_ENOUGH_DECREASE = 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class Minimum:
    """Where the search ended."""

    point_N: np.ndarray
    value: float
    gradient_N: np.ndarray
    num_evaluations: int
    converged: bool
    """Whether the largest part of the gradient is within the tolerance."""


def minimise(
    objective: Objective,
    point_N: np.ndarray,
    *,
    tolerance: float,
    max_evaluations: int,
    scale_N: np.ndarray | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Minimum:
    """Go downhill until the largest part of the gradient is within `tolerance`.

    Args:
        objective: value and gradient.
        point_N: where to begin.
        tolerance: of the gradient.
        max_evaluations: of the objective.
        scale_N: above 0, how far each number has to go beside the others; about the root of one over its curvature.
        on_step: told evaluations and the largest part of the gradient after each step.
    """
    if scale_N is None:
        scale_N = np.ones_like(point_N)

    def scaled(scaled_N: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient_N = objective(scaled_N * scale_N)
        return value, gradient_N * scale_N

    def steepest(gradient_N: np.ndarray) -> float:
        return float(np.abs(gradient_N / scale_N).max(initial=0.0))

    point_N = point_N / scale_N
    value, gradient_N = scaled(point_N)
    past: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MEMORY)
    num = 1
    while steepest(gradient_N) > tolerance and num < max_evaluations:
        way_N = _direction(gradient_N, past)
        slope = float(gradient_N @ way_N)
        if not slope < 0:
            past.clear()
            way_N = _direction(gradient_N, past)
            slope = float(gradient_N @ way_N)
        found = _searched(scaled, point_N, value, way_N, slope)
        num += found.tries
        if found.size == 0:
            if not past:
                break
            # Rounding has spoilt the curvature: go on from the gradient alone.
            past.clear()
            continue
        _remember(past, found.size * way_N, found.gradient_N - gradient_N)
        point_N, value, gradient_N = point_N + found.size * way_N, found.value, found.gradient_N
        if on_step is not None:
            on_step(num, steepest(gradient_N))
    return Minimum(
        point_N=point_N * scale_N,
        value=value,
        gradient_N=gradient_N / scale_N,
        num_evaluations=num,
        converged=steepest(gradient_N) <= tolerance,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    size: float
    value: float
    gradient_N: np.ndarray
    tries: int


def _searched(objective: Objective, point_N: np.ndarray, value: float, way_N: np.ndarray, slope: float) -> _Found:
    """A step along the way that gains enough, shortened by a parabola through what is known; size 0: none does."""
    size = 1.0
    # Near the minimum what is gained drowns in the rounding of a large sum before the slope does.
    slack = 1e-12 * max(1.0, abs(value))
    for tries in range(1, _MAX_HALVINGS + 1):
        new_value, gradient_N = objective(point_N + size * way_N)
        if math.isfinite(new_value) and new_value <= value + _ENOUGH_DECREASE * size * slope + slack:
            return _Found(size=size, value=new_value, gradient_N=gradient_N, tries=tries)
        bend = new_value - value - size * slope
        wanted = -slope * size**2 / (2 * bend) if math.isfinite(bend) and bend > 0 else 0.0
        size = min(max(wanted, 0.1 * size), 0.5 * size)
    return _Found(size=0.0, value=value, gradient_N=way_N, tries=_MAX_HALVINGS)


def _remember(past: deque[tuple[np.ndarray, np.ndarray]], step_N: np.ndarray, change_N: np.ndarray) -> None:
    """Keep a pair whose curvature is positive beyond rounding."""
    if step_N @ change_N > 1e-14 * np.linalg.norm(step_N) * np.linalg.norm(change_N):
        past.append((step_N, change_N))


def _direction(gradient_N: np.ndarray, past: deque[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Minus the gradient, bent by the curvature that past steps have shown."""
    if not past:
        return -gradient_N / max(1.0, float(np.linalg.norm(gradient_N)))
    way_N = -gradient_N
    shares: list[float] = []
    for step_N, change_N in reversed(past):
        shares.append(float(step_N @ way_N / (step_N @ change_N)))
        way_N = way_N - shares[-1] * change_N
    step_N, change_N = past[-1]
    way_N = way_N * float(step_N @ change_N / (change_N @ change_N))
    for (step_N, change_N), share in zip(past, reversed(shares), strict=True):
        way_N = way_N + step_N * (share - float(change_N @ way_N / (step_N @ change_N)))
    return way_N
