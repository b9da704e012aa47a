"""How far a reward model agrees with people's preferences that it has not learned from.

Everything is on plain arrays. Shapes: N comparisons, B bins. `margin_N` is what the model says: its reward of the left
answer less that of the right, in units in which σ(margin) is the probability that the left is chosen. `choice_N` is
what people said: 1 for left, 0 for right, 0.5 for equally good.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.evaluation.small_groups import shown_groups

_NORMAL_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of comparisons with its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int
    """Comparisons that it is of."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Comparisons that the model is about equally sure of."""

    foretold: float
    """Mean probability that the model gave to the answer that it prefers."""
    happened: Share
    """How often that one was chosen; equally good counts half."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether what it calls likely happens as often as it says."""

    bins: tuple[ReliabilityBin, ...]
    """As good as equally full."""
    expected_error: float
    """Mean gap between foretold and happened, bins weighted by what is in them (ECE: Naeini et al. 2015, AAAI)."""
    log_loss: float
    """Mean −log of the probability given to what was chosen, in nats; log 2 = 0.693 is that of a coin."""
    brier: float
    """Mean squared gap of single comparisons; 0.25 is that of a coin."""


@dataclass(frozen=True, kw_only=True)
class LengthBin:
    """Comparisons whose answers differ about equally in length."""

    shortest: float
    """Chosen less rejected: the lowest difference in the bin."""
    longest: float
    accuracy: Share


@dataclass(frozen=True, kw_only=True)
class GroupAgreement:
    """Agreement by group; groups too small to be told without telling of single people are put together."""

    groups: dict[str, Share]
    """In the order of their names."""
    num_small: int
    """Groups that had too few comparisons or people, and those left out beside them."""
    small: Share | None
    """Of those groups together; None where there are none, or too few comparisons or people in all of them."""


