"""What a run that learned from good and bad came to, kept as `evaluation.json`; and what it learned, for others.

Shapes: N episodes, O observation numbers, A action numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heeler.algorithms.evaluative import EvaluativeLearner
from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig, make
from heeler.loop.evaluations import Interval, bootstrap_interval
from heeler.loop.evaluative.config import EvaluativeRunConfig, evaluative_config_from_dict, is_evaluative_config
from heeler.loop.kept_evaluation import keep_evaluation, kept_evaluation
from heeler.loop.reading import newest_sound_checkpoint
from heeler.loop.tensors import to_tensors
from heeler.models.actions import as_taken, within_bounds

if TYPE_CHECKING:
    from heeler.loop.evaluative.run import EvaluativeRun

_MAX_STEPS = 100_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Figures of a finished run."""

    checkpoint_sha256: str
    """Of the checkpoint that holds what was learned."""
    step: int
    minutes: float
    """For which the agent was shown."""
    num_signals: int
    """That were learned from."""
    num_episodes: int
    """Fresh ones, in which the best that is known is done."""
    episode_return: Interval
    """True return of an episode; nothing was learned from it."""
    episode_length: Interval


def outcome_of(run: "EvaluativeRun") -> Outcome:
    """Play fresh episodes of what a run has learned."""
    config, session = run.config, run.session
    played = play(session.learner, session.state, config.env, config.num_evaluation_episodes, config.seed + 10_000)
    checkpoint = newest_sound_checkpoint(run.directory)
    return Outcome(
        checkpoint_sha256=checkpoint.sha256,
        step=checkpoint.step,
        minutes=session.time_s / 60,
        num_signals=run.num_signals - run.num_unheard,
        num_episodes=config.num_evaluation_episodes,
        episode_return=bootstrap_interval(played[0]),
        episode_length=bootstrap_interval(played[1]),
    )


def play(
    learner: EvaluativeLearner, state: Any, env: EnvConfig, num_episodes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """[N] true returns and [N] lengths of fresh episodes in which the best that is known is done.

    Args:
        learner: that knows.
        state: what it has learned.
        env: the world.
        num_episodes: N.
        seed: of the episodes.
    """
    world = make(replace(env, num_envs=num_episodes), seed)
    observation, _ = world.reset(seed=seed)
    returns, lengths, running = np.zeros(num_episodes), np.zeros(num_episodes), np.ones(num_episodes, bool)
    while running.any() and lengths.max() < _MAX_STEPS:
        action = within_bounds(world.single_action_space, learner.best(state, observation))
        observation, reward, terminated, truncated, _ = world.step(as_taken(world.single_action_space, action))
        returns += reward * running
        lengths += running
        running &= ~(terminated | truncated)
    world.close()
    return returns, lengths


def save_outcome(directory: RunDirectory, outcome: Outcome) -> None:
    """Keep it in its run."""
    keep_evaluation(directory, outcome)


def saved_outcome(directory: RunDirectory) -> Outcome | None:
    """What `save_outcome` kept; as of `kept_evaluation`."""
    return kept_evaluation(directory, Outcome)


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """What a run has learned by its newest sound checkpoint."""

    config: EvaluativeRunConfig
    learner: EvaluativeLearner
    state: Any
    observation_size: int
    checkpoint_sha256: str


def learned_in(path: Path) -> Learned:
    """What a run that learns from good and bad has learned.

    Raises:
        RunError: there is no run, or no sound checkpoint in it.
        ConfigError: it is a run of another kind.
    """
    directory = RunDirectory.open(path)
    values = directory.config()
    if not is_evaluative_config(values):
        raise ConfigError(f"{path} is no run that learned from good and bad; name one of `heeler run evaluative`")
    config, checkpoint = evaluative_config_from_dict(values), newest_sound_checkpoint(directory)
    world = make(config.env, config.seed)
    try:
        learner, observation_size = config.learner(world), world.observation_size
    finally:
        world.close()
    tensors = to_tensors(under("learner.", checkpoint.tensors))
    state = learner.load_tensors(learner.init(config.seed), tensors)
    return Learned(
        config=config,
        learner=learner,
        state=state,
        observation_size=observation_size,
        checkpoint_sha256=checkpoint.sha256,
    )
