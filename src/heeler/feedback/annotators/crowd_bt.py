"""Crowd-BT: how good items are and how reliable people are, from comparisons alone (Chen et al. 2013, WSDM).

Beside what `likelihood` adds (a lean for each person, ties, speed), what is changed of the paper: people's reliability
is integrated over by its exact posterior on a grid where the paper has a point or an online moment match, and items are
fitted in one batch by EM. In its E step each answer is given the share in which it was meant the honest way; the M step
is a concave weighted Bradley–Terry problem, solved by Newton steps whose systems conjugate gradients solve, so that a
step costs a few passes over the answers. Shapes: N answers, P people, K items.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import CANT_TELL, EQUAL, LEFT, Answers, Floats, Ints, gold_of, sums_by
from heeler.feedback.annotators.likelihood import davidson
from heeler.feedback.annotators.reliability import Reliability, ReliabilityConfig, reliability, tie_weight


@dataclass(frozen=True, kw_only=True)
class CrowdBTConfig:
    """Settings of Crowd-BT."""

    people: ReliabilityConfig = field(default_factory=ReliabilityConfig)
    """What is believed of people before they answer."""
    item_spread: float = 2.0
    """Standard deviation of the normal prior of how good items are, in log-odds."""
    max_rounds: int = 40
    """Rounds of EM at most."""
    tolerance: float = 1e-3
    """It ends where no item moves by more in a round."""

    def __post_init__(self) -> None:
        if not 0 < self.item_spread < math.inf:
            raise ConfigError(f"item_spread must be > 0 and finite, got {self.item_spread}")
        if self.max_rounds < 1:
            raise ConfigError(f"max_rounds must be >= 1, got {self.max_rounds}")
        if not self.tolerance > 0:
            raise ConfigError(f"tolerance must be > 0, got {self.tolerance}")


@dataclass(frozen=True, kw_only=True, eq=False)
class CrowdBT:
    """What was fitted."""

    score_K: Floats
    """How good each item is; σ of a difference is the chance that the one is preferred. They add up to 0."""
    people: Reliability
    margin_N: Floats
    """Of each answer: how much better the left was."""
    tie: float
    """Davidson's ν."""
    num_rounds: int


def fit_crowd_bt(
    answers: Answers, config: CrowdBTConfig | None = None, *, gold: Mapping[tuple[str, str], str] | None = None
) -> CrowdBT:
    """Fit items and people.

    Where every answer is "equal" or "can't tell" no item is better than another, and people stay as they are believed
    to be.

    Args:
        answers: of named items.
        config: settings.
        gold: the right choice of some pairs, by (left, right).

    Raises:
        DataError: items are not named, or gold contradicts itself.
    """
    config = config or CrowdBTConfig()
    if not answers.items:
        raise DataError("answers: Crowd-BT fits items, and these answers name none")
    gold_N = gold_of(answers, gold) if gold else np.full(len(answers), -1)
    tie = tie_weight(answers)
    score_K = np.zeros(len(answers.items))
    people, rounds = _first_people(answers, config, gold_N, tie), 0
    moved = math.inf
    while moved > config.tolerance and rounds < config.max_rounds:
        rounds += 1
        newer_K = _fit_items(answers, score_K, people, gold_N, config, tie)
        moved, score_K = float(np.abs(newer_K - score_K).max()), newer_K
        # Speed is looked for once the items are known roughly, and at the end; each look costs as much as a few rounds.
        tau_s = None if rounds == 2 else people.tau_s
        people = reliability(answers, _margins(answers, score_K), config.people, gold_N=gold_N, tie=tie, tau_s=tau_s)
    margin_N = _margins(answers, score_K)
    people = reliability(answers, margin_N, config.people, gold_N=gold_N, tie=tie)
    return CrowdBT(score_K=score_K, people=people, margin_N=margin_N, tie=tie, num_rounds=rounds)


def _first_people(answers: Answers, config: CrowdBTConfig, gold_N: Ints, tie: float) -> Reliability:
    """What gold alone says of people: without it all are alike, since no margin is known yet."""
    only_gold_N = (gold_N >= 0).astype(np.float64)
    return reliability(answers, np.zeros(len(answers)), config.people, gold_N=gold_N, told_N=only_gold_N, tie=tie)


def _margins(answers: Answers, score_K: Floats) -> Floats:
    return score_K[answers.left_N] - score_K[answers.right_N]


