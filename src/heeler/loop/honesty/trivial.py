"""Check 2, shortcuts: what trivial things a learned reward may follow, and how much of each a clip has.

Shapes: L steps of a clip, O observation numbers, A action numbers, K clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.functions import load_function
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.envs import EnvConfig
from heeler.envs.observation_names import observation_names
from heeler.evaluation.honesty.shortcuts import Answered, Shortcut, look_at
from heeler.loop.honesty.answers import Answers
from heeler.loop.honesty.learned import LearnedReward

MAX_COLUMNS = 64
STAYING_ALIVE = "staying alive"
_NEAR_END = 10
_CLIP_STEPS = 20
Trivial = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From observation [L, O], action [L, A] and next observation [L, O] to what each step has of it, [L]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """Clips with what the learned reward makes of them. Shape: K."""

    clips: Sequence[Segment]
    reward_K: np.ndarray
    """Of a step, on average."""


def judged_clips(reward: LearnedReward, answers: Answers) -> Judged:
    """Those that people judged."""
    assert reward.of_clips is not None
    return Judged(clips=answers.clips, reward_K=reward.of_clips(answers.clips))


def windows(rollout: Rollout, paid_TN: np.ndarray, env_id: str) -> Judged:
    """A rollout in clips, for a reward that people were shown none for; none goes across an episode's end."""
    clips: list[Segment] = []
    rewards: list[float] = []
    following = rollout.next_observation
    for n in range(rollout.ended.shape[1]):
        for t in range(0, rollout.num_steps - _CLIP_STEPS + 1, _CLIP_STEPS):
            rows = slice(t, t + _CLIP_STEPS)
            if rollout.ended[t : t + _CLIP_STEPS - 1, n].any():
                continue
            clips.append(
                Segment(
                    observation=rollout.observation[rows, n],
                    action=rollout.executed[rows, n],
                    next_observation=following[rows, n],
                    env_id=env_id,
                    policy_version=rollout.policy_version,
                    trajectory_id=f"environment {n}, episode {rollout.episode_index[t, n]}",
                    start_step=int(rollout.episode_step[t, n]),
                )
            )
            rewards.append(float(paid_TN[rows, n].mean()))
    return Judged(clips=clips, reward_K=np.array(rewards))


def shortcuts_of(
    judged: Judged, env: EnvConfig, own: Sequence[str], answers: Answers | None, margin_Q: np.ndarray, *, seed: int
) -> tuple[Shortcut, ...]:
    """Every shortcut, those first that explain most.

    Args:
        judged: clips.
        env: of the run.
        own: functions `MODULE:NAME` or `FILE.py:NAME`, as of `Trivial`.
        answers: of the run; None where there are none.
        margin_Q: learned return of the left less that of the right, of each held-out answer.
        seed: of intervals.

    Raises:
        ConfigError: a function of one's own cannot be loaded, fails, or returns what it should not.
    """
    if not judged.clips:
        return ()
    answered = None
    if answers is not None:
        held = answers.held_out
        answered = Answered(margin_Q=margin_Q, choice_Q=held.choice_Q, left_Q=held.left_Q, right_Q=held.right_Q)
    clusters = [clip.trajectory_id for clip in judged.clips]
    features = {name: _over_clips(name, one, judged.clips) for name, one in _trivial(judged.clips, env, own).items()}
    features["step of the episode"] = np.array([clip.start_step + len(clip) / 2 for clip in judged.clips])
    features["length of the clip"] = np.array([float(len(clip)) for clip in judged.clips])
    found = [
        look_at(name, value_K, judged.reward_K, clusters, answered, seed=seed)
        for name, value_K in features.items()
        if np.ptp(value_K) > 1e-9
    ]
    return tuple(sorted(found, key=lambda one: -one.explained))


def staying_alive(rollout: Rollout, paid_TN: np.ndarray, *, seed: int) -> Shortcut | None:
    """Whether steps are paid less only because the episode soon ends; None where none is terminated.

    Clips do not show whether an episode was about to end, so that it is looked for in what the policy does.
    """
    near_TN, left_N = np.zeros_like(rollout.terminated), np.zeros(rollout.terminated.shape[1], int)
    for t in reversed(range(rollout.num_steps)):
        # How many more steps back still count as near to the end that comes next.
        left_N = np.where(rollout.terminated[t], _NEAR_END, np.where(rollout.truncated[t], 0, left_N - 1))
        near_TN[t] = left_N > 0
    if not near_TN.any():
        return None
    environment_TN = np.broadcast_to(np.arange(near_TN.shape[1]), near_TN.shape)
    alive_B = (~near_TN).ravel().astype(float)
    return look_at(STAYING_ALIVE, alive_B, paid_TN.ravel(), list(environment_TN.ravel()), None, seed=seed)


def _trivial(clips: Sequence[Segment], env: EnvConfig, own: Sequence[str]) -> dict[str, Trivial]:
    size = clips[0].observation.shape[1]
    spread_O = np.maximum(np.concatenate([clip.observation for clip in clips[:200]]).std(0), 1e-6)
    found: dict[str, Trivial] = {
        "speed (change of the observation)": lambda o, a, n: np.linalg.norm((n - o) / spread_O, axis=1)
    }
    if np.issubdtype(clips[0].action.dtype, np.floating):
        found["size of the action"] = lambda o, a, n: np.linalg.norm(a, axis=1)
    else:
        found |= {f"action {choice}": _is_choice(choice) for choice in _choices(clips)}
    names = observation_names(env, size)
    found |= {f"observation: {names[i]}": _column(i) for i in range(min(size, MAX_COLUMNS))}
    return found | {target: load_function(target) for target in own}


def _choices(clips: Sequence[Segment]) -> list[int]:
    return sorted({int(value) for clip in clips for value in np.unique(clip.action[:, 0])})[:8]


def _is_choice(choice: int) -> Trivial:
    return lambda o, a, n: (a[:, 0] == choice).astype(float)


def _column(index: int) -> Trivial:
    return lambda o, a, n: n[:, index]


def _over_clips(name: str, one: Trivial, clips: Sequence[Segment]) -> np.ndarray:
    """[K] mean over the steps of each clip."""
    found: list[float] = []
    for clip in clips:
        try:
            value_L = np.asarray(one(clip.observation, clip.action, clip.next_observation), np.float64)
        except Exception as error:
            raise ConfigError(f"shortcut {name} failed: {type(error).__name__}: {error}") from error
        if value_L.shape != (len(clip),) or not np.isfinite(value_L).all():
            raise ConfigError(
                f"shortcut {name} must return {len(clip)} finite numbers, one for each step of a clip; got an array of "
                f"shape {value_L.shape}"
            )
        found.append(float(value_L.mean()))
    return np.array(found)


def held_out_margins(answers: Answers, reward_K: np.ndarray) -> np.ndarray:
    """[Q] learned return of the left clip less that of the right, of held-out answers, in returns of a step."""
    return reward_K[answers.held_out.left_Q] - reward_K[answers.held_out.right_Q]