def wilson_interval(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of shares seen in `count` trials each (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    z = _NORMAL_95
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.minimum(centre - half, share), np.maximum(centre + half, share)


def counted_share(number: int, count: int) -> Share | None:
    """`number` of `count` as a share with Wilson's interval; None where there are none to count."""
    if count == 0:
        return None
    mean, of = np.array([number / count]), np.array([float(count)])
    low, high = wilson_interval(mean, of)
    return Share(mean=float(mean[0]), low=float(low[0]), high=float(high[0]), count=count)


def difference(one: Share, other: Share) -> tuple[float, float, float]:
    """(mean, low, high) of one share less another that is of other trials, with Newcombe's 95 % interval.

    It is made of the two shares' own intervals, which must be Wilson's (method 10 of Newcombe 1998, Statist. Med. 17,
    873).
    """
    mean = one.mean - other.mean
    low = mean - math.hypot(one.mean - one.low, other.high - other.mean)
    return mean, low, mean + math.hypot(one.high - one.mean, other.mean - other.low)


def accuracy(margin_N: np.ndarray, choice_N: np.ndarray) -> Share | None:
    """How often the model prefers what people chose. Equally good ones are left out; no margin at all is half right.

    Returns:
        The share with Wilson's interval, which takes comparisons as independent: where several share a prompt use
        `bootstrap_accuracy`. None where nobody chose.

    Raises:
        DataError: a margin or a choice is not what it should be.
    """
    correct_K = _correct(margin_N, choice_N)[choice_N != 0.5]
    return _share(correct_K)


def bootstrap_accuracy(
    margin_N: np.ndarray, choice_N: np.ndarray, cluster_N: Sequence[object], *, seed: int, num_resamples: int = 2000
) -> Share | None:
    """Accuracy with an interval from whole clusters drawn anew, since comparisons of one prompt, or of one person,
    agree.

    Args:
        margin_N: see the module.
        choice_N: see the module.
        cluster_N: what each comparison belongs to, such as its prompt.
        seed: of the resampling.
        num_resamples: how many.

    Returns:
        The share with its percentile interval; None where nobody chose.
    """
    correct_N, chosen_N = _correct(margin_N, choice_N), choice_N != 0.5
    if not chosen_N.any():
        return None
    _same_length(cluster_N, choice_N, "clusters")
    names = np.array([str(cluster) for cluster in cluster_N])
    _, cluster_of_K = np.unique(names[chosen_N], return_inverse=True)
    right_C = np.bincount(cluster_of_K, weights=correct_N[chosen_N])
    count_C = np.bincount(cluster_of_K)
    drawn_RC = np.random.default_rng(seed).integers(len(count_C), size=(num_resamples, len(count_C)))
    share_R = right_C[drawn_RC].sum(1) / count_C[drawn_RC].sum(1)
    low, high = np.quantile(share_R, [0.025, 0.975])
    mean = float(correct_N[chosen_N].mean())
    return Share(mean=mean, low=float(low), high=float(high), count=int(chosen_N.sum()))


def calibration(margin_N: np.ndarray, choice_N: np.ndarray, *, num_bins: int = 10) -> Calibration:
    """Compare probabilities with what happened, of the answer that the model prefers: so it does not matter which side
    the chosen ones stand on, and they may all stand on one.

    Args:
        margin_N: see the module.
        choice_N: see the module.
        num_bins: at most; each holds about as many comparisons as the next.

    Raises:
        DataError: there is no comparison, or a margin or a choice is not what it should be.
    """
    _check(margin_N, choice_N)
    if len(margin_N) == 0:
        raise DataError("choices: there is no comparison to calibrate with")
    probability_N = 1 / (1 + np.exp(-np.abs(margin_N)))
    happened_N = np.where(choice_N == 0.5, 0.5, _correct(margin_N, choice_N))
    order = np.argsort(probability_N, kind="stable")
    bins = tuple(
        ReliabilityBin(foretold=float(probability_N[part].mean()), happened=_known_share(happened_N[part]))
        for part in np.array_split(order, min(num_bins, len(order)))
    )
    gaps = [abs(each.foretold - each.happened.mean) * each.happened.count for each in bins]
    cross_N = np.logaddexp(0, -margin_N) * choice_N + np.logaddexp(0, margin_N) * (1 - choice_N)
    return Calibration(
        bins=bins,
        expected_error=float(sum(gaps) / len(margin_N)),
        log_loss=float(cross_N.mean()),
        brier=float(((probability_N - happened_N) ** 2).mean()),
    )


def accuracy_by_length(
    margin_N: np.ndarray,
    choice_N: np.ndarray,
    left_length_N: np.ndarray,
    right_length_N: np.ndarray,
    *,
    num_bins: int = 5,
) -> tuple[LengthBin, ...]:
    """Accuracy where the chosen answer is much shorter than the rejected one, about as long, and much longer.

    A model that goes by length is right where the longer was chosen and wrong where the shorter was (Singhal et al.
    2023, arXiv 2310.03716).

    Args:
        margin_N: see the module.
        choice_N: see the module.
        left_length_N: of the left answers, in characters or tokens.
        right_length_N: of the right answers.
        num_bins: at most, by quantiles of the difference; equal differences stay together.
    """
    correct_N, chosen_N = _correct(margin_N, choice_N), choice_N != 0.5
    _same_length(left_length_N, choice_N, "lengths")
    difference_N = np.where(choice_N == 1, left_length_N - right_length_N, right_length_N - left_length_N)
    difference_K, correct_K = difference_N[chosen_N], correct_N[chosen_N]
    if len(difference_K) == 0:
        return ()
    edges = np.unique(np.quantile(difference_K, np.linspace(0, 1, num_bins + 1)))[1:-1]
    bin_of_K = np.searchsorted(edges, difference_K, side="left")
    found: list[LengthBin] = []
    for number in np.unique(bin_of_K):
        inside_K = bin_of_K == number
        share = _share(correct_K[inside_K])
        assert share is not None
        low, high = float(difference_K[inside_K].min()), float(difference_K[inside_K].max())
        found.append(LengthBin(shortest=low, longest=high, accuracy=share))
    return tuple(found)


def agreement_by_group(
    margin_N: np.ndarray,
    choice_N: np.ndarray,
    group_N: Sequence[object],
    person_N: Sequence[str | None] | None = None,
    *,
    min_count: int = 20,
    min_people: int = 3,
) -> GroupAgreement:
    """Accuracy on each group's comparisons: of each annotator, each kind of prompt, each part of the users.

    Args:
        margin_N: see the module.
        choice_N: see the module.
        group_N: what each comparison belongs to.
        person_N: who answered each; None where that is not known, or is what it is grouped by.
        min_count: groups with fewer comparisons are put together, so that small ones do not stand out by chance.
        min_people: as are groups of fewer people, and as many beside them as it takes (`shown_groups`), so that nothing
            tells what single people said. A group of which nobody is known goes by its comparisons alone.
    """
    correct_N, chosen_N = _correct(margin_N, choice_N), choice_N != 0.5
    person_N = [None] * len(group_N) if person_N is None else person_N
    _same_length(group_N, choice_N, "groups")
    _same_length(person_N, choice_N, "people")
    names = np.array([str(group) for group in group_N], dtype=object)[chosen_N]
    correct_K, person_K = correct_N[chosen_N], np.array(person_N, dtype=object)[chosen_N]
    known, of_K, count = np.unique(names.astype(str), return_inverse=True, return_counts=True)
    # Whoever is not known counts as one.
    people = [set(person_K[of_K == i]) for i in range(len(known))]
    size = [min_people if group == {None} else len(group) for group in people]
    large = [i for i, is_shown in enumerate(shown_groups(size, min_people)) if is_shown and count[i] >= min_count]
    groups = {str(known[i]): _known_share(correct_K[of_K == i]) for i in large}
    small_K = ~np.isin(of_K, large)
    num_small = len(known) - len(large)
    # One small group alone, or several with too few between them, would be told after all.
    num_people = len({name for name in person_K[small_K] if name is not None})
    is_told = num_small > 1 and small_K.sum() >= min_count and not 0 < num_people < min_people
    small = _known_share(correct_K[small_K]) if is_told else None
    return GroupAgreement(groups=groups, num_small=num_small, small=small)


def _correct(margin_N: np.ndarray, choice_N: np.ndarray) -> np.ndarray:
    """[N] 1 where the model is right, 0 where it is wrong, 0.5 where it says nothing."""
    _check(margin_N, choice_N)
    return np.where(margin_N == 0, 0.5, ((margin_N > 0) == (choice_N == 1)).astype(float))


def _check(margin_N: np.ndarray, choice_N: np.ndarray) -> None:
    _same_length(margin_N, choice_N, "margins")
    for row in np.flatnonzero(~np.isfinite(margin_N)):
        raise DataError(f"margins, row {row}: expected a finite number, got {margin_N[row]}")
    for row in np.flatnonzero(~np.isin(choice_N, (0, 0.5, 1))):
        raise DataError(f"choices, row {row}: expected 1 (left), 0 (right) or 0.5 (equal), got {choice_N[row]}")


def _same_length(values: Sequence[object] | np.ndarray, choice_N: np.ndarray, name: str) -> None:
    if len(values) != len(choice_N):
        raise DataError(f"{name}: there are {len(values)} for {len(choice_N)} choices; expected one each")


def _share(correct_K: np.ndarray) -> Share | None:
    return _known_share(correct_K) if len(correct_K) else None


def _known_share(value_K: np.ndarray) -> Share:
    mean, count = np.array([value_K.mean()]), np.array([float(len(value_K))])
    low, high = wilson_interval(mean, count)
    return Share(mean=float(mean[0]), low=float(low[0]), high=float(high[0]), count=len(value_K))
