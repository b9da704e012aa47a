"""Good and bad said while an agent acts: what was said, and the steps that it may be about. Plain data.

Shapes: K steps, O observation numbers, A action numbers.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Somebody pressed good or bad."""

    time_s: float
    """On the clock of what was shown: 0 when the first step came on the screen. Pauses do not count."""
    sign: int
    """1 for good, -1 for bad."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditedSignal:
    """A signal with the steps that it may be about, the oldest first.

    Those that stand before the first step there was have `known` False, and zeros in all else.
    """

    observation: np.ndarray
    """[K, O] float32 before each step."""
    action: np.ndarray
    """[K, A] what was chosen: int64 for Discrete and MultiDiscrete, float32 for Box."""
    log_prob: np.ndarray
    """[K] float32 with which it was chosen."""
    begins: np.ndarray
    """[K] bool: an episode begins with this step."""
    known: np.ndarray
    """[K] bool."""
    credit: np.ndarray
    """[K] float64: the probability that the signal is about this step; they sum to 1, or less where it may be about
    something that is not among them."""
    sign: float
    """1 for good, -1 for bad."""
