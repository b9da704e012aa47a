r"""What is known of each person, given how likely each answer was: the exact posterior on a grid.

Reliability η has a Beta prior, the lean b to a side a normal one (`likelihood` says how both make an answer). A grid of
both is small enough to be gone through whole, so that nothing is approximated but by the grid: somebody with one answer
stays near the prior, and intervals are what the posterior says. Answers to gold items come with their right answer in
place of a margin, and so anchor which end of η is honest.

Speed is fitted for all people together: an answer that took t seconds was given by looking with probability
$w = t^4 / (t^4 + \tau^4)$, and at $t = \tau$ every second one was. τ is 0 unless the answers are likelier by more than
chance would make them with a τ (by BIC).

Shapes: N answers, P people, E reliabilities, B leans.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import CANT_TELL, EQUAL, LEFT, RIGHT, Answers, Floats, Ints
from heeler.feedback.annotators.likelihood import parts

_ETA_E: Floats = (np.arange(24) + 0.5) / 24
_LEAN_B: Floats = np.array([-5.0, -3.5, -2.2, -1.2, -0.5, 0.0, 0.5, 1.2, 2.2, 3.5, 5.0])
_TAU_S: Floats = np.array([0.15, 0.25, 0.4, 0.6, 0.9, 1.3, 1.9])
_STEEP = 4
_LEAST_TIMED = 30
_SCALES = (0.5, 0.71, 1.0, 1.41, 2.0)


@dataclass(frozen=True, kw_only=True)
class ReliabilityConfig:
    """What is believed of a person before they answer."""

    prior_honest: float = 4.0
    """First number of the Beta prior of reliability: as if so many answers had been honest."""
    prior_hostile: float = 1.0
    """Second number: as if so many had been the wrong way round. The first must be larger, else nothing tells honest
    from hostile where there are no gold items."""
    lean_spread: float = 1.0
    """Standard deviation of the prior of how far people lean to a side, in log-odds; 0 for not at all."""
    models_speed: bool = True
    """Whether answers that took too little time count for less, where the answers show that they should."""
    gold_margin: float = 4.0
    """Log-odds with which a gold item's right answer is taken to be the better one."""
    interval: float = 0.95
    """Probability within the intervals that are told."""

    def __post_init__(self) -> None:
        if not 0 < self.prior_hostile < self.prior_honest < math.inf:
            raise ConfigError(
                "prior_honest must be above prior_hostile, and that above 0, so that honest and hostile can be told "
                f"apart; got {self.prior_honest} and {self.prior_hostile}"
            )
        if not 0 <= self.lean_spread < math.inf:
            raise ConfigError(f"lean_spread must be >= 0 and finite, got {self.lean_spread}")
        if not 0 < self.gold_margin < math.inf:
            raise ConfigError(f"gold_margin must be > 0 and finite, got {self.gold_margin}")
        if not 0 < self.interval < 1:
            raise ConfigError(f"interval must be above 0 and below 1, got {self.interval}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """What is known of P people."""

    mean_P: Floats
    """Posterior mean of η: what an answer of theirs is weighed by."""
    low_P: Floats
    high_P: Floats
    """Credible interval of η."""
    hostile_P: Floats
    """Probability that η is below one half."""
    lean_P: Floats
    """Posterior mean of the lean; above 0 to the left."""
    num_P: Ints
    """Answers that it was told from."""
    looked_N: Floats
    """Of each answer: probability that it was given by looking."""
    tau_s: float
    """Seconds in which every second answer is given by looking; 0 where speed tells nothing."""
    scale: float
    """What margins were multiplied by, so that they are as sure as they should be."""
    log_likelihood: float
    """Of all answers, people integrated over."""
    log_posterior_PEB: Floats = field(repr=False)
    """On the grid, each person's adding up to one."""

    def of_answers(self, wanted_N: NDArray[np.bool_]) -> "Reliability":
        """The same of the same people, beside some of the answers."""
        return replace(self, looked_N=self.looked_N[wanted_N])


def reliability(
    answers: Answers,
    margin_N: Floats,
    config: ReliabilityConfig,
    *,
    gold_N: Ints | None = None,
    told_N: Floats | None = None,
    tie: float | None = None,
    fits_scale: bool = False,
    tau_s: float | None = None,
) -> Reliability:
    """What answers say of those who gave them.

    Args:
        answers: "can't tell" says nothing.
        margin_N: [N] how much better the left was, in log-odds, by something that did not learn from this very answer.
        config: what is believed before.
        gold_N: [N] right outcomes, -1 where nobody knows; takes the margin's place. "Equal" as right answer tells
            nothing of who is hostile, and is left out.
        told_N: [N] how much each answer counts, 1 unless given: 0 for one of before a person changed, say.
        tie: Davidson's ν; from the share of "equal" where it is not given.
        fits_scale: whether margins may be surer or less sure than they should be, and are mended.
        tau_s: the seconds of the speed model, where they are known already; else they are fitted.

    Raises:
        DataError: margins or gold are not one for each answer, or not finite.
    """
    _check(answers, margin_N, gold_N, told_N)
    margin_N, counts_N = _anchored(answers, margin_N, config, gold_N)
    if told_N is not None:
        counts_N = counts_N * told_N
    tie = tie_weight(answers) if tie is None else tie
    is_free_N = np.ones(len(answers), bool) if gold_N is None else gold_N < 0
    best: Reliability | None = None
    for scale in _SCALES if fits_scale else (1.0,):
        scaled_N = np.where(is_free_N, margin_N * scale, margin_N)
        found = _with_speed(answers, scaled_N, counts_N, config, tie, scale, tau_s or 0.0)
        if best is None or found.log_likelihood > best.log_likelihood:
            best = found
    assert best is not None
    if tau_s is not None:
        return best
    # Speed is looked for at the scale that was found without it.
    scaled_N = np.where(is_free_N, margin_N * best.scale, margin_N)
    return _with_speed(answers, scaled_N, counts_N, config, tie, best.scale, None)


def tie_weight(answers: Answers) -> float:
    """Davidson's ν from the share of "equal", as if items were alike: 0 where nobody answered it."""
    equal = int((answers.outcome_N == EQUAL).sum())
    decided = int(((answers.outcome_N == LEFT) | (answers.outcome_N == RIGHT)).sum())
    return 0.0 if equal == 0 else 2.0 * equal / max(decided, 1)


def _check(answers: Answers, margin_N: Floats, gold_N: Ints | None, told_N: Floats | None) -> None:
    for name, values in (("margins", margin_N), ("gold", gold_N), ("told", told_N)):
        if values is not None and len(values) != len(answers):
            raise DataError(f"{name}: there are {len(values)} for {len(answers)} answers; expected one each")
    for row in np.flatnonzero(~np.isfinite(margin_N))[:1]:
        raise DataError(f"margins, row {row}: expected a finite number, got {margin_N[row]}")


def _anchored(
    answers: Answers, margin_N: Floats, config: ReliabilityConfig, gold_N: Ints | None
) -> tuple[Floats, Floats]:
    """Margins with gold in their place, and [N] whether each answer counts."""
    counts_N = (answers.outcome_N != CANT_TELL).astype(np.float64)
    if gold_N is None:
        return margin_N, counts_N
    right = np.where(gold_N == LEFT, config.gold_margin, np.where(gold_N == RIGHT, -config.gold_margin, 0.0))
    return np.where(gold_N >= 0, right, margin_N), counts_N * (gold_N != EQUAL)


def _with_speed(
    answers: Answers,
    margin_N: Floats,
    counts_N: Floats,
    config: ReliabilityConfig,
    tie: float,
    scale: float,
    known_tau_s: float | None,
) -> Reliability:
    """The τ under which the answers are likeliest, if any is worth it."""
    parts_NB = parts(margin_N, np.minimum(answers.outcome_N, EQUAL), _LEAN_B, tie)
    if known_tau_s is not None:
        looked_N = looked_share(answers.time_s_N, known_tau_s)
        return _posterior(answers, parts_NB, looked_N, counts_N, config, known_tau_s, scale)
    looked_N = np.ones(len(answers))
    best = _posterior(answers, parts_NB, looked_N, counts_N, config, 0.0, scale)
    timed_N = np.isfinite(answers.time_s_N) & (counts_N > 0)
    if not config.models_speed or timed_N.sum() < _LEAST_TIMED:
        return best
    worth = best.log_likelihood + 0.5 * math.log(len(answers))
    for tau_s in _TAU_S[np.quantile(answers.time_s_N[timed_N], 0.01) < _TAU_S * 2].tolist():
        looked_N = looked_share(answers.time_s_N, tau_s)
        found = _posterior(answers, parts_NB, looked_N, counts_N, config, tau_s, scale)
        if found.log_likelihood > max(worth, best.log_likelihood):
            best = found
    return best


def looked_share(time_s_N: Floats, tau_s: float) -> Floats:
    """[N] probability that an answer was given by looking; 1 where nobody knows how long it took."""
    if tau_s == 0:
        return np.ones(len(time_s_N))
    # As a power of the ratio, so that long times do not overflow.
    ratio_N = (tau_s / np.maximum(np.nan_to_num(time_s_N, nan=np.inf), 1e-3)) ** _STEEP
    return 1 / (1 + ratio_N)


def _posterior(
    answers: Answers,
    parts_NB: tuple[Floats, Floats, Floats],
    looked_N: Floats,
    counts_N: Floats,
    config: ReliabilityConfig,
    tau_s: float,
    scale: float,
) -> Reliability:
    honest_NB, hostile_NB, unseen_NB = parts_NB
    prior_EB = _log_prior(config)
    log_PEB = np.empty((answers.num_people, len(_ETA_E), len(_LEAN_B)))
    order = np.argsort(answers.person_N, kind="stable")
    starts = np.searchsorted(answers.person_N[order], np.arange(answers.num_people))
    looked, counts = looked_N[order, None], counts_N[order, None]
    seen_hostile, rest = looked * hostile_NB[order], (1 - looked) * unseen_NB[order]
    gain, floor = looked * honest_NB[order] - seen_hostile, seen_hostile + rest
    for place, eta in enumerate(_ETA_E):
        log_NB = np.log(np.maximum(eta * gain + floor, 1e-300)) * counts
        log_PEB[:, place] = np.add.reduceat(log_NB, starts, axis=0)
    log_PEB += prior_EB
    total_P = np.logaddexp.reduce(log_PEB.reshape(answers.num_people, -1), axis=1)
    log_PEB -= total_P[:, None, None]
    return _summary(answers, log_PEB, looked_N, counts_N, config, tau_s, scale, float(total_P.sum()))


def _log_prior(config: ReliabilityConfig) -> Floats:
    """[E, B] adding up to one."""
    eta = (config.prior_honest - 1) * np.log(_ETA_E) + (config.prior_hostile - 1) * np.log1p(-_ETA_E)
    if config.lean_spread == 0:
        lean = np.where(_LEAN_B == 0, 0.0, -np.inf)
    else:
        # Points of the grid stand for stretches of different length.
        lean = -0.5 * (_LEAN_B / config.lean_spread) ** 2 + np.log(np.gradient(_LEAN_B))
    both = eta[:, None] + lean
    return both - np.logaddexp.reduce(both.reshape(-1))


def _summary(
    answers: Answers,
    log_PEB: Floats,
    looked_N: Floats,
    counts_N: Floats,
    config: ReliabilityConfig,
    tau_s: float,
    scale: float,
    log_likelihood: float,
) -> Reliability:
    mass_PEB = np.exp(log_PEB)
    eta_PE, lean_PB = mass_PEB.sum(2), mass_PEB.sum(1)
    outside = (1 - config.interval) / 2
    return Reliability(
        mean_P=eta_PE @ _ETA_E,
        low_P=_quantile(eta_PE, outside),
        high_P=_quantile(eta_PE, 1 - outside),
        hostile_P=eta_PE[:, _ETA_E < 0.5].sum(1),
        lean_P=lean_PB @ _LEAN_B,
        num_P=np.bincount(answers.person_N, weights=counts_N > 0, minlength=answers.num_people).astype(np.int64),
        looked_N=looked_N,
        tau_s=tau_s,
        scale=scale,
        log_likelihood=log_likelihood,
        log_posterior_PEB=log_PEB,
    )


def _quantile(mass_PE: Floats, share: float) -> Floats:
    """[P] of η, each point of the grid spread evenly over its stretch."""
    width = 1 / mass_PE.shape[1]
    below_PE = np.concatenate([np.zeros((len(mass_PE), 1)), mass_PE.cumsum(1)], 1)
    place_P = np.minimum((below_PE[:, 1:] < share).sum(1), mass_PE.shape[1] - 1)
    rows = np.arange(len(mass_PE))
    within_P = (share - below_PE[rows, place_P]) / np.maximum(mass_PE[rows, place_P], 1e-300)
    return (place_P + np.clip(within_P, 0, 1)) * width
