"""ADWIN: a window that drops its old part when that differs from the new (Bifet and Gavaldà 2007, SIAM SDM).

For every split of the window W into an older W₀ and a newer W₁ the means differ by more than

    ε = √(2/m σ²_W log(2/δ')) + 2/(3m) log(2/δ'),    1/m = 1/|W₀| + 1/|W₁|,    δ' = δ / |W|

only if they are different, but for δ a value (by Bernstein's bound: the paper's equation 3.1 with |W| for log |W|,
which is the safe choice). Values lie in [0, 1]. So that it costs O(log |W|) a value, old values are kept as sums over
1, 2, 4 ... of them, at most M rows of a size: only splits between rows are looked at.
"""

import math

from heeler.core.errors import DataError
from heeler.oversight.monitors.kept import Kept

_ROWS_OF_A_SIZE = 5
"""M."""


class Adwin(Kept):
    """One window over values in [0, 1].

    Args:
        error_rate: probability of a false change in a whole run, each way.
        num_looks: N, values in a run; δ is a share of 1/N of the error rate.
        least_values: a part shorter than this is not compared.
    """

    kept = ("rows", "changed_by")

    def __init__(self, error_rate: float, num_looks: int, *, least_values: int = 4) -> None:
        self.delta = error_rate / num_looks
        self.least_values = least_values
        self.rows: list[list[float]] = []
        """Count, sum and sum of squares of each stretch, the oldest first."""
        self.changed_by = 0.0
        """Newer less older mean at the last change; 0 before the first."""

    def add(self, value: float) -> bool:
        """Take in a value; whether the mean has changed. `changed_by` then says by how much, and the old part is gone.

        Raises:
            DataError: it is not in [0, 1].
        """
        if not 0 <= value <= 1:
            raise DataError(f"ADWIN's values must lie in [0, 1], got {value}")
        self.rows.append([1.0, value, value * value])
        self._merge()
        changed = False
        while (cut := self._cut()) is not None:
            older, newer = _sum(self.rows[:cut]), _sum(self.rows[cut:])
            self.changed_by = newer[1] / newer[0] - older[1] / older[0]
            self.rows = self.rows[cut:]
            changed = True
        return changed

    @property
    def mean(self) -> float:
        """Of the window; 0 while it is empty."""
        count, total, _ = _sum(self.rows)
        return total / count if count else 0.0

    def _merge(self) -> None:
        """Where there are more than M rows of a size, the two oldest of it become one of twice the size."""
        size = 1.0
        while True:
            places = [place for place, row in enumerate(self.rows) if row[0] == size]
            if len(places) <= _ROWS_OF_A_SIZE:
                return
            first, second = places[:2]
            merged = [a + b for a, b in zip(self.rows[first], self.rows[second], strict=True)]
            self.rows[first : second + 1] = [merged]
            size *= 2

    def _cut(self) -> int | None:
        """The first row of the newer part, for the oldest split at which the parts differ."""
        count, total, squares = _sum(self.rows)
        if count < 2 * self.least_values:
            return None
        variance = max(0.0, squares / count - (total / count) ** 2)
        log_term = math.log(2 * count / self.delta)
        count_0 = total_0 = 0.0
        for place, row in enumerate(self.rows[:-1]):
            count_0, total_0 = count_0 + row[0], total_0 + row[1]
            count_1 = count - count_0
            if min(count_0, count_1) < self.least_values:
                continue
            of_both = 1 / count_0 + 1 / count_1
            needed = math.sqrt(2 * of_both * variance * log_term) + 2 / 3 * of_both * log_term
            if abs(total_0 / count_0 - (total - total_0) / count_1) > needed:
                return place + 1
        return None


def _sum(rows: list[list[float]]) -> list[float]:
    return [math.fsum(row[place] for row in rows) for place in range(3)]
