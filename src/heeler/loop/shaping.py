"""The shaping of a run: where its potential comes from, that it stays the same, and whether it may mislead."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from heeler.algorithms.deep_tamer import DeepTAMER
from heeler.algorithms.tamer import TAMER
from heeler.core.errors import CheckpointError, ConfigError, DataError
from heeler.core.rollout import Rollout
from heeler.core.rundir import RunDirectory
from heeler.core.seeding import stream
from heeler.envs import World
from heeler.feedback.episodes.answers import shown_segments
from heeler.feedback.stores import has_store, open_store
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.evaluative.outcome import learned_in
from heeler.loop.made_up import made_up, made_up_steps
from heeler.loop.parts import Arrays, Kept, Part
from heeler.loop.reading import newest_sound_checkpoint, policy_of
from heeler.rewards.potentials import (
    DemonstrationPotential,
    FunctionPotential,
    LearnedPotential,
    Potential,
    ValuePotential,
)
from heeler.rewards.sampled_invariance import LEAST_STEPS, SampleCheck, check_samples
from heeler.rewards.shaping import Bonus, PotentialShaping, ShapingConfig, rollout_steps
from heeler.rewards.step_functions import StepFunction


class RunShaping(Part):
    """Shapes the rewards of one run.

    Args:
        config: of the run; its `shaping` must be set.
        world: that it acts in.

    Raises:
        HeelerError: the potential cannot be read, does not fit the world, or gives no numbers there.
    """

    name = "shaping"

    def __init__(self, config: RunConfig, world: World) -> None:
        assert config.shaping is not None
        self.config, self.discount, self.seed = config.shaping, config.algorithm.discount, config.seed
        self.source = _source(self.config, self.discount, world)
        self.check: SampleCheck | None = None
        """Of the last rollout's steps, for a bonus; a potential needs none."""
        self._mean = 0.0
        self._has_warned = False

    def try_out(self, world: World) -> None:
        """Call a function of the user's on two steps that nobody made, before anything is learned or written.

        Args:
            world: of one environment; its state is lost.

        Raises:
            RewardError: it does not give a finite number for each.
        """
        observation, action = made_up_steps(world, self.seed)
        if isinstance(self.source, Bonus):
            self.source.function(observation, action, observation, where=made_up)
        else:
            self.source.potential(observation, where=made_up)

    def add(self, rollout: Rollout, reward: np.ndarray, step: int) -> np.ndarray:
        """[T, N]: the reward with the shaping; `step` is the run's at the rollout's end.

        Raises:
            RewardError: the function gave no finite number for a step; names the step.
        """
        term = self.source.term(rollout, step)
        self._mean = float(term.mean())
        if isinstance(self.source, Bonus) and term.size >= LEAST_STEPS:
            observation, _, following = rollout_steps(rollout)
            self.check = check_samples(
                observation,
                following,
                rollout.terminated.ravel(),
                term.ravel(),
                discount=self.discount,
                rng=stream(self.seed, f"shaping {step}"),
            )
        return reward + term

    def metrics(self) -> dict[str, float]:
        """Of the last rollout."""
        figures = {"shaping_per_step": self._mean}
        if self.check is not None:
            figures["shaping_unexplained"] = self.check.unexplained
            figures["shaping_unexplained_error"] = self.check.standard_error
            figures["shaping_loop_gain"] = 0.0 if self.check.loop is None else self.check.loop.gain
        return figures

    def warning(self) -> str | None:
        """What is to be said once, as soon as it is found: that the best policy may not be the reward's."""
        if self._has_warned or self.check is None or not self.check.changes_policy:
            return None
        self._has_warned = True
        return f"shaping.bonus: {self.check.in_words}. Give it as a potential (shaping.function) to be safe"

    def kept(self) -> Kept:
        """By what a checkpoint knows what shaped."""
        return {}, {"fingerprint": self.source.fingerprint}

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Make sure that what shaped when `state` was saved is what shapes now.

        Raises:
            CheckpointError: it is not.
        """
        if state["fingerprint"] != self.source.fingerprint:
            raise CheckpointError(
                "what shapes the reward is not what it was when this checkpoint was saved: put the old file or run "
                f"back ({_named(self.config)}), or begin another run"
            )


def _named(config: ShapingConfig) -> str:
    return config.function or config.demonstrations or config.run or config.feedback or config.bonus


def _source(config: ShapingConfig, discount: float, world: World) -> PotentialShaping | Bonus:
    if config.bonus:
        return Bonus(StepFunction(config.bonus, what="shaping.bonus"), weight=config.weight)
    potential = _potential(config, world.observation_size)
    return PotentialShaping(potential, weight=config.weight, discount=discount, decay_steps=config.decay_steps)


def _potential(config: ShapingConfig, observation_size: int) -> Potential:
    if config.function:
        return FunctionPotential(StepFunction(config.function, what="shaping.function"))
    if config.run:
        return _value_of(Path(config.run), observation_size)
    if config.feedback:
        return _said_of(Path(config.feedback), observation_size)
    potential = DemonstrationPotential(_demonstrations(Path(config.demonstrations)), bandwidth=config.bandwidth)
    if potential.size != observation_size:
        raise ConfigError(
            f"shaping.demonstrations: they hold observations of {potential.size} numbers, and this world's have "
            f"{observation_size}; show them in the same world"
        )
    return potential


def _value_of(path: Path, observation_size: int) -> ValuePotential:
    """The critic of a run's newest sound checkpoint."""
    directory = RunDirectory.open(path)
    config = from_dict(directory.config())
    checkpoint = newest_sound_checkpoint(directory)
    scale = 1.0
    if config.algorithm.normalize_rewards:
        scale = float(checkpoint.tensors["learner.returns.variance"][0]) ** 0.5
    return ValuePotential(
        policy_of(checkpoint, config),
        scale=scale,
        fingerprint=checkpoint.sha256,
        observation_size=observation_size,
    )


