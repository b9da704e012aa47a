"""What a run left: its store, its newest sound checkpoint, the policy in it, and fresh episodes of that."""

from dataclasses import replace
from pathlib import Path

import torch

from heeler.algorithms.ppo import PPO
from heeler.core.errors import CheckpointError, ConfigError, RunError
from heeler.core.named import under
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.envs import make
from heeler.evaluation.returns import Evaluation, StepCosts, evaluate
from heeler.loop.config import RunConfig, check_seed, from_dict
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.policy import Policy
from heeler.rewards.preference_model import PreferenceModel


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
        policy.load_tensors(
            under("learner.policy.", {name: torch.from_numpy(a.copy()) for name, a in checkpoint.tensors.items()})
        )
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint step-{checkpoint.step} does not fit this version's world or networks as config.yaml has them; "
            "put config.yaml back if it was changed, else use the heeler that made it, or run it again"
        ) from error
    return policy


def evaluate_policy(
    policy: Policy, config: RunConfig, *, num_episodes: int, seed: int, own_costs: StepCosts | None = None
) -> Evaluation:
    """Fresh episodes of `policy` in the run's world, acting by the likeliest action."""
    if num_episodes < 1:
        raise ConfigError(f"num_episodes must be >= 1, got {num_episodes}")
    check_seed(seed)
    world = make(replace(config.env, num_envs=num_episodes), seed)
    try:
        return evaluate(policy, world, seed=seed, own_costs=own_costs)
    finally:
        world.close()


def preference_model(config: RunConfig, ppo: PPO) -> PreferenceModel:
    """The learned reward that fits a run's world."""
    assert config.preferences is not None
    head = action_head(ppo.action_space)
    num_choices = head.num_choices if isinstance(head, CategoricalHead) else ()
    return PreferenceModel(config.preferences.model, ppo.observation_size, head.action_size, num_choices)
