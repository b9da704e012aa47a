"""Worlds of several agents: copies of PettingZoo's `ParallelEnv`, a row of the batch for each agent that learns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from heeler.core.errors import ConfigError, WorldError
from heeler.envs.config import EnvConfig
from heeler.envs.pettingzoo_copy import AgentsCopy
from heeler.envs.spaces import flat_action_space, flat_observation_space
from heeler.envs.world import Info, World, check_finite


class AgentsWorld(World):
    """Copies of a world of several agents; row i · G + g is agent g of those that learn, in copy i.

    The first of a copy's learning agents whose episode ends takes the others' with it: theirs is truncated there, so
    that what would have come is still reckoned with, and the copy begins anew in the same step. Their state cannot be
    saved, so `exact_state` is False, as with every foreign world.

    Raises:
        ConfigError: the world cannot be made, or its learning agents do not see and do alike.
    """

    exact_state = False

    def __init__(self, config: EnvConfig):
        assert config.agents is not None
        self._copies = [AgentsCopy(config, config.agents, index) for index in range(config.num_envs)]
        first = self._copies[0]
        self.learning = first.learning
        self.env_id, self.cost_names = config.id, config.costs
        self.num_envs = config.num_envs * len(self.learning)
        self.metadata = dict(getattr(first.env, "metadata", {})) | {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = getattr(first.env, "render_mode", None)
        observation, action = _shared_spaces(config.id, first.env, self.learning)
        self.single_observation_space = flat_observation_space(config.id, observation)
        self.single_action_space = flat_action_space(config.id, action)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._pending_seed: int | None = None
        self._num_steps = 0

    def seed(self, seed: int) -> None:
        """Have the next `reset()` seed every copy, each with its own seed derived from `seed`."""
        self._pending_seed = seed

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin a new episode in every copy; `options` go to each as they are."""
        seed = self._pending_seed if seed is None else seed
        self._pending_seed, num_copies = None, len(self._copies)
        seeds: Sequence[int | None] = [None] * num_copies
        if seed is not None:
            seeds = [int(own) for own in np.random.SeedSequence(seed).generate_state(num_copies)]
        firsts = [copy.reset(seed=own, options=options) for copy, own in zip(self._copies, seeds, strict=True)]
        observation, self._num_steps = np.concatenate(firsts), 0
        check_finite(observation, np.zeros(self.num_envs), env_id=self.env_id, step=0)
        return observation, {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Advance every copy, as `BatchedWorld.step` does.

        Raises:
            WorldError: a copy raised, broke the protocol or its own spaces, or gave NaN or infinite numbers.
        """
        self._num_steps += 1
        parts = actions.reshape(len(self._copies), len(self.learning), *actions.shape[1:])
        steps = [copy.step(part) for copy, part in zip(self._copies, parts, strict=True)]
        observation = np.concatenate([step.observation for step in steps])
        reward = np.concatenate([step.reward for step in steps])
        terminated = np.concatenate([step.terminated for step in steps])
        truncated = np.concatenate([step.truncated for step in steps])
        check_finite(observation, reward, env_id=self.env_id, step=self._num_steps)
        infos: Info = {"cost": np.concatenate([step.cost for step in steps])} if self.cost_names else {}
        ended = terminated | truncated
        if ended.any():
            infos |= {"final_obs": observation.copy(), "_final_obs": ended}
            for index in np.flatnonzero(ended.reshape(len(self._copies), -1).any(axis=1)):
                rows = slice(index * len(self.learning), (index + 1) * len(self.learning))
                observation[rows] = self._copies[index].reset()
            check_finite(observation, reward, env_id=self.env_id, step=self._num_steps)
        return observation, reward, terminated, truncated, infos

    def snapshot(self) -> None:
        """None: only the environment itself can draw its state; see `render`."""

    def render(self) -> tuple[Any, ...] | None:
        """One picture [H, W, 3] uint8 a row, of its copy, where `render_mode` is `rgb_array`, else None."""
        if self.render_mode != "rgb_array":
            return None
        return tuple(picture for copy in self._copies for picture in [copy.env.render()] * len(self.learning))

    def close_extras(self, **_: Any) -> None:
        """Close every copy.

        Raises:
            WorldError: a copy raised.
        """
        errors: list[WorldError] = []
        for copy in self._copies:
            try:
                copy.close()
            except WorldError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _shared_spaces(env_id: str, env: Any, learning: Sequence[Any]) -> tuple[Space[Any], Space[Any]]:
    """Observation and action space that all learning agents have."""
    first = learning[0]
    spaces = env.observation_space(first), env.action_space(first)
    for name in learning[1:]:
        for own, shared, what in zip(
            (env.observation_space(name), env.action_space(name)), spaces, ("see", "do"), strict=True
        ):
            if own != shared:
                raise ConfigError(
                    f"{env_id}: agents that learn one policy must {what} alike; {first!r} has {shared} and {name!r} "
                    f"has {own}. Name in env.agents.learning those that do"
                )
    return spaces
