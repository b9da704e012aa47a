"""Episodes as rows: nothing crosses an episode's end, and a split keeps episodes whole."""

import numpy as np
import pytest

from heeler.core.demonstrations import held_out
from tests.shown import demonstration, some


def test_steps_follow_one_another_and_end_with_the_last_observation():
    shown = some(3)
    steps = shown.steps
    assert steps.episode.tolist() == [0] * 4 + [1] * 5 + [2] * 6
    row = 0
    for one in shown.episodes:
        for t in range(len(one)):
            np.testing.assert_array_equal(steps.observation[row], one.observation[t])
            np.testing.assert_array_equal(steps.next_observation[row], one.observation[t + 1])
            np.testing.assert_array_equal(steps.action[row], one.action[t])
            row += 1
    assert row == shown.num_steps == 15


def test_only_the_last_step_of_an_episode_that_terminated_is_terminal():
    ends = demonstration(3, terminated=True)
    shown = some(1).first(1)
    both = type(shown)(episodes=(ends, demonstration(2)))
    assert both.steps.terminated.tolist() == [False, False, True, False, False]
    assert both.terminated_share == 0.5


def test_returns_are_known_only_where_every_reward_is():
    shown = some(2)
    assert shown.returns is not None
    assert shown.returns == pytest.approx([one.reward.sum() for one in shown.episodes if one.reward is not None])
    unknown = type(shown)(episodes=(*shown.episodes, demonstration(2, reward=None)))
    assert unknown.returns is None


def test_the_fingerprint_changes_with_what_is_learned_from_and_with_nothing_else():
    first = some(2)
    assert first.fingerprint == some(2).fingerprint
    unpaid = type(first)(episodes=tuple(demonstration(4 + i, seed=i, reward=None) for i in range(2)))
    assert unpaid.fingerprint == first.fingerprint
    for changed in (some(3), some(2, terminated=True), some(2, action="choices")):
        assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_about_the_share_of_any_episodes_in_a_row_is_held_out(share: float):
    for first in (0, 37, 1000):
        held = held_out(np.arange(first, first + 200), share)
        assert held.mean() == pytest.approx(share, abs=0.02)
    assert held_out([0], share).tolist() == [share > 0]
