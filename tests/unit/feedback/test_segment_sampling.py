"""Windows never cross an episode's end, are drawn uniformly, and are cut as the rollout has them."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from heeler.core.errors import ConfigError
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.feedback.sampling import candidate_windows, cut, draw_pairs, draw_windows, longest_stretch

ENDS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def make_rollout(num_steps: int = 40, num_envs: int = 3, *, snapshots: bool = True, end_rate: float = 0.1) -> Rollout:
    """Random numbers with episodes that end at random, counted as the collector counts them."""
    rng = np.random.default_rng(0)
    ends = rng.random((num_steps, num_envs))
    terminated, truncated = ends < end_rate / 2, (ends >= end_rate / 2) & (ends < end_rate)
    ended = terminated | truncated
    episode_index, episode_step = np.zeros((num_steps, num_envs), np.int64), np.zeros((num_steps, num_envs), np.int64)
    for t in range(1, num_steps):
        episode_index[t] = episode_index[t - 1] + ended[t - 1]
        episode_step[t] = np.where(ended[t - 1], 0, episode_step[t - 1] + 1)
    final_index = np.argwhere(ended)
    return Rollout(
        observation=rng.normal(size=(num_steps + 1, num_envs, 4)).astype(np.float32),
        action=rng.normal(size=(num_steps, num_envs, 2)).astype(np.float32),
        executed=rng.normal(size=(num_steps, num_envs, 2)).astype(np.float32),
        log_prob=np.zeros((num_steps, num_envs), np.float32),
        true_reward=rng.normal(size=(num_steps, num_envs)),
        cost=np.zeros((num_steps, num_envs, 0)),
        terminated=terminated,
        truncated=truncated,
        final_index=final_index,
        final_observation=rng.normal(size=(len(final_index), 4)).astype(np.float32),
        snapshot=rng.normal(size=(num_steps, num_envs, 5)).astype(np.float32) if snapshots else None,
        episode_index=episode_index,
        episode_step=episode_step,
        policy_version=3,
    )


def test_windows_by_hand() -> None:
    ended = np.array([[0, 1], [0, 0], [1, 0], [0, 0]], bool)
    # Environment 0 ends at step 2, environment 1 at step 0.
    assert candidate_windows(ended, 2).tolist() == [[0, 0], [1, 0], [1, 1], [2, 1]]
    assert candidate_windows(ended, 3).tolist() == [[0, 0], [1, 1]]
    assert candidate_windows(ended, 4).tolist() == []


@given(ended=ENDS, length=st.integers(1, 14))
def test_windows_against_a_loop(ended: np.ndarray, length: int) -> None:
    num_steps, num_envs = ended.shape
    expected = [
        [t, n]
        for t in range(num_steps - length + 1)
        for n in range(num_envs)
        if not any(ended[step, n] for step in range(t, t + length - 1))
    ]
    assert candidate_windows(ended, length).tolist() == expected


@given(ended=ENDS)
def test_the_longest_stretch_is_the_longest_window(ended: np.ndarray) -> None:
    longest = longest_stretch(ended)
    assert len(candidate_windows(ended, longest)) > 0
    assert len(candidate_windows(ended, longest + 1)) == 0


def test_windows_are_drawn_uniformly() -> None:
    windows = candidate_windows(make_rollout().ended, 5)
    rng = np.random.default_rng(1)
    num_draws = 20_000
    seen = np.zeros(len(windows))
    index = {tuple(window): place for place, window in enumerate(windows.tolist())}
    for window in draw_windows(windows, len(windows), rng).tolist():
        seen[index[tuple(window)]] += 1
    assert (seen == 1).all()  # enough for all: each once
    for window in draw_windows(windows, num_draws, rng).tolist():
        seen[index[tuple(window)]] += 1
    expected = num_draws / len(windows)
    chi_square = ((seen - 1 - expected) ** 2 / expected).sum()
    # Mean K - 1, variance 2 (K - 1); five standard deviations.
    assert abs(chi_square - (len(windows) - 1)) < 5 * np.sqrt(2 * (len(windows) - 1))


def test_pairs_are_of_two_and_drawn_uniformly() -> None:
    pairs = draw_pairs(4, 24_000, np.random.default_rng(2))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    counts = np.bincount(pairs[:, 0] * 4 + pairs[:, 1], minlength=16).reshape(4, 4)
    expected = 24_000 / 12
    off_diagonal = counts[~np.eye(4, dtype=bool)]
    assert (np.abs(off_diagonal - expected) < 5 * np.sqrt(expected)).all()
    with pytest.raises(ConfigError, match="at least 2 windows, got 1"):
        draw_pairs(1, 3, np.random.default_rng(2))


@pytest.mark.parametrize("keep_true_reward", [True, False])
def test_cut_by_hand(keep_true_reward: bool) -> None:
    rollout = make_rollout()
    ends = {(t, n): row for row, (t, n) in enumerate(rollout.final_index.tolist())}
    windows = candidate_windows(rollout.ended, 6)
    assert any((t + 5, n) in ends for t, n in windows.tolist())
    options = {"env_id": "Hopper", "trajectories": "train", "keep_true_reward": keep_true_reward}
    segments = cut(rollout, windows, 6, **options)
    assert len(segments) == len(windows)
    for (t, n), segment in zip(windows.tolist(), segments, strict=True):
        for step in range(6):
            at = t + step
            np.testing.assert_array_equal(segment.observation[step], rollout.observation[at, n])
            np.testing.assert_array_equal(segment.action[step], rollout.executed[at, n])
            followed_by = rollout.observation[at + 1, n]
            if (at, n) in ends:
                followed_by = rollout.final_observation[ends[at, n]]
            np.testing.assert_array_equal(segment.next_observation[step], followed_by)
            assert rollout.episode_index[at, n] == rollout.episode_index[t, n]
        if keep_true_reward:
            np.testing.assert_array_equal(segment.true_reward, rollout.true_reward[t : t + 6, n].astype(np.float32))
        else:
            assert segment.true_reward is None
        np.testing.assert_array_equal(segment.snapshot, rollout.snapshot[t : t + 6, n])
        assert segment.trajectory_id == f"train/env-{n}/episode-{rollout.episode_index[t, n]}"
        assert (segment.start_step, segment.policy_version) == (rollout.episode_step[t, n], 3)


def drawn(rollout: Rollout, num: int, length: int, *, seed: int) -> list[Segment]:
    windows = draw_windows(candidate_windows(rollout.ended, length), num, np.random.default_rng(seed))
    return cut(rollout, windows, length, env_id="Hopper", trajectories="train", keep_true_reward=True)


def test_segments_are_copies_that_outlive_the_rollout() -> None:
    rollout = make_rollout(snapshots=False)
    segments = drawn(rollout, 5, 4, seed=0)
    kept = [(each.observation, each.action, each.true_reward, each.next_observation) for each in segments]
    before = copy.deepcopy(kept)
    for array in (rollout.observation, rollout.executed, rollout.true_reward, rollout.next_observation):
        array[:] = 0
    for now, then in zip(kept, before, strict=True):
        for array, copied in zip(now, then, strict=True):
            np.testing.assert_array_equal(array, copied)
    assert all(segment.snapshot is None for segment in segments)


def test_the_same_stream_gives_the_same_segments() -> None:
    rollout = make_rollout()
    one, other = (drawn(rollout, 7, 4, seed=5) for _ in range(2))
    assert [segment.id for segment in one] == [segment.id for segment in other]
    assert len({segment.id for segment in one}) == 7


def test_the_longest_stretch_is_the_longest_window_that_fits() -> None:
    rollout = make_rollout()
    longest = longest_stretch(rollout.ended)
    assert len(candidate_windows(rollout.ended, longest)) > 0
    assert len(candidate_windows(rollout.ended, longest + 1)) == 0
    with pytest.raises(ConfigError, match="segment length must be > 0, got 0"):
        candidate_windows(rollout.ended, 0)
