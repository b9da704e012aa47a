"""Segment sampling: windows of fixed length from a rollout, never across an episode's end.

Windows are index pairs until they are cut, so that thousands of candidates can be scored before a few become segments.
Shapes: T steps, N environments, K windows, P pairs.
"""

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout


def candidate_windows(ended: np.ndarray, length: int) -> np.ndarray:
    """Every window of `length` steps that lies within one episode; it may take in the episode's last step.

    Args:
        ended: [T, N] bool, whether an episode ended at that step (terminated or truncated).
        length: steps in a window.

    Returns:
        [K, 2] int64: (t, n) of each window's first step, ordered by t, then n. K is 0 where none fits.

    Raises:
        ConfigError: `length` is not positive.
    """
    if length < 1:
        raise ConfigError(f"segment length must be > 0, got {length}")
    num_steps, num_envs = ended.shape
    if length > num_steps:
        return np.zeros((0, 2), np.int64)
    ends_before = np.zeros((num_steps + 1, num_envs), np.int64)
    np.cumsum(ended, axis=0, out=ends_before[1:])
    # A window from t may end with an episode at t + length - 1, but none may end before that.
    whole = ends_before[length - 1 : num_steps] == ends_before[: num_steps - length + 1]
    return np.argwhere(whole)


def draw_windows(windows: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """`num` of the windows, uniformly: each at most once while there are enough, else some again.

    Args:
        windows: [K, 2] from `candidate_windows`, K > 0.
        num: how many to draw.
        rng: where the randomness comes from.

    Returns:
        [num, 2] int64.
    """
    return windows[rng.choice(len(windows), num, replace=num > len(windows))]


def draw_pairs(num_windows: int, num: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of two different windows, uniformly over ordered pairs, so that neither side is favoured.

    Args:
        num_windows: K, at least 2.
        num: P, pairs to draw; the same pair may come twice.
        rng: where the randomness comes from.

    Returns:
        [P, 2] int64: indices (left, right) of windows.

    Raises:
        ConfigError: there are not two windows to compare.
    """
    if num_windows < 2:
        raise ConfigError(f"a comparison needs at least 2 windows, got {num_windows}; make segments shorter")
    left = rng.integers(num_windows, size=num)
    right = (left + rng.integers(1, num_windows, size=num)) % num_windows
    return np.stack([left, right], 1)


def cut(
    rollout: Rollout, windows: np.ndarray, length: int, *, env_id: str, trajectories: str, keep_true_reward: bool
) -> list[Segment]:
    """Segments from windows of a rollout, with copies of their arrays.

    Args:
        rollout: what the collector recorded.
        windows: [K, 2] (t, n) from `candidate_windows` with the same `length`.
        length: steps in a segment.
        env_id: the environment's id.
        trajectories: begins the names of episodes; different for every collector of a run, so that equal names always
            mean the same episode.
        keep_true_reward: keep the environment's reward in the segments, for a simulated teacher.
    """
    following = rollout.next_observation
    segments: list[Segment] = []
    for t, n in windows.tolist():
        steps = slice(t, t + length)
        segments.append(
            Segment(
                observation=rollout.observation[steps, n].copy(),
                action=rollout.executed[steps, n].copy(),
                next_observation=following[steps, n].copy(),
                true_reward=rollout.true_reward[steps, n].astype(np.float32) if keep_true_reward else None,
                snapshot=None if rollout.snapshot is None else rollout.snapshot[steps, n].astype(np.float32),
                env_id=env_id,
                policy_version=rollout.policy_version,
                trajectory_id=trajectory_name(trajectories, n, int(rollout.episode_index[t, n])),
                start_step=int(rollout.episode_step[t, n]),
            )
        )
    return segments


def trajectory_name(trajectories: str, env: int, episode: int) -> str:
    """What segments call the episode that they were cut from; validation splits go by it."""
    return f"{trajectories}/env-{env}/episode-{episode}"


def longest_stretch(ended: np.ndarray) -> int:
    """Steps of the longest stretch of [T, N] `ended` that no episode's end divides."""
    num_steps, num_envs = ended.shape
    longest = 0
    for n in range(num_envs):
        after = np.concatenate([[0], np.flatnonzero(ended[:, n]) + 1, [num_steps]])
        longest = max(longest, int(np.diff(after).max()))
    return longest
