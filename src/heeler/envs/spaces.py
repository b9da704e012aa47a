"""Gymnasium's spaces as flat vectors: checking values against their space, and flattening them to float32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.spaces.utils import flatten, flatten_space

from heeler.core.errors import ConfigError

_ROUNDING = 1e-6
"""Share of a bound by which a value may pass it: what float32 does to a number that was at the bound."""


def flat_observation_space(env_id: str, space: Space[Any]) -> Box:
    """The float32 Box of one dimension that `flat_observation` fills; Discrete parts become one-hot.

    Raises:
        ConfigError: some part is of a kind that has no flat form here.
    """
    _refuse_unknown_parts(env_id, space)
    flat = flatten_space(space)
    assert isinstance(flat, Box)
    with np.errstate(over="ignore"):  # bounds beyond float32 are no bounds
        return Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)


def flat_observation(space: Space[Any], value: Any) -> np.ndarray:
    """`value` of `space` as [O] float32."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the finite check names it
        return np.asarray(flatten(space, value)).astype(np.float32)


def flat_action_space(env_id: str, space: Space[Any]) -> Space[Any]:
    """The action space that a policy sees: Box [A] float32, Discrete or MultiDiscrete [A], each counting from 0.

    Raises:
        ConfigError: for any other kind of action.
    """
    if isinstance(space, Discrete):
        return Discrete(int(space.n))
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete(space.nvec.ravel())
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        with np.errstate(over="ignore"):
            return Box(space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32), dtype=np.float32)
    raise ConfigError(f"{env_id}: actions must be a Box of floats, Discrete or MultiDiscrete, got {space}")


def num_choices(space: Space[Any]) -> int:
    """K: choices of all components of a Discrete or MultiDiscrete action, one after the other; 0 of others."""
    if isinstance(space, Discrete):
        return int(space.n)
    return int(space.nvec.sum()) if isinstance(space, MultiDiscrete) else 0


def own_action(space: Space[Any], action: Any) -> Any:
    """A policy's `action`, of `flat_action_space(space)`, in the environment's own terms."""
    if isinstance(space, Discrete):
        return int(action) + int(space.start)
    if isinstance(space, MultiDiscrete):
        return (np.asarray(action).reshape(space.nvec.shape) + space.start).astype(space.dtype)
    assert isinstance(space, Box)
    return np.asarray(action, space.dtype).reshape(space.shape)


def mismatch(space: Space[Any], value: Any, *, bounds: bool, where: str = "observation") -> str | None:
    """How `value` breaks `space`, in words, or None when it does not.

    Args:
        space: what the environment promised.
        value: what it gave.
        bounds: also require a Box's values to lie within its bounds, give or take a rounding; what is not finite
            passes, for the finite check to name.
        where: names `value` in the answer.
    """
    if isinstance(space, Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            got = sorted(value) if isinstance(value, Mapping) else type(value).__name__
            return f"{where} should be a dict with keys {sorted(space.spaces)}, got {got}"
        problems = (mismatch(part, value[key], bounds=bounds, where=f"{where}[{key!r}]") for key, part in space.items())
        return next(filter(None, problems), None)
    if isinstance(space, Tuple):
        if not isinstance(value, Sequence) or len(value) != len(space.spaces):
            got = len(value) if isinstance(value, Sequence) else type(value).__name__
            return f"{where} should be a tuple of {len(space.spaces)} parts, got {got}"
        parts = enumerate(zip(space.spaces, value, strict=True))
        problems = (mismatch(part, item, bounds=bounds, where=f"{where}[{i}]") for i, (part, item) in parts)
        return next(filter(None, problems), None)
    if isinstance(space, Box):
        return _box_mismatch(space, value, bounds=bounds, where=where)
    return None if space.contains(value) else f"{where} should be in {space}, got {value!r}"


def _box_mismatch(space: Box, value: Any, *, bounds: bool, where: str) -> str | None:
    if not isinstance(value, np.ndarray | np.generic):
        return f"{where} should be a NumPy array of shape {space.shape}, got {type(value).__name__}"
    if value.shape != space.shape:
        return f"{where} should have shape {space.shape}, got {value.shape}"
    if not np.can_cast(value.dtype, space.dtype):
        return f"{where} should have a dtype that fits {space.dtype}, got {value.dtype}"
    array: Any = np.asarray(value)
    if not bounds:
        return None
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    beyond = (array < low - _ROUNDING * np.abs(low)) | (array > high + _ROUNDING * np.abs(high))
    outside = np.argwhere(beyond & np.isfinite(array))
    if len(outside):
        place = tuple(int(i) for i in outside[0])
        return (
            f"{where}{list(place)} should be from {space.low[place]} to {space.high[place]}, got {array[place]}; mend "
            "the environment's space, or set env.check_bounds to false"
        )
    return None


def _refuse_unknown_parts(env_id: str, space: Space[Any]) -> None:
    if isinstance(space, Dict | Tuple):
        for part in space.spaces.values() if isinstance(space, Dict) else space.spaces:
            _refuse_unknown_parts(env_id, part)
    elif not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        raise ConfigError(
            f"{env_id}: observations must be made of Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple spaces, "
            f"got {space}; wrap the environment so that it gives one of these"
        )
