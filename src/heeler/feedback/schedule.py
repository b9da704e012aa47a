"""Label schedule: when to ask how many questions, so that a budget lasts as long as it is useful."""

import math
from dataclasses import dataclass

from heeler.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LabelSchedule:
    """A share of the budget before training, then a rate that falls as c / (T + c) in the environment steps T.

    Between the first labels and the end of the schedule, the labels due by step T are
    initial + (budget - initial) * log(1 + T/c) / log(1 + T_end/c): the integral of that rate, scaled to use the budget
    exactly. Christiano et al. 2017 used c = 2e6 in runs of 5e7 steps.
    """

    budget: int
    """Answers to ask for in the whole run; answers "can't tell" do not count."""
    initial_share: float = 0.25
    """Share of the budget asked before training begins."""
    decay_share: float = 0.04
    """c as a share of the run's steps: the smaller, the earlier labels come."""
    finish_share: float = 0.8
    """Share of the run's steps by which the whole budget has been asked; labels in the last steps teach little."""
    min_batch: int = 1
    """Ask only when this many are due, as every asking scores candidates afresh; the first and last may be fewer."""

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ConfigError(
                f"budget must be > 0, got {self.budget}; learning from feedback needs at least one answer"
            )
        if not 0 <= self.initial_share <= 1:
            raise ConfigError(f"initial_share must be 0 to 1, got {self.initial_share}")
        if not 0 < self.decay_share < math.inf:
            raise ConfigError(f"decay_share must be > 0 and finite, got {self.decay_share}")
        if not 0 < self.finish_share <= 1:
            raise ConfigError(f"finish_share must be > 0 and at most 1, got {self.finish_share}")
        if self.min_batch < 1:
            raise ConfigError(f"min_batch must be > 0, got {self.min_batch}")

    def target(self, step: int, total_steps: int) -> int:
        """Answers that should have been asked for by `step` of `total_steps` environment steps."""
        if total_steps < 1:
            raise ConfigError(f"total_steps must be > 0, got {total_steps}")
        last = self.finish_share * total_steps
        if step >= last:
            return self.budget
        initial = self._initial()
        scale = self.decay_share * total_steps
        progress = math.log1p(max(step, 0) / scale) / math.log1p(last / scale)
        return initial + math.floor((self.budget - initial) * progress)

    def due(self, step: int, total_steps: int, asked: int) -> int:
        """Questions to ask now.

        Args:
            step: environment steps so far.
            total_steps: environment steps of the whole run.
            asked: questions that are answered or still waiting for their answer; those answered "can't tell" are left
                out, so that another one takes their place.
        """
        due = max(self.target(step, total_steps) - asked, 0)
        is_first = asked < self._initial()
        is_last = asked + due >= self.budget
        return due if due >= self.min_batch or is_first or is_last else 0

    def _initial(self) -> int:
        return round(self.initial_share * self.budget)
