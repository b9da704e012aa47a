"""What benchmarks over many tasks and seeds are summed up by. Only the standard library, as in `harness`."""

import random
from collections.abc import Callable, Sequence


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean without the lowest and the highest quarter, each rounded down to whole values.

    One task that fails, or one where the score is out of all proportion, does not move it. Agarwal et al. 2021
    (arXiv 2108.13264).

    >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
    1.5
    """
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return sum(middle) / len(middle)


def bootstrap(statistic: Callable[[random.Random], float], *, num_resamples: int) -> list[float]:
    """`statistic` of many resamples, lowest first; `quantile` reads an interval off.

    Args:
        statistic: draws one resample with the generator that it is given, and sums it up.
        num_resamples: how many.
    """
    rng = random.Random(0)
    return sorted(statistic(rng) for _ in range(num_resamples))


def resample(values: Sequence[float], rng: random.Random) -> list[float]:
    """As many of `values`, drawn with replacement."""
    return rng.choices(values, k=len(values))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the `ordered` ones lie, interpolated.

    >>> quantile([0.0, 1.0, 2.0], 0.25)
    0.5
    """
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
