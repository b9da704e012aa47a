"""What a candidate has to show before it is released."""

from dataclasses import dataclass
from typing import Literal

from heeler.core.errors import ConfigError

Better = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is asked of the candidate on one suite, against the version in use on the same items and seeds."""

    suite: str
    """Its name."""
    better: Better
    """Which way the suite's score is better."""
    margin: float
    """Being so much worse, in units of the score, is what has to be refuted; a smaller loss may pass. Where both
    versions answer all alike it takes about 5.7 × max_difference / margin items (`gate_sizes.num_to_pass`)."""
    is_goal: bool = True
    """Whether being better here counts as a gain; the candidate needs one gain at least."""
    max_difference: float = 1.0
    """Differences of one item beyond it count as this much. The range of the score for scores with a range: then
    nothing is cut. A score without one, such as a log-likelihood, has its mean difference tested after the cut."""

    def __post_init__(self) -> None:
        if not 0 < self.margin < self.max_difference:
            raise ConfigError(
                f"checks.{self.suite}.margin must be between 0 and max_difference ({self.max_difference:g}), "
                f"got {self.margin:g}"
            )


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """The checks that a candidate has to pass, all of them, and how sure it must be."""

    checks: tuple[Check, ...]
    """One for each suite."""
    error_rate: float = 0.05
    """A candidate that is worse by the margin or more on any suite, or better on none of the goals, is released with at
    most this probability."""
    batch_size: int = 32
    """Items of each suite that is still open between two looks."""

    def __post_init__(self) -> None:
        names = [check.suite for check in self.checks]
        if len(set(names)) != len(names):
            raise ConfigError(f"checks must name each suite once, got {', '.join(names)}")
        if not any(check.is_goal for check in self.checks):
            raise ConfigError("checks must have a goal, or no candidate can ever be released; set is_goal of one")
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"error_rate must be between 0 and 0.5, got {self.error_rate:g}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be >= 1, got {self.batch_size}")

    @property
    def num_goals(self) -> int:
        """Suites where being better counts."""
        return sum(check.is_goal for check in self.checks)
