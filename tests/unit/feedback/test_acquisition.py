"""Acquisition scores by hand, against naive loops, and the choices made from them."""

import math

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.acquisition import (
    ACQUISITIONS,
    Candidates,
    disagreement,
    entropy,
    farthest_points,
    information_gain,
    outcome_probabilities,
    select,
)

RNG = np.random.default_rng(0)
RETURNS = RNG.normal(scale=3, size=(4, 20))
PAIRS = np.stack([RNG.permutation(20)[:12], RNG.permutation(20)[:12]], 1)
FEATURES = RNG.normal(size=(20, 3)) * [1, 10, 0.1]


def candidates(**changes: object) -> Candidates:
    return Candidates(**({"returns": RETURNS, "pairs": PAIRS, "features": FEATURES} | changes))


def naive_entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def test_probabilities_by_hand() -> None:
    returns = np.array([[0.0, math.log(3.0)], [2.0, 2.0]])
    both_ways = outcome_probabilities(returns, np.array([[1, 0], [0, 1]]))
    np.testing.assert_allclose(both_ways, [[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.5], [0.5, 0.5]]])
    # Weights sqrt(3), 1/sqrt(3) and 2: of their sum, 4/sqrt(3) + 2.
    total = 4 / math.sqrt(3) + 2
    ties = outcome_probabilities(returns, np.array([[1, 0]]), tie=2.0)
    expected = [[[math.sqrt(3) / total, 1 / math.sqrt(3) / total, 2 / total]], [[0.25, 0.25, 0.5]]]
    np.testing.assert_allclose(ties, expected)


@pytest.mark.parametrize("tie", [0.0, 0.7])
def test_probabilities_against_a_loop_and_at_the_ends(tie: float) -> None:
    found = outcome_probabilities(RETURNS, PAIRS, tie)
    for member in range(4):
        for place, (left, right) in enumerate(PAIRS):
            d = RETURNS[member, left] - RETURNS[member, right]
            weights = [math.exp(d / 2), math.exp(-d / 2), tie][: 3 if tie else 2]
            np.testing.assert_allclose(found[member, place], np.array(weights) / sum(weights), rtol=1e-12)
    extreme = outcome_probabilities(np.array([[1e4, -1e4]], np.float32), np.array([[0, 1], [1, 0]]), tie)
    np.testing.assert_array_equal(extreme[0, :, 0], [1, 0])


def test_scores_by_hand() -> None:
    # Two members on two pairs: they contradict each other on the first and are both unsure on the second.
    probabilities = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]])
    np.testing.assert_allclose(disagreement(probabilities), [0.25, 0])
    np.testing.assert_allclose(entropy(probabilities), [math.log(2), math.log(2)])
    np.testing.assert_allclose(information_gain(probabilities), [math.log(2), 0], atol=1e-15)


@pytest.mark.parametrize("tie", [0.0, 0.7])
def test_scores_against_a_loop(tie: float) -> None:
    probabilities = outcome_probabilities(RETURNS, PAIRS, tie)
    for place in range(len(PAIRS)):
        members = [list(map(float, probabilities[member, place])) for member in range(4)]
        mean = [sum(column) / 4 for column in zip(*members, strict=True)]
        variance = sum((member[0] - mean[0]) ** 2 for member in members) / 4
        gain = naive_entropy(mean) - sum(naive_entropy(member) for member in members) / 4
        np.testing.assert_allclose(disagreement(probabilities)[place], variance, rtol=1e-10)
        np.testing.assert_allclose(entropy(probabilities)[place], naive_entropy(mean), rtol=1e-10)
        np.testing.assert_allclose(information_gain(probabilities)[place], gain, rtol=1e-8)


def test_farthest_points_by_hand() -> None:
    # Segments on a line at 0, 1, 10 and 4; pair 2 is pair 0 the other way round.
    features = np.array([[0.0], [1.0], [10.0], [4.0]])
    pairs = np.array([[0, 1], [0, 2], [1, 0], [0, 3]])
    indices, distances = farthest_points(features, pairs, 4, first=0)
    assert indices.tolist() == [0, 1, 3, 2]
    assert distances.tolist() == [math.inf, 9, 3, 0]


