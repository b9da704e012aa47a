"""Whether a potential explains an extra reward, by steps that were made: a regression that says how sure it is.

What `policy_invariance` finds exactly in a table is found here up to an error: the potential is looked for among smooth
functions of the observation, each third of the steps is foretold from the others, and steps that nobody made say
nothing.
Shapes: K steps, O observation numbers, F features, C cells.
"""

import math
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.rewards.policy_invariance import Loop, best_loop

MAX_STEPS = 4000
"""More are not looked at."""
LEAST_STEPS = 40
"""Fewer tell nothing."""
_NUM_WAVES = 128
_WAVE_LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Of the random features, in spreads of an observation's numbers."""
_RIDGES = tuple(10.0**power for power in range(-8, 3))
_NUM_CELLS = 40
_LEAST_IN_CELL = 4
_SURE = 3.0
"""Standard errors that a loop must earn more than nothing by, as the best of many is taken."""


@dataclass(frozen=True, kw_only=True)
class SampleCheck:
    """What a potential explains of an extra reward on the steps that were made."""

    unexplained: float
    """Share of the extra reward's square that no potential found foretells: about 0 is potential-based."""
    standard_error: float
    """Of `unexplained`, as if steps were independent of each other."""
    num_steps: int
    """That it was found by."""
    loop: Loop | None = None
    """Regions of states (by number) between which reward is earned for ever, where one surely is."""
    tolerance: float = 0.05
    """Up to so much may be left over because the potential is rougher than the functions it is looked for among."""

    @property
    def changes_policy(self) -> bool:
        """Whether more is left over than can be put down to the error, or a loop surely earns, however little it is
        beside what rare steps are paid."""
        return self.loop is not None or self.unexplained - 2 * self.standard_error > self.tolerance

    @property
    def in_words(self) -> str:
        """For people."""
        found = (
            f"{self.unexplained:.0%} ± {2 * self.standard_error:.0%} of the extra reward is explained by no potential "
            f"({self.num_steps:,} steps)"
        )
        if not self.changes_policy:
            return f"{found}, which may be error: the best policy should stay as it is"
        loop = ""
        if self.loop is not None:
            what = "staying in one region of states" if len(self.loop.states) == 1 else "going round between regions"
            loop = f"; {what} earns about {self.loop.gain:.3g} a step more, for ever"
        return f"{found}: it may change which policy is best{loop}"


def check_samples(
    observation_KO: np.ndarray,
    next_observation_KO: np.ndarray,
    terminated_K: np.ndarray,
    extra_K: np.ndarray,
    *,
    discount: float,
    rng: np.random.Generator,
) -> SampleCheck:
    """Look for a potential on some steps and see how much of the others it leaves over.

    Args:
        observation_KO: before each step.
        next_observation_KO: after it; at an episode's end what ended it.
        terminated_K: bool: it ended the episode in a terminal state.
        extra_K: the extra reward.
        discount: gamma, the learner's.
        rng: draws the steps that are looked at, the functions and the thirds.

    Raises:
        DataError: there are too few steps to tell anything.
    """
    if len(extra_K) < LEAST_STEPS:
        raise DataError(f"at least {LEAST_STEPS} steps are needed to look for a potential, got {len(extra_K)}")
    rows = np.sort(rng.permutation(len(extra_K))[:MAX_STEPS])
    before, after = observation_KO[rows].astype(np.float64), next_observation_KO[rows].astype(np.float64)
    ends, extra = terminated_K[rows], extra_K[rows].astype(np.float64)
    size = float(np.square(extra).mean())
    if size == 0:
        return SampleCheck(unexplained=0.0, standard_error=0.0, num_steps=len(rows))
    features = _Features(before, rng)
    design_KF = discount * features(after) * ~ends[:, None] - features(before)
    residual = _left_over(design_KF, extra, rng)
    share = np.square(residual) / size
    unexplained = float(share.mean())
    error = float((share - unexplained * np.square(extra) / size).std() / math.sqrt(len(rows)))
    loop = _earning_loop(features.scaled(before), features.scaled(after), ends, residual, rng)
    tolerable = SampleCheck.tolerance * math.sqrt(size)
    return SampleCheck(
        unexplained=unexplained,
        standard_error=error,
        num_steps=len(rows),
        loop=loop if loop is not None and loop.gain > tolerable else None,
    )


