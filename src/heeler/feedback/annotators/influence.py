"""How much anybody may weigh, so that no single person, and no group that acts as one, decides what is learned.

Shapes: N answers, P people.
"""

from collections.abc import Sequence

import numpy as np

from heeler.core.errors import ConfigError
from heeler.feedback.annotators.answers import Floats, Ints, sums_by


def capped_weights(
    weight_N: Floats, person_N: Ints, num_people: int, cap: float, as_one: Sequence[Sequence[int]]
) -> Floats:
    """[N] the weights with everybody's taken down to at most a share `cap` of all that is left.

    Where there are fewer than 1 / cap people that cannot be; each then weighs at most as much as the others.

    Args:
        weight_N: what each answer says, at least 0.
        person_N: who gave it.
        num_people: P.
        cap: the largest share, above 0 and at most 1.
        as_one: groups of people, by number, who count as one person.

    Returns:
        Weights; those of who is below the cap are as they were.
    """
    if not 0 < cap <= 1:
        raise ConfigError(f"cap must be above 0 and at most 1, got {cap}")
    unit_P = np.arange(num_people)
    for group in as_one:
        unit_P[list(group)] = min(group)
    total_P = sums_by(unit_P[person_N], weight_N, num_people)
    level = _level(total_P[total_P > 0], cap)
    factor_P = np.minimum(1.0, level / np.maximum(total_P, 1e-300))
    return weight_N * factor_P[unit_P[person_N]]


def _level(total_U: Floats, cap: float) -> float:
    """The largest L with L ≤ cap · Σ min(total, L): what the heaviest may weigh."""
    num = len(total_U)
    if num == 0:
        return 0.0
    # A share below an even one could be met by weighing nothing alone.
    cap = max(cap, 1 / num)
    ordered = np.sort(total_U)
    below = np.concatenate([[0.0], ordered.cumsum()])
    if ordered[-1] <= cap * below[-1]:
        return float(ordered[-1])
    # With the k heaviest at the level: L = cap (below + k L), for the k at which that lies between two of them.
    for k in range(1, num + 1):
        if cap * k >= 1:
            return float(ordered[num - k])
        level = cap * below[num - k] / (1 - cap * k)
        if num == k or level >= ordered[num - k - 1]:
            return float(level)
    raise AssertionError("a level lies between two totals, or above or below all")
