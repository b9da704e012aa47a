"""Which actions a run's world has: what a better action, and what is shown, is held against.

Shapes: T steps, A action numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from heeler.core.errors import DataError

# What numbers at their very bound lose on their way to float32.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class ActionBounds:
    """An action space, number by number."""

    is_discrete: bool
    """Whether numbers are whole."""
    low: tuple[float, ...]
    """[A] the least of each; -inf where there is none."""
    high: tuple[float, ...]
    """[A] the greatest of each."""

    @classmethod
    def of(cls, space: Space[Any]) -> "ActionBounds":
        """Those of a world's actions, as a policy sees them: Box [A], Discrete or MultiDiscrete [A]."""
        assert isinstance(space, Box | Discrete | MultiDiscrete)
        known = cast(Any, space)
        if isinstance(space, Box):
            return cls(is_discrete=False, low=tuple(known.low.tolist()), high=tuple(known.high.tolist()))
        counts: list[int] = [int(known.n)] if isinstance(space, Discrete) else known.nvec.tolist()
        return cls(is_discrete=True, low=(0,) * len(counts), high=tuple(count - 1 for count in counts))

    def to_setting(self) -> dict[str, Any]:
        """As a store's setting: JSON, in which an infinite bound is null."""
        low, high = ([number if math.isfinite(number) else None for number in side] for side in (self.low, self.high))
        return {"is_discrete": self.is_discrete, "low": low, "high": high}

    @classmethod
    def from_setting(cls, setting: Mapping[str, Any]) -> "ActionBounds":
        """What `to_setting` wrote."""
        low = tuple(-math.inf if number is None else number for number in setting["low"])
        high = tuple(math.inf if number is None else number for number in setting["high"])
        return cls(is_discrete=setting["is_discrete"], low=low, high=high)

    def check(self, action: Sequence[float], field: str) -> None:
        """Refuse an action of A numbers of which one is out of range.

        Raises:
            DataError: names it by `field` and its place.
        """
        bounds = zip(action, self.low, self.high, self._room_A.tolist(), strict=True)
        for place, (number, low, high, room) in enumerate(bounds):
            if not low - room <= number <= high + room:
                raise DataError(f"{field}[{place}]: expected {low:g} to {high:g}, got {number!r:.80}")

    def check_steps(self, action_TA: np.ndarray, field: str) -> None:
        """Refuse steps of which one could not have been taken in the world.

        Raises:
            DataError: there are more or fewer numbers than A, or of another type, or a row is out of range; names it.
        """
        size, is_whole = len(self.low), action_TA.dtype.kind == "i"
        if action_TA.shape[1] != size or is_whole != self.is_discrete:
            expected = f"{size} {'whole ' if self.is_discrete else ''}numbers"
            raise DataError(f"{field}: expected {expected} a step, got {action_TA.dtype} {list(action_TA.shape)}")
        low, high, room = np.array(self.low, np.float64), np.array(self.high, np.float64), self._room_A
        outside_TA = (action_TA < low - room) | (action_TA > high + room)
        for row in np.flatnonzero(outside_TA.any(1))[:1].tolist():
            raise DataError(
                f"{field}: row {row} is {action_TA[row].tolist()}, which is no action of this world: they are from "
                f"{list(self.low)} to {list(self.high)}"
            )

    @property
    def _room_A(self) -> np.ndarray:
        if self.is_discrete:
            return np.zeros(len(self.low))
        width_A = np.array(self.high, np.float64) - np.array(self.low, np.float64)
        return _ROUNDING * np.maximum(1.0, np.where(np.isfinite(width_A), width_A, 1.0))
