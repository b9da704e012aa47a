"""Acquisition: which comparisons to ask for, from what an ensemble predicts. Pure functions, no state.

Shapes: M members, K segments, P candidate pairs, F features, C outcomes (left, right, and equal with ties).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError, DataError, did_you_mean


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """What is known of the pairs that could be asked about."""

    returns: np.ndarray
    """[M, K]: each member's predicted return of each segment, in the units of the preference model's logits."""
    pairs: np.ndarray
    """[P, 2] int: indices (left, right) into the segments."""
    features: np.ndarray | None = None
    """[K, F]: what tells segments apart, for `coverage`; each feature is scaled to unit spread there."""
    tie: float = 0.0
    """Weight of the outcome `equal` in the preference model; 0 for a model without ties."""

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.pairs.ndim != 2 or self.pairs.shape[1] != 2:
            shapes = f"{list(self.returns.shape)} and {list(self.pairs.shape)}"
            raise DataError(f"expected returns [M, K] and pairs [P, 2], got {shapes}")
        if not np.isfinite(self.returns).all():
            raise DataError("returns: a predicted return is not finite; the reward model has diverged")
        if self.tie < 0:
            raise ConfigError(f"tie must be >= 0, got {self.tie}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """The chosen pairs, the most wanted first."""

    indices: np.ndarray
    """[num] int64 into `Candidates.pairs`."""
    scores: np.ndarray
    """[num] float64: what each was chosen for."""


def outcome_probabilities(returns: np.ndarray, pairs: np.ndarray, tie: float = 0.0) -> np.ndarray:
    """What each member thinks that the answer will be.

    Bradley-Terry, with Davidson's tie: with d = returns_left - returns_right the weights of left, right and equal are
    exp(d/2), exp(-d/2) and `tie`. Without ties P(left) = 1 / (1 + exp(-d)).

    Args:
        returns: [M, K].
        pairs: [P, 2].
        tie: weight of `equal`; at d = 0 it is tie / 2 times as likely as a side being named. 0 leaves it out.

    Returns:
        [M, P, 2] (left, right), or [M, P, 3] (left, right, equal) where `tie` > 0.

    Reference: Davidson 1970, On extending the Bradley-Terry model to accommodate ties in paired comparison experiments.
    """
    half = (returns[:, pairs[:, 0]] - returns[:, pairs[:, 1]]).astype(np.float64) / 2
    # Both weights are divided by the larger, so that neither overflows.
    larger = np.abs(half)
    weights = [np.exp(half - larger), np.exp(-half - larger)]
    if tie > 0:
        weights.append(tie * np.exp(-larger))
    stacked = np.stack(weights, -1)
    return stacked / stacked.sum(-1, keepdims=True)


def entropy_nats(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy over the last axis, in nats; an outcome of probability 0 adds nothing."""
    safe = np.where(probabilities > 0, probabilities, 1.0)
    return -(probabilities * np.log(safe)).sum(-1)


def disagreement(probabilities: np.ndarray) -> np.ndarray:
    """[P] variance over the members of P(left), from [M, P, C]. Christiano et al. 2017."""
    return probabilities[..., 0].var(axis=0)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """[P] entropy of the members' mean prediction in nats, from [M, P, C]."""
    return entropy_nats(probabilities.mean(axis=0))


def information_gain(probabilities: np.ndarray) -> np.ndarray:
    """[P] what an answer is expected to tell about which member is right, in nats, from [M, P, C].

    H(mean over members) - mean over members of H: high where members are sure and contradict each other, zero where all
    are equally unsure. Houlsby et al. 2011 (BALD).
    """
    gain = entropy(probabilities) - entropy_nats(probabilities).mean(axis=0)
    # Never negative but for rounding.
    return np.maximum(gain, 0.0)


