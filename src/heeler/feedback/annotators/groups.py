r"""People who honestly want different things: a mixture of rewards, and who belongs to which.

Each group g has a reward that is linear in what is shown, $P_g(\mathrm{left}) = \sigma(w_g^\top d)$ with d what the
left shows more of than the right, and all of a person's answers come from one group:

$$P(\mathrm{answers}) = \prod_p \sum_g \pi_g \prod_{n \in p} [(1 - \epsilon) P_g(o_n) + \epsilon / 2]$$

EM over people's membership, in logarithms; the M step is a ridge-penalised logistic regression by Newton's method. How
many groups there are is what foretells held-out answers best: each person's answers are split, groups are fitted to
some, memberships told from the same, and the rest foretold. Another group is taken only where it foretells better by
two standard errors over people, so that noise makes none. After mixtures of preferences as of Chakraborty et al. 2024
(arXiv 2402.08925), with people, not answers, as what is mixed. Shapes: N answers, P people, F features, G groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import LEFT, RIGHT, Answers, Floats, Ints, sums_by


@dataclass(frozen=True, kw_only=True)
class GroupsConfig:
    """How groups are looked for."""

    max_groups: int = 4
    """The most that are looked for."""
    lapse: float = 0.1
    """Share of answers taken to be random, so that one slip puts nobody into another group."""
    ridge: float = 1.0
    """Penalty on a group's weights, in answers."""
    num_starts: int = 4
    """Beginnings of EM; the likeliest end is taken."""
    num_rounds: int = 40
    """Rounds of EM from each."""
    held_out_share: float = 0.3
    """Share of everybody's answers by which the number of groups is told."""
    min_people: int = 2
    """A group of fewer is none: it would tell of single people."""

    def __post_init__(self) -> None:
        for name in ("max_groups", "num_starts", "num_rounds", "min_people"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("lapse", "held_out_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must be above 0 and below 1, got {getattr(self, name)}")
        if not 0 < self.ridge < math.inf:
            raise ConfigError(f"ridge must be > 0 and finite, got {self.ridge}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """What was found."""

    weight_GF: Floats
    """What each group likes: log-odds for a unit of each feature. The largest group first."""
    share_G: Floats
    """Of people."""
    member_PG: Floats
    """Probability of each person being in each group."""
    held_out: tuple[float, ...]
    """Mean log-likelihood of a held-out answer with one group, two, and so on as far as was looked."""

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.share_G)

    @property
    def agreement(self) -> Floats:
        """[G, G] how alike groups' wishes are: cosines of their weights, 1 for the same and -1 for opposite ones."""
        length_G1 = np.linalg.norm(self.weight_GF, axis=1, keepdims=True)
        unit_GF = self.weight_GF / np.maximum(length_G1, 1e-12)
        return unit_GF @ unit_GF.T


def find_groups(answers: Answers, feature_NF: Floats, config: GroupsConfig | None = None, *, seed: int = 0) -> Groups:
    """Find out how many groups there are, and who is in which.

    Args:
        answers: "equal" and "can't tell" are left out.
        feature_NF: [N, F] of the left less the right.
        config: settings.
        seed: of the beginnings and of what is held out.

    Raises:
        DataError: features are not one row for each answer or not finite, or nobody named a side.
    """
    config = config or GroupsConfig()
    if feature_NF.ndim != 2 or len(feature_NF) != len(answers):
        raise DataError(f"features: expected one row for each of {len(answers)} answers, got {feature_NF.shape}")
    for row in np.flatnonzero(~np.isfinite(feature_NF).all(1))[:1]:
        raise DataError(f"features, row {row}: expected finite numbers, got {feature_NF[row]}")
    decided = np.flatnonzero((answers.outcome_N == LEFT) | (answers.outcome_N == RIGHT))
    if len(decided) == 0:
        raise DataError("answers: nobody named a side, so that nothing tells groups apart")
    # Every answer turned so that what was chosen stands left: then each is a success.
    sign = np.where(answers.outcome_N[decided] == LEFT, 1.0, -1.0)
    chosen_NF, person_N = sign[:, None] * feature_NF[decided], answers.person_N[decided]
    rng = np.random.default_rng(seed)
    is_held_N = rng.random(len(decided)) < config.held_out_share
    num, held_out = 1, list[float]()
    best_P: Floats | None = None
    for groups in range(1, min(config.max_groups, answers.num_people) + 1):
        told_P = _foretold(chosen_NF, person_N, is_held_N, answers.num_people, groups, config, rng)
        held_out.append(float(told_P.sum() / max(int(is_held_N.sum()), 1)))
        if best_P is not None:
            gain_P = told_P - best_P
            error = float(gain_P.std() * math.sqrt(len(gain_P)))
            if gain_P.sum() <= 2 * error or gain_P.sum() <= 0:
                break
        num, best_P = groups, told_P
    return _without_small(chosen_NF, person_N, answers.num_people, num, config, rng, tuple(held_out))


def _without_small(
    chosen_NF: Floats,
    person_N: Ints,
    num_people: int,
    num_groups: int,
    config: GroupsConfig,
    rng: np.random.Generator,
    held_out: tuple[float, ...],
) -> Groups:
    """The final fit, with fewer groups where one has too few people."""
    while True:
        weight_GF, share_G, member_PG = _em(chosen_NF, person_N, num_people, num_groups, config, rng)
        size_G = np.bincount(member_PG.argmax(1), minlength=num_groups)
        if num_groups == 1 or size_G.min() >= config.min_people:
            break
        num_groups -= 1
    order = np.argsort(-share_G, kind="stable")
    return Groups(weight_GF=weight_GF[order], share_G=share_G[order], member_PG=member_PG[:, order], held_out=held_out)


def _foretold(
    chosen_NF: Floats,
    person_N: Ints,
    is_held_N: NDArray[np.bool_],
    num_people: int,
    num_groups: int,
    config: GroupsConfig,
    rng: np.random.Generator,
) -> Floats:
    """[P] log-likelihood of each person's held-out answers, by groups fitted to the others."""
    seen = ~is_held_N
    weight_GF, share_G, member_PG = _em(chosen_NF[seen], person_N[seen], num_people, num_groups, config, rng)
    del share_G
    log_NG = _log_likelihood(chosen_NF[~seen], weight_GF, config.lapse)
    log_PG = _by_person(person_N[~seen], log_NG, num_people)
    return np.logaddexp.reduce(log_PG + np.log(np.maximum(member_PG, 1e-12)), axis=1)


def _em(
    chosen_NF: Floats, person_N: Ints, num_people: int, num_groups: int, config: GroupsConfig, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Weights, shares and memberships of the likeliest of several beginnings."""
    best: tuple[float, tuple[Floats, Floats, Floats]] | None = None
    for _ in range(config.num_starts if num_groups > 1 else 1):
        member_PG = rng.dirichlet(np.full(num_groups, 0.5), num_people)
        weight_GF, likelihood = np.zeros((num_groups, chosen_NF.shape[1])), -math.inf
        share_G = np.full(num_groups, 1 / num_groups)
        for _ in range(config.num_rounds):
            weight_GF = np.stack(
                [_fit(chosen_NF, member_PG[person_N, g], weight_GF[g], config) for g in range(num_groups)]
            )
            share_G = (member_PG.sum(0) + 1) / (num_people + num_groups)
            log_NG = _log_likelihood(chosen_NF, weight_GF, config.lapse)
            log_PG = np.log(share_G) + _by_person(person_N, log_NG, num_people)
            total_P = np.logaddexp.reduce(log_PG, axis=1)
            member_PG, before = np.exp(log_PG - total_P[:, None]), likelihood
            likelihood = float(total_P.sum())
            if likelihood - before < 1e-6 * abs(likelihood):
                break
        if best is None or likelihood > best[0]:
            best = likelihood, (weight_GF, share_G, member_PG)
    assert best is not None
    return best[1]


def _log_likelihood(chosen_NF: Floats, weight_GF: Floats, lapse: float) -> Floats:
    margin_NG = np.clip(chosen_NF @ weight_GF.T, -500, 500)
    return np.log((1 - lapse) / (1 + np.exp(-margin_NG)) + lapse / 2)


def _by_person(person_N: Ints, value_NG: Floats, num_people: int) -> Floats:
    return np.stack([sums_by(person_N, column, num_people) for column in value_NG.T], 1)


def _fit(chosen_NF: Floats, weight_N: Floats, start_F: Floats, config: GroupsConfig) -> Floats:
    """[F] a few Newton steps of the weighted logistic regression, slips taken out by their probability."""
    weight_F, size = start_F, chosen_NF.shape[1]
    for _ in range(3):
        right_N = 1 / (1 + np.exp(-np.clip(chosen_NF @ weight_F, -500, 500)))
        meant_N = (1 - config.lapse) * right_N / ((1 - config.lapse) * right_N + config.lapse / 2)
        counts_N = weight_N * meant_N
        slope_F = chosen_NF.T @ (counts_N * (1 - right_N)) - config.ridge * weight_F
        curve_FF = chosen_NF.T @ (chosen_NF * (counts_N * right_N * (1 - right_N))[:, None])
        weight_F = weight_F + np.linalg.solve(curve_FF + config.ridge * np.eye(size), slope_F)
    return weight_F


def told_groups(groups: Groups, *, min_people: int = 3) -> Sequence[tuple[int, float, Floats]]:
    """Groups that may be shown without telling of single people: number, share of people, and agreement with each."""
    size_G = np.bincount(groups.member_PG.argmax(1), minlength=groups.num_groups)
    agreement = groups.agreement
    return [(g, float(groups.share_G[g]), agreement[g]) for g in range(groups.num_groups) if size_G[g] >= min_people]
