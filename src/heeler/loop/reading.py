"""What a run left: its store, its newest sound checkpoint, the policy in it, and fresh episodes of that."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from heeler.algorithms.learner import Learner
from heeler.algorithms.ppo import PPO
from heeler.core.errors import CheckpointError, ConfigError, RunError
from heeler.core.named import under
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import EnvConfig, World, make
from heeler.evaluation.returns import Evaluation, StepCosts, evaluate
from heeler.loop.config import RunConfig, check_seed, from_dict
from heeler.loop.overseers.evaluating import EvaluationReview
from heeler.loop.parts import Kept
from heeler.loop.tensors import to_tensors
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.policy import Policy
from heeler.rewards.joint.model import JointModel, JointModelState
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelState
from heeler.rewards.step_features import StepFeatures
from heeler.safety.shields.shield import HELD, Shield, make_shield


def load_policy(path: Path | str) -> tuple[Policy, RunConfig]:
    """The policy of a run's newest sound checkpoint, and the run's configuration.

    Raises:
        RunError: there is no run, or no sound checkpoint in it.
    """
    directory = RunDirectory.open(Path(path))
    config = from_dict(directory.config())
    return policy_of(newest_sound_checkpoint(directory), config), config


def newest_sound_checkpoint(directory: RunDirectory) -> Checkpoint:
    """What a run can be looked at by.

    Raises:
        RunError: it has none yet, or none that is sound.
    """
    checkpoint, refused = directory.newest_checkpoint()
    if checkpoint is None and refused:
        raise RunError(f"{directory.path} has no sound checkpoint: {'; '.join(refused)}. Put a sound one back")
    if checkpoint is None:
        raise RunError(f"{directory.path} has no checkpoint to load; run it first")
    return checkpoint


def policy_of(checkpoint: Checkpoint, config: RunConfig) -> Policy:
    """The policy that a checkpoint holds."""
    world = make(config.env.single(), config.seed)
    policy = Policy(config.algorithm.policy, world.observation_size, world.single_action_space)
    world.close()
    try:
        policy.load_tensors(to_tensors(under("learner.policy.", checkpoint.tensors)))
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint step-{checkpoint.step} does not fit this version's world or networks as config.yaml has them; "
            "put config.yaml back if it was changed, else use the heeler that made it, or run it again"
        ) from error
    return policy


def shield_state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """What the shield of a run had learned by a checkpoint; what it was about to do is of the run's own world alone."""
    kept = to_tensors(under("shield.", checkpoint.tensors))
    return {name: tensor for name, tensor in kept.items() if not name.startswith(HELD)}


def overseers_state(checkpoint: Checkpoint) -> Kept | None:
    """What the overseers of a run knew by a checkpoint; None where it had none."""
    state = checkpoint.state.get("overseers")
    return None if state is None else (under("overseers.", checkpoint.tensors), state)


def shield_of(config: RunConfig, env: EnvConfig, world: World, learned: Mapping[str, Tensor] | None) -> Shield | None:
    """The shield of a run, over another world than the one that it learned in; None where the run has none.

    Args:
        config: of the run.
        env: describes `world`.
        world: that is to be acted in.
        learned: what the run's own shield has learned, from `shield_state` or its `tensors`; None for nothing yet.

    Raises:
        ConfigError: it does not fit the world, or its critic was never trained.
    """
    shield = make_shield(config.shield, env, world)
    if shield is not None and learned is not None:
        shield.load_tensors(learned)
    return shield


def evaluate_policy(
    policy: Policy,
    config: RunConfig,
    *,
    num_episodes: int,
    seed: int,
    deterministic: bool = True,
    learned: Mapping[str, Tensor] | None = None,
    own_costs: StepCosts | None = None,
    overseen: Kept | None = None,
) -> Evaluation:
    """Fresh episodes of `policy` in the run's world, behind its overseers and shield.

    Args:
        policy: who acts.
        config: of its run.
        num_episodes: how many are played.
        seed: of the episodes.
        deterministic: act by the likeliest action instead of sampling.
        learned: what the run's shield has learned; None for nothing yet.
        own_costs: of the run, counted beside the world's.
        overseen: what the run's overseers know; None for nothing yet.
    """
    if num_episodes < 1:
        raise ConfigError(f"num_episodes must be >= 1, got {num_episodes}")
    check_seed(seed)
    env = replace(config.env, num_envs=num_episodes)
    world, shield = make(env, seed), None
    try:
        shield = shield_of(config, env, world, learned)
        overseers = None if config.overseers is None else EvaluationReview(config.overseers, world, overseen)
        return evaluate(
            policy,
            world,
            seed=seed,
            deterministic=deterministic,
            shield=shield,
            own_costs=own_costs,
            overseers=overseers,
        )
    finally:
        world.close()
        if shield is not None:
            shield.close()


def preference_model(config: RunConfig, ppo: Learner) -> PreferenceModel:
    """The learned reward that fits a run's world."""
    assert config.preferences is not None
    head = action_head(ppo.action_space)
    num_choices = head.num_choices if isinstance(head, CategoricalHead) else ()
    return PreferenceModel(config.preferences.model, ppo.observation_size, head.action_size, num_choices)


def joint_model(config: RunConfig, ppo: Learner) -> JointModel:
    """The reward learned from every kind of answer that fits a run's world."""
    assert config.kinds is not None
    head, reward = action_head(ppo.action_space), config.kinds.model.reward
    num_choices = head.num_choices if isinstance(head, CategoricalHead) else ()
    features = StepFeatures(
        reward.inputs, reward.observation_columns, ppo.observation_size, head.action_size, num_choices
    )
    return JointModel(config.kinds.model, features)


def learned_kinds(checkpoint: Checkpoint, config: RunConfig, policy: Policy) -> tuple[JointModel, JointModelState]:
    """The reward learned from every kind of answer of a checkpoint whose policy is `policy`."""
    model = joint_model(config, PPO(config.algorithm, policy.observation_size, policy.action_space))
    tensors = to_tensors(under("kinds.", checkpoint.tensors))
    return model, model.load_tensors(model.init(config.seed), tensors, checkpoint.state["kinds"])


def learned_preferences(
    checkpoint: Checkpoint, config: RunConfig, policy: Policy
) -> tuple[PreferenceModel, PreferenceModelState]:
    """The learned reward of a checkpoint whose policy is `policy`."""
    model = preference_model(config, PPO(config.algorithm, policy.observation_size, policy.action_space))
    return model, model.load_tensors(model.init(config.seed), to_tensors(under("preferences.", checkpoint.tensors)))
