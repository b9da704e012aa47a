"""The learned reward of a run in one form, however it was learned.

Shapes: M members, T steps, N environments, K clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import RunError
from heeler.core.named import under
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.reading import learned_kinds, learned_preferences, newest_sound_checkpoint, policy_of
from heeler.loop.tensors import to_tensors
from heeler.models.policy import Policy
from heeler.rewards.shown_steps import StepSpace
from heeler.rewards.step_features import StepFeatures, StepInput


@dataclass(frozen=True, kw_only=True)
class LearnedReward:
    """What a run learned to pay for."""

    of_steps: Callable[[Rollout, Policy], np.ndarray]
    """[M, T, N] what each member pays for each step of a rollout."""
    of_clips: Callable[[Sequence[Segment]], np.ndarray] | None
    """[K] what a step of each clip is paid on average; None of a reward that no clips were shown for."""
    features: StepFeatures
    """What it sees of a step."""


def learned_reward(directory: RunDirectory, config: RunConfig, checkpoint: Checkpoint) -> LearnedReward:
    """The reward of a checkpoint.

    Raises:
        RunError: the run learns no reward, or has not learned it yet.
    """
    if config.preferences is not None or config.kinds is not None:
        return _from_answers(directory, config, checkpoint)
    if config.reward_of or (config.imitation is not None and config.imitation.is_reward):
        return _from_demonstrations(config, checkpoint)
    why = "its learner sees the world's own reward"
    if config.imitation is not None:
        why = f"{config.imitation.method} makes none"
    raise RunError(
        f"{directory.path} learned no reward that could be looked at: {why}; name a run by preferences, kinds, or "
        "imitation by gail, airl or density"
    )


def _from_answers(directory: RunDirectory, config: RunConfig, checkpoint: Checkpoint) -> LearnedReward:
    policy = policy_of(checkpoint, config)
    if config.preferences is not None:
        model, state = learned_preferences(checkpoint, config, policy)
        is_fitted = checkpoint.state["preferences"]["num_fits"] > 0
        found = _scaled(partial(model.predict, state), partial(model.segment_returns, state), state, model.features)
    else:
        joint, known = learned_kinds(checkpoint, config, policy)
        is_fitted = known.num_fits > 0
        found = _scaled(
            partial(joint.predict, known), partial(joint.segment_returns, known), known.scale, joint.features
        )
    if not is_fitted:
        raise RunError(f"{directory.path} has not fitted its reward to an answer yet; let it run until it has")
    return found


class _Scale(Protocol):
    """What is taken off each member's raw prediction, and what it is then multiplied by."""

    offset_M: Tensor
    scale_M: Tensor


def _scaled(
    predict: Callable[[Rollout], Tensor],
    returns: Callable[[Sequence[Segment]], Tensor],
    scale: _Scale,
    features: StepFeatures,
) -> LearnedReward:
    """From raw predictions to what the learner is paid.

    Args:
        predict: [M, T, N] raw predictions of a rollout.
        returns: [M, K] raw returns of clips.
        scale: of the reward.
        features: that it sees.
    """

    def of_steps(rollout: Rollout, _: Policy) -> np.ndarray:
        raw_MTN = predict(rollout)
        return ((raw_MTN - scale.offset_M[:, None, None]) * scale.scale_M[:, None, None]).numpy().astype(np.float64)

    def of_clips(segments: Sequence[Segment]) -> np.ndarray:
        mean_MK = returns(segments) / torch.tensor([len(segment) for segment in segments])
        return ((mean_MK - scale.offset_M[:, None]) * scale.scale_M[:, None]).mean(0).numpy().astype(np.float64)

    return LearnedReward(of_steps=of_steps, of_clips=of_clips, features=features)


def _from_demonstrations(config: RunConfig, checkpoint: Checkpoint) -> LearnedReward:
    """By GAIL, AIRL or density: one member, and what people saw are the demonstrations."""
    policy, its, source = policy_of(checkpoint, config), config, checkpoint
    if config.reward_of:
        theirs = RunDirectory.open(Path(config.reward_of))
        its, source = from_dict(theirs.config()), newest_sound_checkpoint(theirs)
    assert its.imitation is not None
    reward = its.imitation.reward(policy.observation_size, policy.action_space, None, its.algorithm.discount)
    state = reward.load_tensors(reward.init(its.seed), to_tensors(under("imitation.", source.tensors)))
    space = StepSpace(policy.observation_size, policy.action_space)

    def of_steps(rollout: Rollout, acted: Policy) -> np.ndarray:
        if config.reward_of:
            paid = reward.step_reward(state, space.acted(rollout, None)).view(rollout.terminated.shape)
        else:
            paid = reward.reward(state, rollout, acted)
        return paid.detach().numpy().astype(np.float64)[None]

    inputs: tuple[StepInput, ...] = ("observation", "action")
    features = StepFeatures(inputs, None, policy.observation_size, space.action_size, space.num_choices)
    return LearnedReward(of_steps=of_steps, of_clips=None, features=features)
