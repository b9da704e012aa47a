"""What a run that learns from demonstrations carries: those, the learner or the reward made of them, and their figures.

Shapes: T steps, N environments.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from heeler.algorithms.dagger import Expert
from heeler.algorithms.learner import Learner
from heeler.core.errors import CheckpointError, ConfigError
from heeler.core.named import under
from heeler.core.rundir import RunDirectory
from heeler.envs import World, make
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.imitation_config import StepReward, expert_of
from heeler.loop.mixture import Mixture
from heeler.loop.parts import Arrays, Kept, Metrics, Part, Turn
from heeler.loop.progress import EpisodeReturns
from heeler.loop.reading import newest_sound_checkpoint, policy_of
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.models.policy import Policy
from heeler.rewards.shown_steps import StepSpace

_NUM_RANDOM_EPISODES, _MAX_RANDOM_STEPS = 16, 2000


class Imitation(Part):
    """Demonstrations in one run.

    Args:
        config: of the run; its `imitation` must be set.
        world: that it acts in.
        returns: of the run's episodes.

    Raises:
        DataError: the demonstrations cannot be read, or are of another world.
        ConfigError: the expert acts in another world, or the settings do not fit the demonstrations.
        RunError: the expert's run has no sound checkpoint.
    """

    name = "imitation"

    def __init__(self, config: RunConfig, world: World, returns: EpisodeReturns) -> None:
        assert config.imitation is not None
        self.run_config, self.config, self._returns = config, config.imitation, returns
        self.shown = self.config.read(world)
        self.expert, self._expert_sha256 = _expert(config, world)
        self.learner: Learner | None = None
        """What learns in PPO's place; None where a reward is made."""
        self.reward: StepReward | None = None
        if self.config.is_reward:
            space = (world.observation_size, world.single_action_space)
            self.reward = self.config.reward(*space, self.shown, config.algorithm.discount)
            self.state = self.reward.init(config.seed)
        else:
            self.learner = self.config.learner(config.algorithm, world, self.shown, self.expert)
        self.random_return: float | None = None
        self._figures: Metrics = {}

    def actor(self, policy: Policy, progress: float) -> Policy:
        """Who acts: the policy, or while DAgger begins, the expert at some of the steps."""
        if self.config.dagger is None or self.expert is None:
            return policy
        share = self.config.dagger.expert_share(progress)
        return Mixture(policy, self.expert, share) if share > 0 else policy

    def after_rollout(self, turn: Turn) -> Turn:
        """The turn with the reward that is made of demonstrations, where one is; learned from this rollout first."""
        self._figures = {}
        if self.config.dagger is not None and self.expert is not None:
            self._figures["expert_share"] = self.config.dagger.expert_share(turn.progress)
        if self.shown is not None and self.config.bc is None:
            steps = StepSpace(turn.policy.observation_size, turn.policy.action_space).shown(self.shown, turn.policy)
            self._figures["shown_log_prob"] = float(steps.log_prob_B.mean())
        if self.reward is None:
            return turn
        if turn.is_own:
            # What something trusted does in the policy's place is not what is to become like the demonstrations.
            self.state, learned = self.reward.update(self.state, turn.rollout, turn.policy)
            self._figures |= learned
        reward = self.reward.reward(self.state, turn.rollout, turn.policy).numpy().astype(np.float64)
        self._figures["learned_reward_mean"] = float(reward.mean())
        return replace(turn, reward=reward)

    def metrics(self) -> Metrics:
        """Of the last rollout, and how far returns are from chance to the expert's."""
        returns = self.shown.returns if self.shown is not None else None
        if returns is None:
            return self._figures
        if self.random_return is None:
            self.random_return = random_return(self.run_config)
        expert, chance = float(returns.mean()), self.random_return
        figures = self._figures | {"expert_return": expert, "random_return": chance}
        latest = self._returns.means().get("true_return_mean")
        if latest is not None and expert > chance:
            figures["normalized_return"] = (latest - chance) / (expert - chance)
        return figures

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        state = {
            "demonstrations": None if self.shown is None else self.shown.fingerprint,
            "counts": None if self.shown is None else [len(self.shown), self.shown.num_steps],
            "expert": self._expert_sha256,
            "random_return": self.random_return,
        }
        return to_arrays(self.reward.tensors(self.state)) if self.reward else {}, state

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned.

        Raises:
            CheckpointError: demonstrations or expert are not those that the run began with.
        """
        now = None if self.shown is None else self.shown.fingerprint
        if state["demonstrations"] != now:
            raise CheckpointError(
                f"imitation.demonstrations: {self.config.demonstrations} does not hold what it did when this "
                "checkpoint was saved; put the old demonstrations back, or begin another run"
            )
        if state["expert"] != self._expert_sha256:
            assert self.config.expert is not None
            raise CheckpointError(
                f"imitation.expert: the newest checkpoint of {self.config.expert.source} is not what it was when this "
                "checkpoint was saved; put the old run back, or begin another run"
            )
        self.random_return = state["random_return"]
        if self.reward is not None:
            self.state = self.reward.load_tensors(self.state, to_tensors(arrays))


def _expert(config: RunConfig, world: World) -> tuple[Expert | None, str | None]:
    """The policy that DAgger asks, and the hash of its checkpoint; None for people."""
    imitation = config.imitation
    if imitation is None or imitation.expert is None or imitation.asks_people:
        return None, None
    directory = RunDirectory.open(Path(imitation.expert.source))
    its = from_dict(directory.config())
    checkpoint = newest_sound_checkpoint(directory)
    policy = policy_of(checkpoint, its)
    theirs = StepSpace(policy.observation_size, policy.action_space).described
    ours = StepSpace(world.observation_size, world.single_action_space).described
    if theirs != ours:
        raise ConfigError(
            f"imitation.expert: {imitation.expert.source} acts in {its.env.id}, whose spaces are not those of "
            f"{config.env.id}; name a run of the same world"
        )
    return expert_of(policy), checkpoint.sha256


def random_return(config: RunConfig) -> float:
    """Mean true return of some episodes of uniformly random actions in the run's world; the seed alone makes it."""
    world = make(replace(config.env, num_envs=_NUM_RANDOM_EPISODES), config.seed)
    try:
        world.reset(seed=config.seed)
        world.action_space.seed(config.seed)
        returns, running = np.zeros(world.num_envs), np.ones(world.num_envs, bool)
        for _ in range(_MAX_RANDOM_STEPS):
            _, reward, terminated, truncated, _ = world.step(world.action_space.sample())
            returns += reward * running
            running &= ~(terminated | truncated)
            if not running.any():
                break
        return float(returns.mean())
    finally:
        world.close()


