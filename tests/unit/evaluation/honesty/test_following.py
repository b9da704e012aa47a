"""What a reward follows beside what is shown, and how it fares from phase to phase."""

import numpy as np
import pytest

from heeler.evaluation.honesty.following import followed
from heeler.evaluation.honesty.phases import phases


def answers(seed: int, num: int = 120):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=num), rng.random(num) < 0.5


def test_shares_are_counted_as_by_hand():
    margin = np.array([1.0, -1.0, 2.0, -2.0])
    choice = np.array([1.0, 1.0, 0.0, 0.0])
    found = followed("the left side", margin, choice, np.array([True, True, True, False]), seed=0)
    # People named it in rows 0, 1 (left, which it is) and 3 (right, where it is the right).
    assert found.people is not None
    assert found.reward is not None
    assert found.agreement_for is not None
    assert found.agreement_against is not None
    assert (found.people.mean, found.reward.mean) == (0.75, 0.75)
    assert found.agreement_for.mean == pytest.approx(2 / 3)
    assert found.agreement_against.mean == 0.0
    assert found.verdict == "too little to say"


def test_a_reward_that_always_names_it_follows_it():
    _, better, is_left = answers(0)
    choice = (better > 0).astype(float)
    found = followed("the newer", np.where(is_left, 1.0, -1.0), choice, is_left, seed=0)
    assert found.verdict == "follows"
    assert found.reward is not None
    assert found.reward.mean == 1.0


def test_a_reward_that_goes_by_what_people_go_by_is_seldom_said_to_follow():
    wrong = 0
    for seed in range(200):
        rng, better, is_left = answers(seed)
        choice = (better + 0.5 * rng.normal(size=120) > 0).astype(float)
        wrong += followed("x", better + 0.5 * rng.normal(size=120), choice, is_left, seed=seed).verdict == "follows"
    assert wrong <= 14


def test_a_reward_that_takes_what_people_dislike_for_progress_is_over_optimised():
    rng, _, is_left = answers(1, 160)
    step, newer = np.arange(160), np.where(is_left, 1, -1)
    likes_newer = np.where(step < 120, rng.random(160) < 0.8, rng.random(160) < 0.15)
    choice = (likes_newer == is_left).astype(float)
    found = phases(step, np.where(is_left, 1.0, -1.0), choice, newer, seed=0)
    assert (found.verdict, found.since_step) == ("over-optimised", 120)
    assert len(found.parts) == 4
    assert found.parts[0].agreement is not None
    assert found.parts[0].agreement.mean > 0.6


def test_newer_clips_that_people_like_are_progress_and_clips_of_one_policy_say_nothing():
    _, _, is_left = answers(2, 80)
    newer = np.where(is_left, 1, -1)
    margin = newer.astype(float)
    choice = np.where(np.arange(80) % 5 == 0, ~is_left, is_left).astype(float)
    many = np.concatenate
    found = phases(many([np.zeros(80)] * 2), many([margin] * 2), many([choice] * 2), many([newer] * 2), seed=0)
    assert found.verdict == "still rising"
    assert found.parts[-1].newer is not None
    assert found.parts[-1].newer.people is not None
    assert found.parts[-1].newer.people.mean == pytest.approx(0.8, abs=0.06)
    found = phases(np.zeros(19), margin[:19], choice[:19], np.zeros(19), seed=0)
    assert (found.verdict, found.parts[0].newer) == ("too little to say", None)
