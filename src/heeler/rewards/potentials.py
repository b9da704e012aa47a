"""How good a state is, as shaping takes it: from a function, from demonstrations, or from what another run expects.

Shapes: B states, O observation numbers, K states of demonstrations.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from heeler.core.errors import ConfigError, DataError
from heeler.models.policy import Policy
from heeler.rewards.step_functions import StepFunction, Where

_DISTANCES_AT_ONCE = 4_000_000


class Potential(Protocol):
    """Phi: a number for each state."""

    fingerprint: str
    """Changes with the numbers that it gives."""

    def __call__(self, observation: np.ndarray, *, where: Where) -> np.ndarray:
        """[B] float64 of [B, O]; `where` names a row, for messages."""
        ...


class FunctionPotential:
    """Phi as a Python function of observations, `f(observation [B, O]) -> [B]`."""

    def __init__(self, function: StepFunction) -> None:
        self.function, self.fingerprint = function, function.fingerprint

    def __call__(self, observation: np.ndarray, *, where: Where) -> np.ndarray:
        """What the function gives."""
        return self.function(observation, where=where)


class LearnedPotential:
    """Phi as something learned says it of observations.

    Args:
        value: `f(observation [B, O]) -> [B]`.
        fingerprint: of what was learned.
        observation_size: O that it knows.
    """

    def __init__(self, value: Callable[[np.ndarray], np.ndarray], *, fingerprint: str, observation_size: int) -> None:
        self._value, self.fingerprint, self.size = value, fingerprint, observation_size

    def __call__(self, observation: np.ndarray, *, where: Where) -> np.ndarray:
        """What was learned of them."""
        return self._value(observation).astype(np.float64)


class DemonstrationPotential:
    r"""How far demonstrations had come where they were most like a state (after Brys et al. 2015).

    $$\phi(s) = \max_k\ p_k \exp\Big(-\frac{d(s, s_k)^2}{2 h^2}\Big)$$

    p is 0 at a demonstration's first state and 1 at its last; d the root of the mean squared difference of the numbers
    of two observations, each in units of its spread over the demonstrations. Beside the paper: of states alone, not of
    actions, so that shaping by it leaves the best policy as it is.

    Args:
        demonstrations: [T, O] each: what was seen from the first state to the last.
        bandwidth: h.

    Raises:
        DataError: there is none, they differ in size, or one has fewer than two states or a number that is not finite.
    """

    def __init__(self, demonstrations: Sequence[np.ndarray], *, bandwidth: float) -> None:
        _check_demonstrations(demonstrations)
        states = np.concatenate([np.asarray(one, np.float64) for one in demonstrations])
        self.progress = np.concatenate([np.linspace(0.0, 1.0, len(one)) for one in demonstrations])
        self.size = states.shape[1]
        spread = states.std(0)
        # A number that never changed is compared as it is.
        self.scale = 1 / (np.where(spread > 0, spread, 1.0) * bandwidth * np.sqrt(self.size))
        self.states = states * self.scale
        digest = hashlib.sha256(np.ascontiguousarray(self.states).tobytes())
        self.fingerprint = hashlib.sha256(digest.digest() + self.progress.tobytes()).hexdigest()

    def __call__(self, observation: np.ndarray, *, where: Where) -> np.ndarray:
        """[B], from 0 to 1."""
        rows = max(1, _DISTANCES_AT_ONCE // len(self.states))
        parts = [self._of(observation[first : first + rows]) for first in range(0, len(observation), rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _of(self, observation: np.ndarray) -> np.ndarray:
        seen = observation.astype(np.float64) * self.scale
        square = np.square(seen).sum(1)[:, None] + np.square(self.states).sum(1) - 2 * seen @ self.states.T
        return (self.progress * np.exp(-0.5 * np.maximum(square, 0.0))).max(1)


def _check_demonstrations(demonstrations: Sequence[np.ndarray]) -> None:
    if not demonstrations:
        raise DataError("shaping.demonstrations: there is no demonstration; show at least one")
    size = np.shape(demonstrations[0])[-1:]
    for number, one in enumerate(demonstrations):
        if np.ndim(one) != 2 or np.shape(one)[1:] != size or len(one) < 2:
            raise DataError(
                f"shaping.demonstrations[{number}]: expected two or more observations of one size, got shape "
                f"{np.shape(one)}"
            )
        if not np.isfinite(one).all():
            row = int(np.flatnonzero(~np.isfinite(one).all(1))[0])
            raise DataError(f"shaping.demonstrations[{number}], row {row}: expected finite numbers, got {one[row]}")


class ValuePotential:
    """What the critic of another run expects of a state, in that run's reward.

    Args:
        policy: holds the critic.
        scale: what a unit of the critic is in reward, as a run that scales its rewards learns in other units.
        fingerprint: of the checkpoint that it comes from.
        observation_size: O of the world that is shaped.

    Raises:
        ConfigError: the critic is of observations of another size.
    """

    def __init__(self, policy: Policy, *, scale: float, fingerprint: str, observation_size: int) -> None:
        if policy.observation_size != observation_size:
            raise ConfigError(
                f"shaping.run: its critic knows observations of {policy.observation_size} numbers, and this world has "
                f"{observation_size}; name a run in the same world"
            )
        self.policy, self.scale, self.fingerprint = policy, scale, fingerprint

    @torch.no_grad()
    def __call__(self, observation: np.ndarray, *, where: Where) -> np.ndarray:
        """[B]."""
        seen = self.policy.normalize(torch.from_numpy(np.ascontiguousarray(observation, np.float32)))
        return self.policy.value(seen).double().numpy() * self.scale
