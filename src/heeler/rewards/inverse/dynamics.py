"""Products with a world's transitions, and linear equations in them, for few states and for ten thousand.

Shapes: S states, A actions, K states that may follow one, whatever is done there. No action is taken in a terminal
state, and nothing flows out of it.
"""

from collections.abc import Callable

import numpy as np

from heeler.rewards.inverse.world import FiniteWorld, to_dense

DENSE_STATES = 160
"""Up to so many states equations are solved outright; beyond them by steps."""
_MAX_STEPS, _MAX_SWEEPS = 1000, 100_000
_ORTHOGONAL = 1e-10
_Times = Callable[[np.ndarray], np.ndarray]
"""A matrix, as what it does to a vector."""


class Dynamics:
    """What the transitions of a world do to values and to visits.

    Args:
        world: finite.
    """

    def __init__(self, world: FiniteWorld) -> None:
        self.num_states, self.num_actions = world.num_states, world.num_actions
        self.discount = world.discount
        S, A, M = world.chance_SAM.shape
        # A matrix product is faster than gathering where most states can follow.
        self.dense_SAS = to_dense(world) if S <= 64 or (4 * M > S and S * S * A <= 2**26) else None
        if self.dense_SAS is None:
            self.next_SK, self.chance_SAK = _by_successor(world)

    def expected(self, value_S: np.ndarray) -> np.ndarray:
        """[S, A] expectation of a value [S] after each action; of columns [S, C] it is [S, A, C]."""
        if self.dense_SAS is not None:
            S, A = self.num_states, self.num_actions
            return (self.dense_SAS.reshape(S * A, S) @ value_S).reshape(S, A, *value_S.shape[1:])
        if value_S.ndim == 1:
            return np.matmul(self.chance_SAK, np.take(value_S, self.next_SK)[..., None])[..., 0]
        return np.matmul(self.chance_SAK, value_S[self.next_SK])

    def pushed(self, mass_SA: np.ndarray) -> np.ndarray:
        """[S] where a mass [S, A] goes: the transpose of `expected`."""
        if self.dense_SAS is not None:
            return mass_SA.ravel() @ self.dense_SAS.reshape(-1, self.num_states)
        moved_SK = np.matmul(mass_SA[:, None, :], self.chance_SAK)[:, 0]
        return np.bincount(self.next_SK.ravel(), weights=moved_SK.ravel(), minlength=self.num_states)

    def under(self, policy_SA: np.ndarray) -> "PolicyDynamics":
        """The transitions when actions are drawn from a policy."""
        return PolicyDynamics(self, policy_SA)


def _by_successor(world: FiniteWorld) -> tuple[np.ndarray, np.ndarray]:
    """(next [S, K], chance [S, A, K]): outcomes that lead to one state put together; the rest has no chance."""
    S, A, M = world.chance_SAM.shape
    next_SX = world.next_SAM.reshape(S, A * M)
    # Outcomes without a chance are called state 0 here, so that they take no place of their own but that.
    next_SX = np.where(world.chance_SAM.reshape(S, A * M) > 0, next_SX, next_SX[:, :1])
    order_SX = np.argsort(next_SX, axis=1, kind="stable")
    sorted_SX = np.take_along_axis(next_SX, order_SX, axis=1)
    is_new_SX = np.diff(sorted_SX, axis=1, prepend=-1) != 0
    rank_SX = np.cumsum(is_new_SX, axis=1) - 1
    place_SX = np.empty_like(rank_SX)
    np.put_along_axis(place_SX, order_SX, rank_SX, axis=1)
    next_SK = np.zeros((S, int(rank_SX.max()) + 1), np.int64)
    np.put_along_axis(next_SK, rank_SX, sorted_SX, axis=1)
    chance_SAK = np.zeros((S, A, next_SK.shape[1]))
    state, action, _ = np.ogrid[:S, :A, :M]
    np.add.at(chance_SAK, (state, action, place_SX.reshape(S, A, M)), world.chance_SAM)
    return next_SK, chance_SAK


