"""The watch over learning from a learned reward: it halts when that rises and what people held back does not.

Too much optimisation of a learned reward finds its faults: past some distance from the reference the reward still rises
and what it stands for falls (Gao, Schulman and Hilton 2023, arXiv 2210.10760: d(α − β log d) with d = √KL). So a
held-out measure that learning never sees is followed beside it: the share of fresh answers that people prefer over the
reference's, or a true score where one is known.

**The test.** Between two updates u < v of a sound run the held-out measure h gains at least `min_gain` for each unit
that the reward r gains, so that D = (h_v − κ r_v) − (h_u − κ r_u) has a mean of 0 at least. Where both are equally
good, D is as likely −x as x, and whatever its scale

    E[2 / (1 + exp(2 λ D))] = 1        since the bet pays f on x and 2 − f on −x

and less where the later one is better, as the bet falls with D. It is a sign test that counts large differences for
more: no pair pays more than double. So the product over pairs of updates without one in common is a bet that gains
nothing on average while nothing is wrong, however often one looks. Stretches of several lengths are compared, half
against half, from every start, each at its own share of the error rate: in a whole run of any length a false halt has
at most the probability `error_rate`, as long as the noise of one update's measure tells nothing about that of another
that is not averaged with it. KL, disagreement, length and repetition are told as evidence; they rise in sound runs too,
and decide nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.verdict import Verdict
from heeler.oversight.betting import Floats, log_mean_exp

STEP, REWARD, HELD_OUT = "step", "reward", "held_out"
SIGNALS: Mapping[str, str] = {
    REWARD: "learned reward",
    HELD_OUT: "held-out agreement",
    "kl": "KL to the reference",
    "reward_disagreement": "disagreement of the ensemble",
    "completions/mean_length": "mean length",
    "repetition": "repetition",
}
"""Metrics that are followed, and what they are called."""

# Bets for a held-out measure in [0, 1]. None is larger: shares of a few comparisons are often level, so that D is as
# little as κ takes off, and a bet that took as little for evidence would gain where nothing is wrong.
_LAMBDA_G: Floats = np.geomspace(1.0, 16.0, 5)
_LOG_2 = math.log(2)


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """How the watch judges."""

    error_rate: float = 0.05
    """Probability of a false halt in a whole run of any length."""
    min_gain: float = 0.02
    """κ: what the held-out measure (0 to 1) has to gain where the learned reward gains one unit."""
    updates_per_point: int = 1
    """Measured updates that are averaged before anything is compared, so that what lingers from one to the next
    cancels; with more of them a halt comes later (`fewest_rounds`)."""
    lags: tuple[int, ...] = (8, 16, 24)
    """Half lengths, in points, of the stretches compared."""

    def __post_init__(self) -> None:
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"error_rate must be between 0 and 0.5, got {self.error_rate:g}")
        if not (self.min_gain >= 0 and math.isfinite(self.min_gain)):
            raise ConfigError(f"min_gain must be >= 0, got {self.min_gain:g}")
        if self.updates_per_point < 1:
            raise ConfigError(f"updates_per_point must be >= 1, got {self.updates_per_point}")
        if not self.lags or min(self.lags) < 1 or len(set(self.lags)) != len(self.lags):
            raise ConfigError(f"lags must be different numbers >= 1, at least one, got {list(self.lags)}")


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some updates compared, the earlier half of each part with the later."""

    first: int
    """Point at which it begins."""
    last: int
    log_evidence: float
    """Logarithm of what the bet has become."""
    log_needed: float
    """From which on it is enough."""
    reward_rises: bool
    """By more than twice its standard error; looked at once the evidence is enough."""


