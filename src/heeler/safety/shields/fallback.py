"""What is done where nothing is safe. Shapes: B rows, O observation numbers, A action numbers."""

import numpy as np
from gymnasium.spaces import Box

from heeler.core.errors import ConfigError, WorldError
from heeler.core.functions import load_function
from heeler.envs import World
from heeler.models.actions import CategoricalHead, action_head
from heeler.safety.shields.config import FallbackConfig


class Fallback:
    """The declared way out.

    Args:
        config: what it is.
        world: one of those that are shielded.

    Raises:
        ConfigError: the named action is none of the world's, or the function cannot be found.
    """

    def __init__(self, config: FallbackConfig, world: World) -> None:
        self.kind = config.kind
        self._space, self._env_id = world.single_action_space, world.env_id
        self._head = action_head(world.single_action_space)
        self._function = load_function(config.function) if config.function else None
        self._action = np.asarray(config.action)
        self._name = config.function
        if config.kind == "action":
            self._refuse_foreign(self._action[None], "shield.fallback.action", ConfigError)

    @property
    def acts(self) -> bool:
        """Whether it names an action in every state."""
        return self.kind in ("action", "brake")

    def actions(self, observation_BO: np.ndarray) -> np.ndarray:
        """[B, A] what it does in states that look like this; only of one that `acts`.

        Raises:
            WorldError: a brake gave what are no actions of the world.
        """
        if self._function is None:
            given = np.broadcast_to(self._action, (len(observation_BO), self._head.action_size))
        else:
            given = np.asarray(self._function(observation_BO))
            if given.ndim == 1 and self._head.action_size == 1:
                given = given[:, None]
            self._refuse_foreign(given, f"what {self._name} gives", WorldError, len(observation_BO))
        return given.astype(self._head.action_dtype)

    def _refuse_foreign(self, given: np.ndarray, what: str, error: type[Exception], num_rows: int = 1) -> None:
        size = self._head.action_size
        if given.shape != (num_rows, size) or given.dtype.kind not in "fiub" or not np.isfinite(given).all():
            raise error(
                f"{what} must be {size} finite numbers for each action of {self._env_id}, got {given.tolist()!s:.200}"
            )
        if isinstance(self._head, CategoricalHead):
            known = np.array(self._head.num_choices)
            if (given != given.astype(np.int64)).any() or (given < 0).any() or (given >= known).any():
                raise error(f"{what} must be choices of {self._space}, counted from 0; got {given.tolist()!s:.200}")
            return
        assert isinstance(self._space, Box)
        if ((given < self._space.low) | (given > self._space.high)).any():
            raise error(f"{what} must be within the bounds of {self._space}, got {given.tolist()!s:.200}")
