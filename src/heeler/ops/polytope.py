r"""The nearest point of a polytope $\{x : G x \le h,\ l \le x \le u\}$, exactly, in float64.

Shapes: B points, A numbers of each, M half-spaces, K half-spaces with the bounds among them.
"""

import numpy as np

_ROUNDING = 1e-9
"""Share of a constraint's size, at a point of at least 1, by which what float64 puts on it may be past it."""


def nearest_in_polytope(
    point_BA: np.ndarray, normal_BMA: np.ndarray, limit_BM: np.ndarray, low_A: np.ndarray, high_A: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""$\arg\min_x \lVert x - p \rVert^2$ where $G x \le h$ and $l \le x \le u$.

    Three steps, each exact. What lies within all half-spaces once it is clipped is done. The nearest point of the box
    and one half-space alone, in closed form, is the answer where it lies within the others too. What is left, where
    several half-spaces hold a point at once, is solved as a least-distance problem, one point after the other.

    Args:
        point_BA: p.
        normal_BMA: the rows of G.
        limit_BM: h.
        low_A: l, -inf where there is no bound.
        high_A: u, inf where there is no bound.

    Returns:
        [B, A] the nearest points, float64, and [B] whether there is one: where no point satisfies everything, the
        clipped p stands in its place.

    Example:
        >>> nearest, exists = nearest_in_polytope(
        ...     np.array([[2.0, 0.5]]), np.array([[[1.0, 1.0]]]), np.array([[1.5]]), np.full(2, -1.0), np.full(2, 1.0)
        ... )
        >>> nearest.tolist(), exists.tolist()
        ([[1.0, 0.5]], [True])
    """
    point_BA, limit_BM = np.asarray(point_BA, np.float64), np.asarray(limit_BM, np.float64)
    normal_BMA = np.asarray(normal_BMA, np.float64)
    clipped_BA = np.clip(point_BA, low_A, high_A)
    nearest_BA, exists_B = clipped_BA.copy(), np.ones(len(point_BA), bool)
    left = np.flatnonzero(~is_within(clipped_BA, normal_BMA, limit_BM))
    for index in range(normal_BMA.shape[1]):
        if not len(left):
            break
        normal_nMA, limit_nM = normal_BMA[left], limit_BM[left]
        tried_nA, reachable_n = nearest_in_half_space(
            point_BA[left], normal_nMA[:, index], limit_nM[:, index], low_A, high_A
        )
        done = reachable_n & is_within(tried_nA, normal_nMA, limit_nM)
        nearest_BA[left[done]] = tried_nA[done]
        exists_B[left[~reachable_n]] = False
        left = left[~done & reachable_n]
    for row in left:
        found_A = _least_distance(point_BA[row], normal_BMA[row], limit_BM[row], low_A, high_A)
        exists_B[row] = found_A is not None
        if found_A is not None:
            nearest_BA[row] = found_A
    return nearest_BA, exists_B


def is_within(point_BA: np.ndarray, normal_BMA: np.ndarray, limit_BM: np.ndarray) -> np.ndarray:
    """[B]: whether points lie within all half-spaces, but for what float64 rounds."""
    reached_BM = np.einsum("bma,ba->bm", normal_BMA, point_BA)
    size_BM = np.einsum("bma,ba->bm", np.abs(normal_BMA), np.maximum(np.abs(point_BA), 1.0)) + np.abs(limit_BM)
    return (reached_BM <= limit_BM + _ROUNDING * size_BM).all(-1)


def nearest_in_half_space(
    point_BA: np.ndarray, normal_BA: np.ndarray, limit_B: np.ndarray, low_A: np.ndarray, high_A: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""The nearest points of a box and one half-space $g \cdot x \le h$ each, and whether there is any.

    The answer is $x(\lambda) = \mathrm{clip}(p - \lambda g, l, u)$ for the smallest $\lambda \ge 0$ that satisfies the
    half-space. $g \cdot x(\lambda)$ falls in straight lines between the values of lambda at which a coordinate meets
    its bound; so lambda is found between two of those, or beyond the last.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bends_BK = np.concatenate([(point_BA - high_A) / normal_BA, (point_BA - low_A) / normal_BA], 1)
    bends_BK = np.where(np.isfinite(bends_BK) & (bends_BK > 0), bends_BK, 0.0)
    bends_BK = np.sort(np.concatenate([np.zeros((len(bends_BK), 1)), bends_BK], 1), 1)
    path_BKA = np.clip(point_BA[:, None] - bends_BK[..., None] * normal_BA[:, None], low_A, high_A)
    reached_BK = (path_BKA * normal_BA[:, None]).sum(-1)
    # Beyond the last bend only coordinates without a bound in their way go on.
    is_free_BA = np.where(normal_BA > 0, np.isinf(low_A), np.isinf(high_A))
    slope_B = (np.square(normal_BA) * is_free_BA).sum(-1)

    every = np.arange(len(bends_BK))
    is_reached_BK = reached_BK <= limit_B[:, None]
    first_B = is_reached_BK.argmax(1)
    after_B = np.maximum(first_B, 1)
    fall_B = reached_BK[every, after_B - 1] - reached_BK[every, after_B]
    share_B = (reached_BK[every, after_B - 1] - limit_B) / np.where(fall_B > 0, fall_B, 1.0)
    start_B, stop_B = bends_BK[every, after_B - 1], bends_BK[every, after_B]
    between_B = np.where(first_B == 0, 0.0, start_B + share_B * (stop_B - start_B))
    beyond_B = bends_BK[:, -1] + (reached_BK[:, -1] - limit_B) / np.where(slope_B > 0, slope_B, 1.0)
    is_reached_B = is_reached_BK.any(1)
    multiplier_B = np.where(is_reached_B, between_B, beyond_B)
    nearest_BA = np.clip(point_BA - multiplier_B[:, None] * normal_BA, low_A, high_A)
    return nearest_BA, is_reached_B | (slope_B > 0)


def _least_distance(
    point_A: np.ndarray, normal_MA: np.ndarray, limit_M: np.ndarray, low_A: np.ndarray, high_A: np.ndarray
) -> np.ndarray | None:
    """The nearest point of one polytope; None where it is empty.

    Least-distance programming by non-negative least squares (Lawson and Hanson 1974, chapter 23).
    """
    identity = np.eye(len(point_A))
    has_low, has_high = np.isfinite(low_A), np.isfinite(high_A)
    normal_KA = np.concatenate([normal_MA, -identity[has_low], identity[has_high]])
    limit_K = np.concatenate([limit_M, -low_A[has_low], high_A[has_high]])
    length_K = np.linalg.norm(normal_KA, axis=1)
    if (limit_K[length_K == 0] < 0).any():
        return None
    normal_KA, limit_K = normal_KA[length_K > 0], limit_K[length_K > 0]
    normal_KA, limit_K = normal_KA / length_K[length_K > 0, None], limit_K / length_K[length_K > 0]
    missing_K = normal_KA @ point_A - limit_K
    unit = float(np.abs(missing_K).max())
    if unit == 0:
        return point_A
    matrix = np.concatenate([-normal_KA.T, missing_K[None] / unit])
    target = np.zeros(len(matrix))
    target[-1] = 1.0
    residual = matrix @ _non_negative_least_squares(matrix, target) - target
    if residual @ residual <= 1e-14:
        return None
    found_A = np.clip(point_A - unit * residual[:-1] / residual[-1], low_A, high_A)
    return found_A if is_within(found_A[None], normal_KA[None], limit_K[None])[0] else None


def _non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """x >= 0 that makes |matrix x - target| smallest, by active sets (Lawson and Hanson 1974, chapter 23)."""
    size = matrix.shape[1]
    x, is_positive = np.zeros(size), np.zeros(size, bool)
    for _ in range(10 * size):
        pull = matrix.T @ (target - matrix @ x)
        pull[is_positive] = -np.inf
        entering = int(pull.argmax())
        if pull[entering] <= 1e-12:
            break
        is_positive[entering] = True
        while True:
            free = np.zeros(size)
            free[is_positive] = np.linalg.lstsq(matrix[:, is_positive], target, rcond=None)[0]
            leaving = is_positive & (free <= 0)
            if not leaving.any():
                break
            # As far towards it as all stay above zero; whatever comes to zero leaves.
            apart = x[leaving] - free[leaving]
            share = float((x[leaving] / np.where(apart > 0, apart, 1.0)).min())
            x = x + share * (free - x)
            is_positive &= x > 1e-15
        x = free
    return x