def review(config: WatchConfig, rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """Judge a run by its metrics, after each update.

    Args:
        config: of the watch.
        rows: all rows of metrics since learning began, or since it was last resumed after a halt. Rows without
            `held_out` are passed over, so that it may be measured seldom.

    Returns:
        `halt` with what happened in a sentence and in numbers; else `allow`. `evidence["nearness"]` is how near to a
        halt it is: 1 is enough.

    Raises:
        DataError: a followed metric is not a finite number.
    """
    points = _points(config, rows)
    stretches = list(_stretches(config, points)) if points else []
    nearness = max((each.log_evidence / each.log_needed for each in stretches), default=0.0)
    enough = [each for each in stretches if each.log_evidence >= each.log_needed and each.reward_rises]
    if not enough:
        return Verdict(decision="allow", evidence={"nearness": max(nearness, 0.0)})
    worst = max(enough, key=lambda each: each.log_evidence - each.log_needed)
    return _halt(points, worst, nearness)


def fewest_rounds(config: WatchConfig) -> int:
    """Rounds of held-out comparisons before which no run can be halted, however bad it is: no pair pays over double."""
    num_pairs = math.ceil(-math.log(_share(config, 0)) / _LOG_2)
    num_points = min(2 * lag * ((num_pairs - 1) // lag) + lag + (num_pairs - 1) % lag + 1 for lag in config.lags)
    return config.updates_per_point * num_points


def _share(config: WatchConfig, number: int) -> float:
    """Of the error rate, for the stretches of one length that begin at the `number`-th place."""
    return config.error_rate / (len(config.lags) * (number + 1) * (number + 2))


def _points(config: WatchConfig, rows: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Each followed metric that all measured rows have, averaged over some updates; the newest few wait for more."""
    measured = [row for row in rows if row.get(HELD_OUT) is not None]
    num_points = len(measured) // config.updates_per_point
    used = measured[: num_points * config.updates_per_point]
    if not used:
        return {}
    for name in (STEP, REWARD):
        if any(name not in row for row in used):
            raise DataError(f"{name}: a row with held_out lacks it; the watch needs both")
    names = [name for name in (STEP, *SIGNALS) if all(row.get(name) is not None for row in used)]
    return {name: np.array([_finite(row, name) for row in used]).reshape(num_points, -1).mean(axis=1) for name in names}


def _finite(row: Mapping[str, Any], name: str) -> float:
    value = float(row[name])
    if not math.isfinite(value):
        raise DataError(f"step {row.get(STEP)}, {name}: expected a finite number, got {value}")
    return value


def _stretches(config: WatchConfig, points: Mapping[str, Floats]) -> Iterator[Stretch]:
    """All stretches that end at the newest point."""
    reward_P = points[REWARD]
    measure_P = points[HELD_OUT] - config.min_gain * reward_P
    last = len(reward_P) - 1
    for lag in config.lags:
        between = max(1, lag // 2)
        for number, first in enumerate(range(0, last - lag + 1, between)):
            earlier = _earlier(first, last, lag)
            evidence = _log_evidence(measure_P[earlier + lag] - measure_P[earlier])
            needed = -math.log(_share(config, number))
            rises = evidence >= needed and _rises(reward_P[earlier + lag] - reward_P[earlier])
            yield Stretch(first=first, last=last, log_evidence=evidence, log_needed=needed, reward_rises=rises)


def _earlier(first: int, last: int, lag: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Earlier points of the pairs from `first` on: `lag` points, the `lag` they are paired with, `lag` points again."""
    place = np.arange(first, last - lag + 1)
    return place[(place - first) % (2 * lag) < lag]


def _log_evidence(difference_N: Floats) -> float:
    """Logarithm of the mean of the bets that the differences are below 0."""
    paid_NG = _LOG_2 - np.logaddexp(0.0, 2 * difference_N[:, None] * _LAMBDA_G)
    return float(log_mean_exp(paid_NG.sum(axis=0)))


def _rises(difference_N: Floats) -> bool:
    spread = float(difference_N.std(ddof=1)) if len(difference_N) > 1 else 0.0
    return float(difference_N.mean()) > 2 * spread / math.sqrt(len(difference_N))


def _halt(points: Mapping[str, Floats], stretch: Stretch, nearness: float) -> Verdict:
    inside = slice(stretch.first, stretch.last + 1)
    quarter = max(1, (stretch.last + 1 - stretch.first) // 4)
    changes: dict[str, dict[str, float]] = {}
    for name in SIGNALS:
        if name in points:
            value_P = points[name][inside]
            changes[name] = {"from": float(value_P[:quarter].mean()), "to": float(value_P[-quarter:].mean())}
    steps = points[STEP][inside]
    told = [f"{SIGNALS[name]} from {each['from']:.3g} to {each['to']:.3g}" for name, each in changes.items()]
    reward, held_out, *others = told
    verb = "fell" if changes[HELD_OUT]["to"] < changes[HELD_OUT]["from"] else "did not rise with it"
    beside = f" Meanwhile: {', '.join(others)}." if others else ""
    reason = (
        f"Over-optimisation: between steps {steps[0]:,.0f} and {steps[-1]:,.0f} the learned reward rose and held-out "
        f"agreement {verb} ({reward}, {held_out}).{beside}"
    )
    evidence = {"nearness": nearness, "first_step": float(steps[0]), "last_step": float(steps[-1]), "changes": changes}
    return Verdict(decision="halt", reason=reason, evidence=evidence | {"stretch": asdict(stretch)})
