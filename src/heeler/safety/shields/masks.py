"""Which choices there are. Shapes: N environments, K choices of all components, O observation numbers."""

from typing import NamedTuple

import numpy as np

from heeler.core.errors import ConfigError, WorldError
from heeler.core.functions import load_function
from heeler.envs import World
from heeler.models.actions import CategoricalHead, action_head
from heeler.safety.shields.config import MaskConfig


class Allowed(NamedTuple):
    """What a mask leaves."""

    choices_NK: np.ndarray
    """Bool. A row that leaves some component nothing allows everything here: the policy's distribution stays one."""
    nothing_N: np.ndarray
    """Bool: rows that leave some component nothing."""


class Mask:
    """The choices that there are, by the world or by a function.

    Args:
        config: where the mask comes from.
        world: one of those that are shielded.

    Raises:
        ConfigError: actions are not choices, or the function cannot be found.
    """

    def __init__(self, config: MaskConfig, world: World) -> None:
        head = action_head(world.single_action_space)
        if not isinstance(head, CategoricalHead):
            raise ConfigError(
                f"shield.mask is for Discrete and MultiDiscrete actions; {world.env_id} has {world.single_action_space}"
            )
        self._starts = np.cumsum((0, *head.num_choices[:-1]))
        self._num_choices = sum(head.num_choices)
        self._source = config.source
        self._function = None if config.source == "world" else load_function(config.source)

    def of(self, world: World, observation_NO: np.ndarray) -> Allowed:
        """What there is in the world's present states.

        Raises:
            ConfigError: the world gives no mask.
            WorldError: the mask has another shape, or is none of booleans.
        """
        given = world.action_mask() if self._function is None else self._function(observation_NO)
        if given is None:
            raise ConfigError(
                f"{world.env_id} gives no action mask that fits its actions; name a function as shield.mask.source, or "
                "have a foreign world give infos['action_mask'] at every step and reset"
            )
        choices_NK = np.asarray(given)
        expected = (len(observation_NO), self._num_choices)
        if choices_NK.shape != expected or choices_NK.dtype.kind not in "biu":
            raise WorldError(
                f"an action mask of {world.env_id} by {self._source} must be booleans of shape {list(expected)}, got "
                f"{choices_NK.dtype} of shape {list(choices_NK.shape)}"
            )
        choices_NK = choices_NK.astype(bool)
        nothing_N = ~np.all(np.logical_or.reduceat(choices_NK, self._starts, axis=1), axis=1)
        return Allowed(choices_NK | nothing_N[:, None], nothing_N)

    def permits(self, choices_nK: np.ndarray, action_nMA: np.ndarray) -> np.ndarray:
        """[n, M]: which of M actions a row have only choices that there are."""
        places = action_nMA + self._starts
        rows = np.arange(len(choices_nK)).reshape(-1, 1, 1)
        return np.all(choices_nK[rows, places], axis=-1)