def farthest_points(features: np.ndarray, pairs: np.ndarray, num: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Greedy k-centre: each next pair is the one farthest from all chosen before it. Gonzalez 1985.

    Two pairs are as far apart as their segments are, matched the nearer way round: which side a segment is shown on
    does not matter.

    Args:
        features: [K, F] of the segments.
        pairs: [P, 2].
        num: pairs to choose, at most P.
        first: index of the pair to begin with.

    Returns:
        [num] indices of pairs in the order chosen, and [num] the distance of each to the nearest one before it (that of
        the first is infinite).
    """
    left, right = features[pairs[:, 0]], features[pairs[:, 1]]
    nearest = np.full(len(pairs), np.inf)
    indices, distances = np.empty(num, np.int64), np.empty(num)
    chosen = first
    for place in range(num):
        indices[place], distances[place] = chosen, nearest[chosen]
        straight = _distance(left, left[chosen]) + _distance(right, right[chosen])
        crossed = _distance(left, right[chosen]) + _distance(right, left[chosen])
        nearest = np.minimum(nearest, np.minimum(straight, crossed))
        # A chosen pair is not chosen again, even where all that is left are its doubles.
        nearest[chosen] = -np.inf
        chosen = int(nearest.argmax())
    return indices, distances


def select(name: str, num: int, candidates: Candidates, rng: np.random.Generator) -> Selection:
    """The `num` pairs that an acquisition of `ACQUISITIONS` wants most.

    Raises:
        ConfigError: no acquisition has this name, there are fewer candidates than `num`, or it lacks what it works on
            (two members, features).
    """
    if name not in ACQUISITIONS:
        raise ConfigError(
            f"acquisition: expected one of {', '.join(ACQUISITIONS)}, got {name!r}.{did_you_mean(name, ACQUISITIONS)}"
        )
    if not 0 < num <= len(candidates.pairs):
        raise ConfigError(
            f"cannot choose {num} queries from {len(candidates.pairs)} candidate pairs; draw more of them"
        )
    return ACQUISITIONS[name](candidates, num, rng)


def _select_random(candidates: Candidates, num: int, rng: np.random.Generator) -> Selection:
    return Selection(indices=rng.choice(len(candidates.pairs), num, replace=False), scores=np.zeros(num))


def _select_disagreement(candidates: Candidates, num: int, rng: np.random.Generator) -> Selection:
    _require_ensemble("disagreement", candidates)
    return _highest(disagreement(_predictions(candidates)), num)


def _select_entropy(candidates: Candidates, num: int, rng: np.random.Generator) -> Selection:
    return _highest(entropy(_predictions(candidates)), num)


def _select_information_gain(candidates: Candidates, num: int, rng: np.random.Generator) -> Selection:
    _require_ensemble("information_gain", candidates)
    return _highest(information_gain(_predictions(candidates)), num)


def _select_coverage(candidates: Candidates, num: int, rng: np.random.Generator) -> Selection:
    if candidates.features is None:
        raise ConfigError("acquisition 'coverage' needs features of the segments, got none; give Candidates.features")
    features = candidates.features.astype(np.float64)
    spread = features.std(axis=0)
    scaled = features / np.where(spread > 0, spread, 1.0)
    first = int(rng.integers(len(candidates.pairs)))
    indices, distances = farthest_points(scaled, candidates.pairs, num, first)
    return Selection(indices=indices, scores=np.where(np.isinf(distances), 0.0, distances))


ACQUISITIONS: Mapping[str, Callable[[Candidates, int, np.random.Generator], Selection]] = {
    "random": _select_random,
    "disagreement": _select_disagreement,
    "entropy": _select_entropy,
    "information_gain": _select_information_gain,
    "coverage": _select_coverage,
}

NEEDS_ENSEMBLE: tuple[str, ...] = ("disagreement", "information_gain")
"""Acquisitions that compare members, and so need at least two."""


def _predictions(candidates: Candidates) -> np.ndarray:
    return outcome_probabilities(candidates.returns, candidates.pairs, candidates.tie)


def _highest(scores: np.ndarray, num: int) -> Selection:
    """The highest scores; among equal ones the earlier pair, so that the choice is the same on every machine."""
    indices = np.argsort(-scores, kind="stable")[:num]
    return Selection(indices=indices, scores=scores[indices])


def _require_ensemble(name: str, candidates: Candidates) -> None:
    if len(candidates.returns) < 2:
        raise ConfigError(f"acquisition {name!r} needs at least 2 ensemble members, got {len(candidates.returns)}")


def _distance(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.sqrt(((points - point) ** 2).sum(-1))