class PolicyDynamics:
    r"""P of a policy, and the solutions of $(I - \gamma P) x = b$ and of its transpose.

    Few states are solved outright, many by the stabilised biconjugate gradients of van der Vorst (1992), begun anew
    where they lose their way. What these leave over is mended by plain sweeps, which always converge, as the discount
    is below 1.

    Args:
        dynamics: of the world.
        policy_SA: probability of each action.
    """

    def __init__(self, dynamics: Dynamics, policy_SA: np.ndarray) -> None:
        self._discount, self._num_states = dynamics.discount, dynamics.num_states
        self._matrix_SS: np.ndarray | None = None
        if dynamics.dense_SAS is not None:
            self._matrix_SS = np.matmul(policy_SA[:, None, :], dynamics.dense_SAS)[:, 0]
        else:
            self._next_SK = dynamics.next_SK
            self._weight_SK = np.matmul(policy_SA[:, None, :], dynamics.chance_SAK)[:, 0]
            if self._num_states <= DENSE_STATES:
                self._matrix_SS = np.zeros((self._num_states, self._num_states))
                np.add.at(self._matrix_SS, (np.arange(self._num_states)[:, None], self._next_SK), self._weight_SK)

    def solve(self, b_S: np.ndarray, *, guess_S: np.ndarray | None = None, tolerance: float = 1e-10) -> np.ndarray:
        """x of (I − gamma P) x = b, to a share of the largest number in b; b may be [S] or [S, C].

        Args:
            b_S: right side.
            guess_S: where to begin, where that helps.
            tolerance: of what is left over.
        """
        return self._solved(self._forward, b_S, guess_S, tolerance, transposed=False)

    def solve_transposed(
        self, b_S: np.ndarray, *, guess_S: np.ndarray | None = None, tolerance: float = 1e-10
    ) -> np.ndarray:
        """x of (I − gamma Pᵀ) x = b, as `solve`."""
        return self._solved(self._backward, b_S, guess_S, tolerance, transposed=True)

    def _solved(
        self, times: _Times, b_S: np.ndarray, guess_S: np.ndarray | None, tolerance: float, *, transposed: bool
    ) -> np.ndarray:
        if self._matrix_SS is not None and self._num_states <= DENSE_STATES:
            matrix_SS = np.eye(self._num_states) - self._discount * self._matrix_SS
            return np.linalg.solve(matrix_SS.T if transposed else matrix_SS, b_S)
        if b_S.ndim == 1:
            return _solve(times, b_S, guess_S, tolerance)
        return np.stack([_solve(times, column_S, None, tolerance) for column_S in b_S.T], axis=1)

    def _forward(self, x_S: np.ndarray) -> np.ndarray:
        if self._matrix_SS is not None:
            return x_S - self._discount * (self._matrix_SS @ x_S)
        return x_S - self._discount * np.einsum("sk,sk->s", self._weight_SK, np.take(x_S, self._next_SK))

    def _backward(self, x_S: np.ndarray) -> np.ndarray:
        if self._matrix_SS is not None:
            return x_S - self._discount * (x_S @ self._matrix_SS)
        moved_SK = self._weight_SK * x_S[:, None]
        moved_S = np.bincount(self._next_SK.ravel(), weights=moved_SK.ravel(), minlength=self._num_states)
        return x_S - self._discount * moved_S


def _solve(times: _Times, b_S: np.ndarray, guess_S: np.ndarray | None, tolerance: float) -> np.ndarray:
    """x with times(x) = b."""
    enough = tolerance * float(np.abs(b_S).max(initial=0.0))
    x_S = np.zeros_like(b_S) if guess_S is None or enough == 0 else guess_S
    if enough == 0:
        return x_S
    x_S = _stabilised_gradients(times, b_S, x_S, enough)
    for _ in range(_MAX_SWEEPS):
        rest_S = b_S - times(x_S)
        if np.abs(rest_S).max() <= 2 * enough:
            break
        x_S = x_S + rest_S
    return x_S


def _stabilised_gradients(times: _Times, b_S: np.ndarray, x_S: np.ndarray, enough: float) -> np.ndarray:
    """A solution, or as near to one as it comes."""
    rest_S = b_S - times(x_S)
    best_S, least = x_S, float(np.abs(rest_S).max())
    shadow_S, way_S, rho = rest_S, rest_S, float(rest_S @ rest_S)
    for _ in range(_MAX_STEPS):
        if least <= enough:
            break
        image_S = times(way_S)
        below = float(shadow_S @ image_S)
        alpha = rho / below if below else 0.0
        half_S = rest_S - alpha * image_S
        turned_S = times(half_S)
        square = float(turned_S @ turned_S)
        omega = float(turned_S @ half_S) / square if square else 0.0
        x_S = x_S + alpha * way_S + omega * half_S
        rest_S = half_S - omega * turned_S
        left = float(np.abs(rest_S).max())
        if not np.isfinite(left):
            break
        if left < least:
            best_S, least = x_S, left
        next_rho = float(shadow_S @ rest_S)
        lost = abs(next_rho) <= _ORTHOGONAL * float(np.linalg.norm(shadow_S) * np.linalg.norm(rest_S))
        if lost or not alpha or not omega:
            rest_S = b_S - times(x_S)
            shadow_S, way_S, rho = rest_S, rest_S, float(rest_S @ rest_S)
            continue
        way_S = rest_S + next_rho / rho * alpha / omega * (way_S - omega * image_S)
        rho = next_rho
    return best_S
