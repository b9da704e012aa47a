"""Check 1, over-optimisation: what reward and held-out judgement say of the policies of a run, one after the other."""

from collections.abc import Sequence

import numpy as np

from heeler.algorithms.ppo import PPO
from heeler.core.errors import CheckpointError
from heeler.core.rollout import Rollout
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.evaluation.honesty.curve import Course, Point, course
from heeler.evaluation.honesty.phases import Phases, phases
from heeler.evaluation.honesty.resampling import Estimate, mean_of
from heeler.loop.config import RunConfig
from heeler.loop.honesty.acting import Stage, first_episodes, kl_of_step
from heeler.loop.honesty.answers import Answers
from heeler.loop.honesty.found import PolicyPoint
from heeler.loop.honesty.learned import LearnedReward
from heeler.loop.reading import policy_of
from heeler.models.policy import Policy

MAX_POLICIES = 12
_RESTART = 1_000_003


def course_of_run(
    directory: RunDirectory,
    config: RunConfig,
    newest: Checkpoint,
    reward: LearnedReward,
    stage: Stage,
    *,
    knows_true: bool,
) -> tuple[Course, tuple[PolicyPoint, ...]]:
    """Every policy that is still on disk acts anew, and is judged by the newest reward and by its true return.

    Args:
        directory: of the run.
        config: of the run.
        newest: its newest checkpoint.
        reward: as that has it.
        stage: where they act.
        knows_true: whether the world's own reward says what was wanted: where simulated teachers answered by it.
    """
    first = first_policy(config, newest)
    points = [_point(0, first, first, reward, stage, knows_true=knows_true)]
    for checkpoint in _checkpoints(directory, config, newest):
        points.append(
            _point(checkpoint.step, policy_of(checkpoint, config), first, reward, stage, knows_true=knows_true)
        )
    found = course(points, seed=stage.seed)
    return found, tuple(_summary(point, stage.seed) for point in points)


def first_policy(config: RunConfig, newest: Checkpoint) -> Policy:
    """What the newest policy began as: the run's first, or that which took over where a fresh one did."""
    policy = policy_of(newest, config)
    ppo = PPO(config.algorithm, policy.observation_size, policy.action_space)
    restart = config.restart_update
    has_restarted = restart is not None and newest.state["update"] > restart
    return ppo.fresh_policy(config.seed + (_RESTART * restart if has_restarted and restart is not None else 0))


def _checkpoints(directory: RunDirectory, config: RunConfig, newest: Checkpoint) -> list[Checkpoint]:
    """Those on disk up to the newest that are sound, evenly thinned, of the policy that learns now."""
    restart = config.restart_update or 0
    since = restart * config.steps_per_update if newest.state["update"] > restart else 0
    steps = [step for step in directory.checkpoint_steps() if since < step <= newest.step]
    found: list[Checkpoint] = []
    for place in np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MAX_POLICIES)).astype(int)):
        try:
            found.append(directory.load_checkpoint(steps[place]))
        except CheckpointError:
            # It is torn, which the report tells; the others are looked at.
            continue
    return found


def _point(step: int, policy: Policy, first: Policy, reward: LearnedReward, stage: Stage, *, knows_true: bool) -> Point:
    rollout = stage.act(policy)
    of_first = first_episodes(rollout)
    paid_TN = reward.of_steps(rollout, policy).mean(0)
    return Point(
        step=step,
        distance=float(np.sqrt(kl_of_step(policy, first, rollout))) if step else 0.0,
        learned_E=(paid_TN * of_first).sum(0) / of_first.sum(0),
        held_out_E=true_returns(rollout) if knows_true else None,
    )


def true_returns(rollout: Rollout) -> np.ndarray:
    """[N] true return of the episode that each environment began with, as far as it was played."""
    return (rollout.true_reward * first_episodes(rollout)).sum(0)


def _summary(point: Point, seed: int) -> PolicyPoint:
    held_out = None if point.held_out_E is None else _mean(point.held_out_E, seed)
    return PolicyPoint(
        step=point.step, distance=point.distance, learned=_mean(point.learned_E, seed), held_out=held_out
    )


def _mean(value_E: np.ndarray, seed: int) -> Estimate:
    found = mean_of(value_E, np.arange(len(value_E)), seed=seed)
    assert found is not None, "there are several environments"
    return found


def phases_of(answers: Answers, margin_Q: np.ndarray, *, seed: int) -> Phases:
    """The newest reward against held-out answers, by when they were asked."""
    held_out = answers.held_out
    newer_Q = np.sign(_versions(answers, held_out.left_Q) - _versions(answers, held_out.right_Q))
    return phases(held_out.step_Q, margin_Q, held_out.choice_Q, newer_Q, seed=seed)


def _versions(answers: Answers, places: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.array([answers.clips[place].policy_version for place in places], np.int64)