class MovedReward(Part):
    """The reward that another run made of demonstrations, as it was at that run's newest checkpoint.

    Args:
        config: of the run; its `reward_of` must be set.
        world: that it acts in.

    Raises:
        ConfigError: that run made no reward, or one for other spaces.
        RunError: there is no such run, or no sound checkpoint in it.
    """

    name = "moved_reward"

    def __init__(self, config: RunConfig, world: World) -> None:
        directory = RunDirectory.open(Path(config.reward_of))
        its = from_dict(directory.config())
        if its.imitation is None or not its.imitation.is_reward:
            raise ConfigError(
                f"reward_of: {config.reward_of} made no reward of demonstrations; name a run by gail, airl or density"
            )
        checkpoint = newest_sound_checkpoint(directory)
        policy = policy_of(checkpoint, its)
        space = StepSpace(world.observation_size, world.single_action_space)
        if StepSpace(policy.observation_size, policy.action_space).described != space.described:
            raise ConfigError(
                f"reward_of: {config.reward_of} learned in {its.env.id}, whose spaces are not those of "
                f"{config.env.id}; a reward can be moved only where observations and actions are the same"
            )
        self.source, self.fingerprint, self._space = config.reward_of, checkpoint.sha256, space
        self._reward = its.imitation.reward(policy.observation_size, policy.action_space, None, its.algorithm.discount)
        tensors = to_tensors(under(f"{Imitation.name}.", checkpoint.tensors))
        self._state = self._reward.load_tensors(self._reward.init(its.seed), tensors)
        self._mean = 0.0

    def after_rollout(self, turn: Turn) -> Turn:
        """The turn with that reward."""
        steps = self._space.acted(turn.rollout, None)
        reward = self._reward.step_reward(self._state, steps).view(turn.rollout.terminated.shape)
        self._mean = float(reward.mean())
        return replace(turn, reward=reward.numpy().astype(np.float64))

    def metrics(self) -> Metrics:
        """Of the last rollout."""
        return {"learned_reward_mean": self._mean}

    def kept(self) -> Kept:
        """By what a checkpoint knows the reward."""
        return {}, {"fingerprint": self.fingerprint}

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Make sure that the reward is the one of when `state` was saved.

        Raises:
            CheckpointError: it is not.
        """
        if state["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"reward_of: the newest checkpoint of {self.source} is not what it was when this checkpoint was saved; "
                "put the old run back, or begin another run"
            )


def learner_of(config: RunConfig, world: World, imitation: Imitation | None) -> Learner:
    """What learns in a run."""
    if imitation is not None and imitation.learner is not None:
        return imitation.learner
    return config.learner(world)
