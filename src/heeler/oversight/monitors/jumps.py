"""Whether a figure left the line that it was on: what tells a fault from learning, in which everything moves.

Figures of a run that learns are never stationary: returns rise, entropy falls, losses do both. But they do so from one
update to the next by little, against what they waver. So each new value is compared with the straight line through the
last W of them. Where the figure is a line and independent normal noise within those W + 1 updates,

    t = (x_{W} − x̂_{W}) / (s √(1 + h))    has Student's distribution with W − 2 degrees of freedom, exactly,

with x̂ the line's continuation, s² its residual variance, h = z'(Z'Z)⁻¹z. The threshold is the quantile that S figures
in N updates exceed once in 1/α runs at most (Bonferroni). What is not normal, or bends, is seen to by `least`: a jump
smaller than that is none, however sure it is.

Shapes: S figures, W updates.
"""

import math
from functools import cache

import numpy as np

from heeler.oversight.betting import Floats
from heeler.oversight.monitors.kept import Kept
from heeler.oversight.student import t_quantile

WINDOW = 16
"""W: the longer, the lower the threshold; the shorter, the sooner a monitor can say anything."""


@cache
def _line(window: int) -> tuple[Floats, float]:
    """[W + 1, W]: weights that leave the residuals of a line, and below them those that continue it; and √(1 + h)."""
    design = np.stack([np.ones(window), np.arange(window) - (window - 1) / 2], 1)
    following = np.array([1.0, (window + 1) / 2])
    solved: Floats = np.linalg.solve(design.T @ design, design.T).astype(np.float64)
    ahead = following @ solved
    return np.concatenate([np.eye(window) - design @ solved, ahead[None]]), math.sqrt(1 + float(ahead @ ahead))


def continued(past_WS: Floats) -> tuple[Floats, Floats]:
    """[S] where the line through the last W values goes next, and [S] the standard error of a value there.

    Args:
        past_WS: the oldest first; W is at least 3.
    """
    weights, wide = _line(len(past_WS))
    found = weights @ past_WS
    residual_WS = found[:-1]
    return found[-1], np.sqrt((residual_WS * residual_WS).sum(0) / (len(past_WS) - 2)) * wide


class Jumps(Kept):
    """Follows S figures at once.

    Args:
        num_figures: S.
        error_rate: probability that any of them is taken for a jump in a whole run, where none is.
        num_looks: updates of the run.
        sided: 1 for jumps up, -1 for jumps down, 0 for both.
        window: W.
    """

    # The threshold too: how many figures there are may only show once a run has begun.
    kept = ("past_WS", "num_seen", "threshold")

    def __init__(
        self, num_figures: int, error_rate: float, num_looks: int, *, sided: int = 0, window: int = WINDOW
    ) -> None:
        self.sided, self.window = sided, window
        self.past_WS: Floats = np.full((window, num_figures), np.nan)
        self.num_seen = 0
        self.off_S: Floats = np.zeros(num_figures)
        """How far the last values were off their lines, sure or not; 0 while there are no lines."""
        share = error_rate / (num_looks * num_figures)
        self.threshold = t_quantile(share / (1 if sided else 2), window - 2)
        """Of t."""

    def look(self, value_S: Floats, least_S: Floats | float = 0.0) -> Floats:
        """Take in the next values; returns [S] by how much each jumped, 0 where it did not.

        Args:
            value_S: one of each figure; one that is not finite is passed over, and the line goes on without it.
            least_S: smaller jumps are none.
        """
        known_S = np.isfinite(value_S)
        jump_S = np.zeros(len(value_S))
        if self.num_seen >= self.window:
            expected_S, error_S = continued(self.past_WS)
            self.off_S = off_S = value_S - expected_S
            size_S = self.sided * off_S if self.sided else np.abs(off_S)
            # What never wavered has no spread; rounding must not make a jump of nothing.
            rounding_S = 1e-9 * (np.abs(expected_S) + np.abs(value_S))
            jumped_S = known_S & (size_S > np.maximum(self.threshold * error_S + rounding_S, least_S))
            if jumped_S.any():
                jump_S[jumped_S] = off_S[jumped_S]
        if known_S.all():
            self.past_WS[:-1] = self.past_WS[1:]
            self.past_WS[-1] = value_S
        else:
            self.past_WS[:-1, known_S] = self.past_WS[1:, known_S]
            self.past_WS[-1, known_S] = value_S[known_S]
        self.num_seen += 1
        return jump_S


class Jump(Kept):
    """Follows one figure as `Jumps` does, in plain numbers: arrays of one figure take several times as long.

    Args:
        error_rate: probability that it is taken for a jump in a whole run, where it is none.
        num_looks: updates of the run.
        sided: 1 for jumps up, -1 for jumps down, 0 for both.
        window: W.
    """

    kept = ("past", "off")

    def __init__(self, error_rate: float, num_looks: int, *, sided: int = 0, window: int = WINDOW) -> None:
        self.sided, self.window = sided, window
        self.past: list[float] = []
        """The last W values, the oldest first."""
        self.off = 0.0
        """How far the last value was off its line, sure or not; 0 while there is no line."""
        self.threshold = t_quantile(error_rate / num_looks / (1 if sided else 2), window - 2)
        """Of t."""

    def look(self, value: float, least: float = 0.0) -> float:
        """Take in the next value, which is finite; by how much it jumped, 0 where it did not.

        Args:
            value: of the figure.
            least: smaller jumps are none.
        """
        jump = 0.0
        if len(self.past) == self.window:
            expected, error = self._continued()
            self.off = value - expected
            size = self.sided * self.off if self.sided else abs(self.off)
            rounding = 1e-9 * (abs(expected) + abs(value))
            if size > max(self.threshold * error + rounding, least):
                jump = self.off
            del self.past[0]
        self.past.append(value)
        return jump

    def _continued(self) -> tuple[float, float]:
        """Where the line through the last W values goes next, and the standard error of a value there."""
        window, past = self.window, self.past
        middle, ahead = (window - 1) / 2, (window + 1) / 2
        spread = window * (window * window - 1) / 12
        mean = sum(past) / window
        slope = sum((place - middle) * value for place, value in enumerate(past)) / spread
        start = mean - slope * middle
        residual = sum((value - start - slope * place) ** 2 for place, value in enumerate(past))
        wide = 1 + 1 / window + ahead * ahead / spread
        return mean + slope * ahead, math.sqrt(residual / (window - 2) * wide)