def _fit_items(
    answers: Answers, score_K: Floats, people: Reliability, gold_N: Ints, config: CrowdBTConfig, tie: float
) -> Floats:
    """The M step: Newton's method on the weighted comparisons, with the normal prior of items."""
    eta_N, lean_N = people.mean_P[answers.person_N], people.lean_P[answers.person_N]
    counts_N = (answers.outcome_N != CANT_TELL).astype(np.float64)
    outcome_N = np.minimum(answers.outcome_N, EQUAL)
    margin_N = _margins(answers, score_K)
    honest_N = people.looked_N * eta_N * davidson(margin_N + lean_N, outcome_N, tie)
    hostile_N = people.looked_N * (1 - eta_N) * davidson(-margin_N + lean_N, outcome_N, tie)
    unseen_N = (1 - people.looked_N) * davidson(lean_N, outcome_N, tie)
    all_N = np.maximum(honest_N + hostile_N + unseen_N, 1e-300)
    honest_N, hostile_N = counts_N * honest_N / all_N, counts_N * hostile_N / all_N
    for _ in range(4):
        margin_N = _margins(answers, score_K)
        up_N, curved_N = _slope(margin_N + lean_N, outcome_N, tie)
        down_N, curved_down_N = _slope(-margin_N + lean_N, outcome_N, tie)
        slope_N = honest_N * up_N - hostile_N * down_N
        curve_N = honest_N * curved_N + hostile_N * curved_down_N
        gold_slope_N, gold_curve_N = _gold_slope(margin_N, gold_N)
        step_K = _solve(answers, slope_N + gold_slope_N, curve_N + gold_curve_N, score_K, 1 / config.item_spread**2)
        score_K = score_K + step_K
        if np.abs(step_K).max() < config.tolerance / 10:
            break
    return score_K - score_K.mean()


def _slope(margin_N: Floats, outcome_N: Ints, tie: float) -> tuple[Floats, Floats]:
    """First derivative of the log-probability of each outcome by the margin, and minus the second."""
    left_N = davidson(margin_N, np.zeros_like(outcome_N), tie)
    right_N = davidson(margin_N, np.ones_like(outcome_N), tie)
    mean_N = (left_N - right_N) / 2
    own_N = np.where(outcome_N == EQUAL, 0.0, np.where(outcome_N == LEFT, 0.5, -0.5))
    return own_N - mean_N, (left_N + right_N) / 4 - mean_N**2


def _gold_slope(margin_N: Floats, gold_N: Ints) -> tuple[Floats, Floats]:
    """Gold says which item is better by itself, as one sure comparison for each answer to it."""
    sign_N = np.where(gold_N == LEFT, 1.0, np.where(gold_N == 1, -1.0, 0.0))
    other_N = 1 / (1 + np.exp(np.clip(sign_N * margin_N, -500, 500)))
    return sign_N * other_N, np.abs(sign_N) * other_N * (1 - other_N)


def _solve(answers: Answers, slope_N: Floats, curve_N: Floats, score_K: Floats, ridge: float) -> Floats:
    """[K] Newton's step: (Σ c (e_l − e_r)(e_l − e_r)ᵀ + ridge) x = gradient, by conjugate gradients."""
    left_N, right_N, num = answers.left_N, answers.right_N, len(score_K)

    def gather(value_N: Floats) -> Floats:
        return sums_by(left_N, value_N, num) - sums_by(right_N, value_N, num)

    def times(x_K: Floats) -> Floats:
        return gather(curve_N * (x_K[left_N] - x_K[right_N])) + ridge * x_K

    diagonal_K = sums_by(left_N, curve_N, num) + sums_by(right_N, curve_N, num) + ridge
    rest_K = gather(slope_N) - ridge * score_K
    x_K, scaled_K = np.zeros(num), rest_K / diagonal_K
    way_K, size = scaled_K.copy(), float(rest_K @ scaled_K)
    enough = 1e-10 * max(size, 1e-300)
    for _ in range(50):
        if size <= enough:
            break
        image_K = times(way_K)
        length = size / float(way_K @ image_K)
        x_K, rest_K = x_K + length * way_K, rest_K - length * image_K
        scaled_K = rest_K / diagonal_K
        size, before = float(rest_K @ scaled_K), size
        way_K = scaled_K + size / before * way_K
    return x_K