class _Features:
    """Smooth functions of an observation: a constant, its numbers, their squares and random waves (Rahimi 2007)."""

    def __init__(self, observation_KO: np.ndarray, rng: np.random.Generator) -> None:
        self.mean = observation_KO.mean(0)
        spread = observation_KO.std(0)
        self.spread = np.where(spread > 1e-9, spread, 1.0)
        size = observation_KO.shape[1]
        length = rng.choice(_WAVE_LENGTHS, _NUM_WAVES) * math.sqrt(size)
        self.waves = rng.normal(size=(size, _NUM_WAVES)) / length
        self.phase = rng.uniform(0, 2 * math.pi, _NUM_WAVES)

    def scaled(self, observation_KO: np.ndarray) -> np.ndarray:
        """[K, O] in spreads."""
        return np.clip((observation_KO - self.mean) / self.spread, -8.0, 8.0)

    def __call__(self, observation_KO: np.ndarray) -> np.ndarray:
        """[K, F]."""
        x = self.scaled(observation_KO)
        return np.concatenate([np.ones((len(x), 1)), x, np.square(x), np.cos(x @ self.waves + self.phase)], 1)


def _left_over(design_KF: np.ndarray, extra_K: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[K] what of each step's extra reward the potential that was fitted to other steps does not foretell."""
    part = rng.permutation(len(extra_K)) % 3
    residual = np.empty_like(extra_K)
    for held_out in range(3):
        first, second = ((part == (held_out + number) % 3) for number in (1, 2))
        # How rough it may be is chosen by steps that are neither fitted to nor foretold.
        errors = [
            np.square(extra_K[second] - design_KF[second] @ _weights(design_KF[first], extra_K[first], ridge)).mean()
            for ridge in _RIDGES
        ]
        known, asked = part != held_out, part == held_out
        weights = _weights(design_KF[known], extra_K[known], _RIDGES[int(np.argmin(errors))])
        residual[asked] = extra_K[asked] - design_KF[asked] @ weights
    return residual


def _weights(design_KF: np.ndarray, extra_K: np.ndarray, ridge: float) -> np.ndarray:
    """[F] of the potential: least squares, with a price on all but the constant, which changes no shape."""
    gram = design_KF.T @ design_KF
    size = np.trace(gram) / len(gram)
    price = np.full(len(gram), ridge * size)
    price[0] = 1e-12 * size
    return np.linalg.solve(gram + np.diag(price), design_KF.T @ extra_K)


def _earning_loop(
    before_KO: np.ndarray, after_KO: np.ndarray, ends_K: np.ndarray, residual_K: np.ndarray, rng: np.random.Generator
) -> Loop | None:
    """The loop between regions that surely earns, by the steps between them; None where none does."""
    centres = before_KO[rng.permutation(len(before_KO))[:_NUM_CELLS]]
    goes_on = ~ends_K
    start, end = _nearest(before_KO[goes_on], centres), _nearest(after_KO[goes_on], centres)
    left = residual_K[goes_on]
    num = len(centres)
    count, total, square = np.zeros((num, num)), np.zeros((num, num)), np.zeros((num, num))
    np.add.at(count, (start, end), 1)
    np.add.at(total, (start, end), left)
    np.add.at(square, (start, end), np.square(left))
    known = count >= _LEAST_IN_CELL
    mean = np.divide(total, count, out=np.zeros_like(total), where=known)
    variance = np.divide(square, count, out=np.zeros_like(total), where=known) - np.square(mean)
    error = np.sqrt(np.maximum(variance, 0.0) / np.maximum(count, 1))
    # What it earns at the least: so the best of many loops is not the luckiest.
    loop = best_loop(np.where(known, mean - _SURE * error, -math.inf))
    return loop if loop is not None and loop.gain > 0 else None


def _nearest(observation_KO: np.ndarray, centres_CO: np.ndarray) -> np.ndarray:
    """[K] the centre that each is nearest to."""
    square = np.square(centres_CO).sum(1) - 2 * observation_KO @ centres_CO.T
    return square.argmin(1)
