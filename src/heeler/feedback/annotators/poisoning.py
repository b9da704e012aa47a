r"""Who pushes something: answers that lean to an item, or to a feature of what is shown, as nobody else's do.

A poisoner is right about nearly everything, and so has a high reliability; what gives them away is that their errors
have a direction. With residuals $e_n = [\mathrm{left}] - P_n(\mathrm{left})$ and a direction $d_n$ (of an item: 1 where
it stands left, −1 where it stands right; of a feature: the left's value less the right's), the push of person p along
it is the score estimate

$$\beta_p = S_p / I_p,\qquad S_p = \sum e_n d_n,\qquad I_p = \sum d_n^2 P_n (1 - P_n)$$

It is held against that of all others, since where a fitted model is wrong everybody's answers show it. The difference
is judged by Bennett's bound at an error rate split over all people and directions. Whether somebody who is found
means harm, or honestly wants something else, answers cannot say. Shapes: N answers, P people, F directions.
"""

import math
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.feedback.annotators.answers import LEFT, RIGHT, Answers, Floats, sums_by
from heeler.feedback.annotators.bounds import log_bennett
from heeler.feedback.annotators.likelihood import probability_left
from heeler.feedback.annotators.reliability import Reliability

LEAST_ANSWERS = 10
"""That a person must have given along a direction, and the others together as well."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """Somebody whose answers lean along a direction."""

    person: int
    direction: int
    """Item or feature, by number."""
    strength: float
    """In log-odds beyond the others, for an item or a unit of the feature; below 0 is against it."""
    num_answers: int
    log_p: float
    """Logarithm of a bound on the chance of that."""


def find_pushes(
    answers: Answers,
    margin_N: Floats,
    people: Reliability,
    *,
    feature_NF: Floats | None = None,
    error_rate: float = 0.01,
) -> tuple[Push, ...]:
    """Look at everybody along every direction; at most one push a person, the most surprising.

    Args:
        answers: "equal" and "can't tell" are left out.
        margin_N: [N] how much better the left was, in log-odds.
        people: as fitted with these margins.
        feature_NF: [N, F] of the left less the right; None goes by the items.
        error_rate: probability that anybody at all is named where nobody pushes anything.

    Raises:
        DataError: features are not one row for each answer, or not finite, or there are neither items nor features.
    """
    decided_N = (answers.outcome_N == LEFT) | (answers.outcome_N == RIGHT)
    eta_N, lean_N = people.mean_P[answers.person_N], people.lean_P[answers.person_N]
    left_N = probability_left(margin_N, eta_N, lean_N, people.looked_N, 0.0)
    residual_N = np.where(decided_N, (answers.outcome_N == LEFT) - left_N, 0.0)
    spread_N = np.where(decided_N, left_N * (1 - left_N), 0.0)
    if feature_NF is None:
        if not answers.items:
            raise DataError("answers: they name no items; give features of what was shown")
        sums = _by_item(answers, residual_N, spread_N, decided_N)
    else:
        _check(feature_NF, len(answers))
        sums = _by_feature(answers, residual_N, spread_N, decided_N, feature_NF)
    return _surprising(*sums, error_rate=error_rate)


_Sums = tuple[Floats, Floats, Floats, Floats]
"""[P, F] score, information, answers along the direction, and the largest of any one answer."""


def _by_item(answers: Answers, residual_N: Floats, spread_N: Floats, decided_N: Floats) -> _Sums:
    shape = answers.num_people, len(answers.items)
    left = answers.person_N * shape[1] + answers.left_N
    right = answers.person_N * shape[1] + answers.right_N
    size = shape[0] * shape[1]

    def gather(value_N: Floats, sign: float) -> Floats:
        return (sums_by(left, value_N, size) + sign * sums_by(right, value_N, size)).reshape(shape)

    counts_PF = gather(decided_N.astype(np.float64), 1.0)
    return gather(residual_N, -1.0), gather(spread_N, 1.0), counts_PF, np.ones(shape)


def _by_feature(answers: Answers, residual_N: Floats, spread_N: Floats, decided_N: Floats, feature_NF: Floats) -> _Sums:
    num = answers.num_people

    def gather(value_NF: Floats) -> Floats:
        return np.stack([sums_by(answers.person_N, column, num) for column in value_NF.T], 1)

    along_NF = (feature_NF != 0) & decided_N[:, None].astype(bool)
    most_PF = np.zeros((num, feature_NF.shape[1]))
    np.maximum.at(most_PF, answers.person_N, np.abs(feature_NF))
    score_PF, info_PF = gather(residual_N[:, None] * feature_NF), gather(spread_N[:, None] * feature_NF**2)
    return score_PF, info_PF, gather(along_NF.astype(np.float64)), most_PF


def _surprising(
    score_PF: Floats, info_PF: Floats, count_PF: Floats, most_PF: Floats, *, error_rate: float
) -> tuple[Push, ...]:
    others_PF, others_info_PF = score_PF.sum(0) - score_PF, info_PF.sum(0) - info_PF
    enough_PF = (count_PF >= LEAST_ANSWERS) & (count_PF.sum(0) - count_PF >= LEAST_ANSWERS)
    enough_PF &= (info_PF > 0) & (others_info_PF > 0)
    if not enough_PF.any():
        return ()
    shared_PF = others_PF / np.maximum(others_info_PF, 1e-300)
    excess_PF = score_PF - info_PF * shared_PF
    variance_PF = info_PF + info_PF**2 / np.maximum(others_info_PF, 1e-300)
    log_p_PF = np.where(enough_PF, log_bennett(np.abs(excess_PF), variance_PF, most_PF), 0.0)
    log_needed = math.log(error_rate / (2 * int(enough_PF.sum())))
    found: list[Push] = []
    for person in np.flatnonzero(log_p_PF.min(1) <= log_needed).tolist():
        direction = int(log_p_PF[person].argmin())
        strength = excess_PF[person, direction] / info_PF[person, direction]
        found.append(
            Push(
                person=person,
                direction=direction,
                strength=float(strength),
                num_answers=int(count_PF[person, direction]),
                log_p=float(log_p_PF[person, direction]),
            )
        )
    return tuple(sorted(found, key=lambda push: push.log_p))


def _check(feature_NF: Floats, num: int) -> None:
    if feature_NF.ndim != 2 or len(feature_NF) != num:
        raise DataError(f"features: expected one row for each of {num} answers, got an array of {feature_NF.shape}")
    for row in np.flatnonzero(~np.isfinite(feature_NF).all(1))[:1]:
        raise DataError(f"features, row {row}: expected finite numbers, got {feature_NF[row]}")
