"""Refuses demonstrations that a world could not have made; messages name file, episode and field.

Shapes: T steps of an episode, O observation numbers, A action numbers.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import DataError

# What float64 actions at their very bound lose on their way to float32.
_ROUNDING = 1e-5


def checked(demonstrations: Demonstrations, observation_size: int, action_space: Space[Any]) -> Demonstrations:
    """The demonstrations as a learner takes them: types and shapes set right, everything else refused.

    Args:
        demonstrations: from anywhere.
        observation_size: O of the world.
        action_space: of one environment of the world.

    Raises:
        DataError: there is none, an episode is empty, sizes are not the world's, a number is not finite, or an action
            is none of the world's.
    """
    if not demonstrations.episodes:
        raise DataError(f"{demonstrations.source}: expected at least one episode, got none")
    episodes = tuple(
        _episode(one, f"{demonstrations.source}, episode {index}", observation_size, action_space)
        for index, one in enumerate(demonstrations.episodes)
    )
    return replace(demonstrations, episodes=episodes)


def _episode(one: Demonstration, where: str, observation_size: int, space: Space[Any]) -> Demonstration:
    num_steps = len(one.action)
    if num_steps == 0:
        raise DataError(f"{where}: action: the episode is empty; leave it out")
    observation = _numbers(one.observation, f"{where}: observation")
    if observation.ndim != 2 or observation.shape[1] != observation_size:
        raise DataError(
            f"{where}: observation: expected {observation_size} numbers each, as this world's observations have, got "
            f"shape {list(observation.shape)}; use demonstrations of the same world"
        )
    if len(observation) != num_steps + 1:
        raise DataError(
            f"{where}: observation: expected {num_steps + 1} rows, one more than the {num_steps} actions as the last "
            f"observation belongs to them, got {len(observation)}"
        )
    return Demonstration(
        observation=observation.astype(np.float32),
        action=_action(one.action, f"{where}: action", space),
        terminated=bool(one.terminated),
        reward=None if one.reward is None else _reward(one.reward, f"{where}: reward", num_steps),
    )


def _numbers(array: Any, where: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where}: expected numbers, got {array.dtype}")
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise DataError(f"{where}: row {row} holds a number that is not finite; leave the episode out or mend it")
    return array


def _reward(reward: np.ndarray, where: str, num_steps: int) -> np.ndarray:
    reward = _numbers(reward, where)
    if reward.shape != (num_steps,):
        raise DataError(f"{where}: expected shape [{num_steps}], got {list(reward.shape)}")
    return reward.astype(np.float64)


def _action(action: np.ndarray, where: str, space: Space[Any]) -> np.ndarray:
    action = _numbers(action, where)
    if not isinstance(space, Box | Discrete | MultiDiscrete):
        raise DataError(f"{where}: expected a world whose actions are Box, Discrete or MultiDiscrete, got {space}")
    size = 1 if isinstance(space, Discrete) else int(np.prod(space.shape or ()))
    if action.ndim == 1 and size == 1:
        action = action[:, None]
    if action.ndim != 2 or action.shape[1] != size:
        raise DataError(
            f"{where}: expected {size} numbers each, as {space} has, got shape {list(action.shape)}; use "
            "demonstrations of the same world"
        )
    known: Any = cast(Any, space)
    if isinstance(space, Box):
        low, high = (np.asarray(bound, np.float64) for bound in (known.low, known.high))
        room = _ROUNDING * np.maximum(1.0, np.where(np.isfinite(high - low), high - low, 1.0))
        _refuse_outside((action < low - room) | (action > high + room), action, where, str(known))
        return np.clip(action, low, high).astype(np.float32)
    counts = np.array([known.n]) if isinstance(space, Discrete) else np.asarray(known.nvec)
    outside = (action != np.floor(action)) | (action < 0) | (action >= counts)
    _refuse_outside(outside, action, where, str(known))
    return action.astype(np.int64)


def _refuse_outside(outside: np.ndarray, action: np.ndarray, where: str, space: str) -> None:
    if outside.any():
        row = int(np.argwhere(outside)[0][0])
        raise DataError(f"{where}: row {row} is {action[row].tolist()}, which is no action of {space}")
