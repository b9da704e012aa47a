"""How surprising a sum is, without leaning on large numbers: bounds that hold for any number of answers."""

import numpy as np

from heeler.feedback.annotators.answers import Floats

_TILT_G: Floats = np.concatenate([[0.0], np.geomspace(0.01, 12.0, 60)])


def log_chernoff(log_moment_NG: Floats, seen: float) -> float:
    """Logarithm of a bound on P(S ≥ seen) for a sum S of independent values (Chernoff 1952).

    Args:
        log_moment_NG: [N, G] of each value the logarithm of E[exp(t X)], for every t of `tilts`.
        seen: what the sum came to.
    """
    return float(np.min(log_moment_NG.sum(0) - _TILT_G * seen))


def log_chernoff_of_shares(share_N: Floats, seen: float) -> float:
    """The same where each value is 1 with a probability of `share_N` and else 0."""
    return log_chernoff(np.log1p(share_N[:, None] * np.expm1(_TILT_G)), seen)


def log_bennett(excess: Floats, variance: Floats, most: Floats) -> Floats:
    """Logarithm of a bound on the chance that a sum of mean 0 exceeds `excess` (Bennett 1962): −V/c² h(c x/V) with
    h(u) = (1 + u) log(1 + u) − u.

    Args:
        excess: of the sum above its mean; where it is not above 0, the bound is log 1.
        variance: V of the sum.
        most: c, the largest value of any term.
    """
    over, variance, most = np.maximum(excess, 0.0), np.maximum(variance, 1e-12), np.maximum(most, 1e-12)
    u = most * over / variance
    return -variance / most**2 * ((1 + u) * np.log1p(u) - u)