def _said_of(path: Path, observation_size: int) -> LearnedPotential:
    """The most that a run expects people to say of anything that may be done in a state."""
    learned = learned_in(path)
    learner = learned.learner
    if not isinstance(learner, TAMER | DeepTAMER):
        raise ConfigError(
            f"shaping.feedback: {path} learned a policy by {learned.config.method}, and no values of states; name a "
            "run of tamer or deep-tamer"
        )
    size = learned.observation_size
    if size != observation_size:
        raise ConfigError(
            f"shaping.feedback: it knows observations of {size} numbers, and this world has {observation_size}; name a "
            "run in the same world"
        )

    def most(observation: np.ndarray) -> np.ndarray:
        seen = np.ascontiguousarray(observation, np.float32)
        return learner.human_reward(learned.state, seen).max(-1).values.numpy()

    return LearnedPotential(most, fingerprint=learned.checkpoint_sha256, observation_size=size)


def _demonstrations(path: Path) -> list[np.ndarray]:
    """[T, O] each, from a file or from a run's store."""
    if path.is_dir():
        return _shown(path)
    if path.suffix != ".npz":
        raise ConfigError(f"shaping.demonstrations must be a run's directory or a file .npz, got {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            return [np.asarray(file[name], np.float64) for name in file.files]
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ConfigError(
            f"shaping.demonstrations: {path} cannot be read as a file .npz of arrays of numbers: {error}"
        ) from error


def _shown(path: Path) -> list[np.ndarray]:
    """What people showed in a run, in the order of their answers."""
    directory = RunDirectory.open(path)
    if not has_store(directory):
        raise DataError(f"shaping.demonstrations: {path} has no store yet, in which demonstrations could be")
    with open_store(directory) as store:
        segments = shown_segments(store)
    return [np.concatenate([one.observation, one.next_observation[-1:]]) for one in segments]
