"""What a gate is shown and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

GateDecision = Literal["release", "keep", "go on"]


class Pair(NamedTuple):
    """Both versions' scores of one item; None where the score does not apply to what a version answered."""

    item: str
    candidate: float | None
    current: float | None


Evidence = Mapping[str, Sequence[Pair]]
"""Pairs of each suite, in the order taken."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one suite has shown. Differences are the candidate's gain: above 0 it is better."""

    suite: str
    num_pairs: int
    num_left_out: int
    """Items where the score did not apply to one of the two."""
    candidate_mean: float | None
    current_mean: float | None
    """Over the pairs; None without any."""
    gain: float | None
    """Mean difference, each cut to `max_difference`."""
    gain_low: float
    gain_high: float
    """Interval that holds it whenever one looks, but with probability `error_rate`."""
    is_not_worse: bool
    is_better: bool
    is_worse: bool
    """Shown: see the module. `is_better` is False where the suite is no goal."""

    @property
    def num_items(self) -> int:
        """Items taken, compared or left out."""
        return self.num_pairs + self.num_left_out


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Where the gate stands."""

    decision: GateDecision
    reasons: tuple[str, ...]
    """In plain words."""
    checks: tuple[CheckResult, ...]
