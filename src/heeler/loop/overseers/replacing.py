"""What takes the place of an action that overseers keep from being carried out.

Shapes: n copies, O observation numbers, A action numbers.
"""

from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.verdict import Verdict
from heeler.envs import World
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.numpy_policy import NumpyPolicy


def trusted_policy(folder: str, world: World) -> Callable[[np.ndarray], np.ndarray]:
    """[n, A] actions by [n, O] observations, of the policy that takes over.

    Args:
        folder: of an exported policy; empty for action 0, or what of the bounds is nearest to it.
        world: in which it is to act.

    Raises:
        ConfigError: it cannot be read, or does not fit the world.
    """
    space = world.single_action_space
    head = action_head(space)
    if not folder:
        still = np.zeros(head.action_size, head.action_dtype)
        if isinstance(space, gymnasium.spaces.Box):
            still = np.clip(still, space.low, space.high)
        return lambda observation: np.broadcast_to(still, (len(observation), len(still)))
    try:
        policy = NumpyPolicy.load(Path(folder))
    except ValueError as error:
        raise ConfigError(f"overseers.trusted: {error}") from error
    sample = np.asarray(policy.act(np.zeros((1, policy.observation_size), np.float32))).reshape(1, -1)
    if policy.observation_size != world.observation_size or sample.shape[1] != head.action_size:
        raise ConfigError(
            f"overseers.trusted: the policy in {folder} takes {policy.observation_size} numbers and gives "
            f"{sample.shape[1]}; this world has {world.observation_size} and takes {head.action_size}"
        )
    return lambda observation: np.asarray(policy.act(observation)).reshape(len(observation), -1)


def fitting(verdict: Verdict, space: gymnasium.Space) -> np.ndarray | None:
    """[A] the action that a verdict puts in place; None where it is none of the space's."""
    try:
        action = np.atleast_1d(np.asarray(verdict.replacement))
    except ValueError:
        return None
    if isinstance(space, gymnasium.spaces.Box):
        fits = action.shape == space.shape and action.dtype.kind in "iuf" and bool(np.isfinite(action).all())
        return np.clip(action, space.low, space.high) if fits else None
    head = action_head(space)
    assert isinstance(head, CategoricalHead)
    num_choices = np.array(head.num_choices)
    fits = action.shape == num_choices.shape and action.dtype.kind in "iu"
    return action if fits and bool(((action >= 0) & (action < num_choices)).all()) else None
