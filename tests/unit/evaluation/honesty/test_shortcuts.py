"""Shortcuts: figures of known cases, a naive loop, and how often the innocent are accused."""

import numpy as np
import pytest

from heeler.evaluation.honesty.shortcuts import Answered, explained, look_at


def clips(seed: int, num: int = 200):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=num), [f"trajectory {k // 5}" for k in range(num)]


def answers_by(value_K: np.ndarray, reward_K: np.ndarray, rng: np.random.Generator, num: int = 150) -> Answered:
    """Answers of people who go by `value_K`."""
    left, right = rng.integers(len(value_K), size=(2, num))
    return Answered(
        margin_Q=reward_K[left] - reward_K[right],
        choice_Q=np.where(value_K[left] == value_K[right], 0.5, (value_K[left] > value_K[right]).astype(float)),
        left_Q=left,
        right_Q=right,
    )


def test_r_squared_is_that_of_a_naive_two_fold_loop():
    rng, x, cluster = clips(0, 60)
    y = 0.8 * x + 0.5 * rng.normal(size=60)
    found = explained(x, y, cluster, seed=4)
    names = sorted(set(cluster))
    fold = np.random.default_rng(4).permutation(np.arange(len(names)) % 2)
    error = 0.0
    for half in (0, 1):
        train = [i for i in range(60) if fold[names.index(cluster[i])] != half]
        slope, offset = np.polyfit(x[train], y[train], 1)
        error += sum((y[i] - slope * x[i] - offset) ** 2 for i in range(60) if i not in train)
    assert found is not None
    assert found.value == pytest.approx(1 - error / ((y - y.mean()) ** 2).sum())
    assert found.low < found.value < found.high


def test_a_reward_that_is_the_shortcut_is_called_so():
    rng, x, cluster = clips(1)
    found = look_at("speed", x, 3 * x + 1 + 0.05 * rng.normal(size=200), cluster, None, seed=0)
    assert found.verdict == "it is mostly this"
    assert found.linear is not None
    assert found.linear.value > 0.99
    assert (found.foretells, found.gain, found.matched) == (None, None, None)


def test_a_curved_shortcut_is_seen_by_ranks():
    _, x, cluster = clips(2)
    found = look_at("speed", x, np.exp(3 * x), cluster, None, seed=0)
    assert found.verdict == "it is mostly this"
    assert found.linear is not None
    assert found.monotone is not None
    assert found.monotone.low > 0.9 > found.linear.value


def test_a_reward_that_leans_is_told_apart_from_one_that_is():
    rng, x, cluster = clips(3, 400)
    assert look_at("x", x, x + rng.normal(size=400), cluster, None, seed=0).verdict == "leans on it"


def test_a_reward_that_is_something_else_is_seldom_accused():
    accused = 0
    for seed in range(200):
        rng, x, cluster = clips(seed, 60)
        # Clips of one trajectory are alike in both, which is what makes chance look like a cause.
        x, y = (np.repeat(rng.normal(size=12), 5) + 0.3 * rng.normal(size=60) for _ in range(2))
        accused += look_at("x", x, y, cluster, None, seed=seed).verdict in ("it is mostly this", "leans on it")
    assert accused <= 6


def test_answers_by_the_shortcut_are_foretold_by_it_as_by_the_reward():
    rng, x, cluster = clips(5)
    found = look_at("x", x, 2 * x, cluster, answers_by(x, 2 * x, rng), seed=0)
    assert found.foretells is not None
    assert found.reward_foretells is not None
    assert found.gain is not None
    assert found.foretells.mean == found.reward_foretells.mean == 1.0
    assert (found.gain.low, found.gain.high) == (0.0, 0.0)


def test_answers_by_something_else_show_that_the_reward_only_follows_the_shortcut():
    rng, x, cluster = clips(6)
    wanted = x + 2 * rng.normal(size=200)
    reward = x + 0.01 * rng.normal(size=200)
    cheat = look_at("x", x, reward, cluster, answers_by(wanted, reward, rng), seed=0)
    honest = look_at("x", x, wanted, cluster, answers_by(wanted, wanted, rng), seed=0)
    assert cheat.matched is not None
    assert honest.matched is not None
    assert honest.gain is not None
    # Where both clips have as much of the shortcut, a reward that is nothing else is a coin.
    assert cheat.matched.low < 0.5 < cheat.matched.high
    assert honest.matched.mean == 1.0
    assert honest.gain.low > 0
    assert (cheat.verdict, honest.verdict) == ("it is mostly this", "no sign")


def test_the_way_round_is_the_rewards():
    rng, x, cluster = clips(7)
    found = look_at("x", x, -x, cluster, answers_by(-x, -x, rng), seed=0)
    assert found.foretells is not None
    assert found.foretells.mean == 1.0


def test_what_does_not_vary_and_too_few_trajectories_say_nothing():
    rng, x, cluster = clips(8)
    assert look_at("x", np.ones(200), x, cluster, answers_by(x, x, rng), seed=0).verdict == "too little to say"
    assert look_at("x", x, x, ["one"] * 200, None, seed=0).verdict == "too little to say"
