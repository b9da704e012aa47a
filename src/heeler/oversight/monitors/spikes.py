"""One metric of a run that must not leap: what the monitors of the learner's own figures share."""

import math

from heeler.oversight.monitors.jumps import Jump
from heeler.oversight.monitors.kept import Kept


class Spike(Kept):
    """Follows one metric by `Jump`.

    Args:
        error_rate: probability of a false alarm in a whole run.
        num_looks: N, updates of the run.
        sided: 1 for leaps up, -1 for leaps down.
        is_positive: whether the metric is followed by its logarithm.
    """

    kept = ("jump",)

    def __init__(self, error_rate: float, num_looks: int, *, sided: int = 1, is_positive: bool = True) -> None:
        self.jump = Jump(error_rate, num_looks, sided=sided)
        self.is_positive = is_positive

    def add(self, value: float | None, least: float) -> float:
        """Take in a value, None where there was none; how far it leapt, in the metric's unit or logarithms of it.

        Args:
            value: of the metric.
            least: smaller leaps are none, in the same.
        """
        if value is None or not math.isfinite(value):
            return 0.0
        figure = math.log(max(value, 1e-8)) if self.is_positive else value
        return self.jump.look(figure, least)