def naive_distance(features: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    (a, b), (c, d) = features[one], features[other]
    return min(math.dist(a, c) + math.dist(b, d), math.dist(a, d) + math.dist(b, c))


def test_farthest_points_against_a_loop() -> None:
    indices, distances = farthest_points(FEATURES, PAIRS, 8, first=5)
    chosen = [5]
    for place in range(1, 8):
        nearest = {
            p: min(naive_distance(FEATURES, PAIRS[p], PAIRS[q]) for q in chosen)
            for p in range(len(PAIRS))
            if p not in chosen
        }
        best = max(nearest, key=lambda p: nearest[p])
        chosen.append(best)
        np.testing.assert_allclose(distances[place], nearest[best])
    assert indices.tolist() == chosen


def test_doubles_are_chosen_once_each() -> None:
    indices, _ = farthest_points(np.zeros((3, 2)), np.array([[0, 1], [1, 2], [2, 0]]), 3, first=1)
    assert sorted(indices.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_every_acquisition_chooses_different_pairs_and_the_same_ones_again(name: str) -> None:
    chosen = select(name, 5, candidates(), np.random.default_rng(3))
    again = select(name, 5, candidates(), np.random.default_rng(3))
    assert len(set(chosen.indices.tolist())) == 5
    assert chosen.scores.shape == (5,) and np.isfinite(chosen.scores).all()
    np.testing.assert_array_equal(chosen.indices, again.indices)
    everything = select(name, len(PAIRS), candidates(), np.random.default_rng(3))
    assert sorted(everything.indices.tolist()) == list(range(len(PAIRS)))


@pytest.mark.parametrize(
    ("name", "score"), [("disagreement", disagreement), ("entropy", entropy), ("information_gain", information_gain)]
)
@pytest.mark.parametrize("tie", [0.0, 0.7])
def test_the_highest_scores_are_chosen_first(name: str, score: object, tie: float) -> None:
    scores = score(outcome_probabilities(RETURNS, PAIRS, tie))
    chosen = select(name, 5, candidates(tie=tie), np.random.default_rng(0))
    assert chosen.indices.tolist() == sorted(range(len(PAIRS)), key=lambda place: -scores[place])[:5]
    np.testing.assert_array_equal(chosen.scores, scores[chosen.indices])


def test_random_is_uniform_and_coverage_begins_anywhere() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros(len(PAIRS))
    for _ in range(2000):
        counts[select("random", 3, candidates(), rng).indices] += 1
    # Hypergeometric: each is chosen with probability 3/12 a time.
    assert (np.abs(counts - 500) < 5 * math.sqrt(2000 * 0.25 * 0.75)).all()
    firsts = {int(select("coverage", 2, candidates(), rng).indices[0]) for _ in range(200)}
    assert firsts == set(range(len(PAIRS)))


def test_coverage_does_not_depend_on_units() -> None:
    chosen = select("coverage", 6, candidates(), np.random.default_rng(1)).indices
    scaled = candidates(features=FEATURES * [1000, 0.01, 1] + 7)
    np.testing.assert_array_equal(select("coverage", 6, scaled, np.random.default_rng(1)).indices, chosen)


def test_coverage_chooses_pairs_that_lie_farther_apart_than_random_ones() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(60, 3))
    pairs = rng.integers(60, size=(200, 2))

    def closest(chosen: np.ndarray) -> float:
        return min(naive_distance(features, pairs[p], pairs[q]) for p in chosen for q in chosen if p < q)

    many = Candidates(returns=np.zeros((2, 60)), pairs=pairs, features=features)
    by_chance = [closest(select("random", 8, many, rng).indices) for _ in range(20)]
    assert closest(select("coverage", 8, many, rng).indices) > max(by_chance)


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"got 'entropie'. Did you mean 'entropy'\?"):
        select("entropie", 1, candidates(), rng)
    for num in (0, 13):
        with pytest.raises(ConfigError, match=f"cannot choose {num} queries from 12 candidate pairs"):
            select("random", num, candidates(), rng)
    for name in ("disagreement", "information_gain"):
        with pytest.raises(ConfigError, match=f"'{name}' needs at least 2 ensemble members, got 1"):
            select(name, 1, candidates(returns=RETURNS[:1]), rng)
    with pytest.raises(ConfigError, match="'coverage' needs features"):
        select("coverage", 1, candidates(features=None), rng)
    with pytest.raises(DataError, match="not finite"):
        candidates(returns=np.array([[math.nan, 1.0]]))
    with pytest.raises(DataError, match=r"expected returns \[M, K\] and pairs \[P, 2\]"):
        candidates(returns=np.zeros(3))
    with pytest.raises(ConfigError, match="tie must be >= 0"):
        candidates(tie=-1.0)
