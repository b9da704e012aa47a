"""Bringing scores of different parts to one scale before they are summed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

from heeler.core.errors import CheckpointError

Normalisation = Literal["running", "batch", "none"]
"""By mean and spread of all that was seen; by those of the batch; or not at all."""

_LEAST_SPREAD = 1e-8


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Count, mean and sum of squared differences from it, of numbers so far."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def merged(self, values: Sequence[float], *, keep: float = 1.0) -> "Moments":
        """With more numbers (Chan et al. 1979).

        Args:
            values: to add.
            keep: what the earlier ones weigh from now on.
        """
        if not values:
            return self
        count, squares = self.count * keep, self.squares * keep
        mean = sum(values) / len(values)
        total, difference = count + len(values), mean - self.mean
        return Moments(
            count=total,
            mean=self.mean + difference * len(values) / total,
            squares=squares
            + sum((value - mean) ** 2 for value in values)
            + difference**2 * count * len(values) / total,
        )

    @property
    def std(self) -> float:
        """Spread, of the population."""
        return sqrt(max(self.squares, 0.0) / self.count) if self.count else 0.0

    def normalised(self, value: float) -> float:
        """(value - mean) / std; 0 where all were the same."""
        return (value - self.mean) / self.std if self.std > _LEAST_SPREAD else 0.0

    def to_json(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    @staticmethod
    def from_json(saved: Any) -> "Moments":
        """What `to_json` gave.

        Raises:
            CheckpointError: it is something else.
        """
        try:
            return Moments(**{name: float(saved[name]) for name in ("count", "mean", "squares")})
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"saved moments must be count, mean and squares, got {saved!r:.80}") from error
