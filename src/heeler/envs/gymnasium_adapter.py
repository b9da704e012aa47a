"""Any Gymnasium environment as a world, by registered id or `module:Class`; copies in one process or one each."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from multiprocessing import Process
from multiprocessing.connection import wait
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import logger
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from heeler.core.errors import ConfigError, HeelerError, WorldError, did_you_mean
from heeler.envs.config import EnvConfig
from heeler.envs.foreign import FAULTS as _FAULTS
from heeler.envs.foreign import check_flag, costs_of, reward_of
from heeler.envs.foreign import said as _said
from heeler.envs.spaces import (
    flat_action_space,
    flat_observation,
    flat_observation_space,
    mismatch,
    num_choices,
    own_action,
)
from heeler.envs.world import Info, World, check_finite


@dataclass(frozen=True, kw_only=True)
class EnvFactory:
    """Builds one copy of an environment."""

    config: EnvConfig
    index: int
    """Which copy, for messages."""

    def __call__(self) -> "FlatEnv":
        """Build it."""
        env = build_env(self.config.id, self.config.kwargs)
        return FlatEnv(env, config=self.config, index=self.index)


def build_env(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """One Gymnasium environment.

    Args:
        env_id: a registered id, or `module:Class`; `module:Id-v0` imports the module, which registers the id.
        kwargs: the environment's own settings, and `max_episode_steps`.

    Raises:
        ConfigError: nothing of that name, a setting that it does not take, or it cannot be made.
    """
    module_name, _, name = env_id.rpartition(":")
    module = _import(env_id, module_name) if module_name else None
    if name in gymnasium.registry:
        return _build(env_id, lambda: gymnasium.make(name, disable_env_checker=True, **kwargs), kwargs)
    env_class = getattr(module, name, None)
    if not isinstance(env_class, type) or not issubclass(env_class, gymnasium.Env):
        near = did_you_mean(name, vars(module) if module else [*gymnasium.registry])
        raise ConfigError(f"no environment {env_id!r} is known; expected a Gymnasium id or module:Class.{near}")
    settings = {key: value for key, value in kwargs.items() if key != "max_episode_steps"}
    env: gymnasium.Env[Any, Any] = _build(env_id, lambda: env_class(**settings), settings, env_class)
    limit: Any = kwargs.get("max_episode_steps")
    return env if limit is None else _build(env_id, lambda: gymnasium.wrappers.TimeLimit(env, limit), kwargs)


def _import(env_id: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except _FAULTS as error:
        raise ConfigError(
            f"{env_id!r}: cannot import {module_name!r}: {_said(error)}; it must be installed or in the current "
            "directory, and import without an error"
        ) from error


def _build(
    env_id: str,
    build: Callable[[], gymnasium.Env[Any, Any]],
    kwargs: Mapping[str, Any],
    creator: Callable[..., Any] | None = None,
) -> gymnasium.Env[Any, Any]:
    """What `build` builds; its refusals become a `ConfigError`, of a wrong setting with the nearest right one."""
    try:
        return build()
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None or unknown[1] not in kwargs:
            raise _not_made(env_id, kwargs, error) from error
        known = [*signature(creator or _registered_creator(env_id)).parameters, "max_episode_steps"]
        raise ConfigError(f"{env_id} has no setting {unknown[1]!r}.{did_you_mean(unknown[1], known)}") from error
    except _FAULTS as error:
        raise _not_made(env_id, kwargs, error) from error


def _not_made(env_id: str, kwargs: Mapping[str, Any], error: BaseException) -> ConfigError:
    settings = f" with {', '.join(f'{name}={value}' for name, value in kwargs.items())}" if kwargs else ""
    return ConfigError(f"{env_id} cannot be made{settings}: {_said(error)}; mend the environment, or env.kwargs")


def _registered_creator(env_id: str) -> Callable[..., Any]:
    entry_point = gymnasium.registry[env_id.rpartition(":")[2]].entry_point
    return load_env_creator(entry_point) if isinstance(entry_point, str) else cast("Callable[..., Any]", entry_point)


class FlatEnv(gymnasium.Env[np.ndarray, Any]):
    """One environment held to its own spaces; flat float32 observations, actions that count from 0.

    Of its infos the costs are kept, as `cost` [C], and `action_mask` [K]: nothing here reads the others, and Gymnasium
    can batch only those that are alike at every step.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, config: EnvConfig, index: int):
        self._env, self._env_id, self._index, self._check_bounds = env, config.id, index, config.check_bounds
        self._cost_names = config.costs
        self._num_steps = 0
        self.metadata, self.render_mode = env.metadata, env.render_mode
        self.observation_space = flat_observation_space(config.id, env.observation_space)
        self.action_space = flat_action_space(config.id, env.action_space)
        self._num_choices = num_choices(self.action_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Info]:
        """Begin an episode; the observation must lie within its space."""
        if seed is not None:
            self._num_steps = 0
        try:
            observation, info = self._env.reset(seed=seed, options=options)
        except _FAULTS as error:
            raise self._broken(f"reset raised {_said(error)}") from error
        return self._flat(observation), self._mask(info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Take one step; shapes, dtypes and kinds of what comes back are checked."""
        self._num_steps += 1
        try:
            result = self._env.step(own_action(self._env.action_space, action))
            observation, reward, terminated, truncated, info = result
        except _FAULTS as error:
            raise self._broken(f"step raised {_said(error)}") from error
        number = reward_of(reward, self._broken)
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            check_flag(name, flag, self._broken)
        costs: Info = {"cost": self._costs(info)} if self._cost_names else {}
        return self._flat(observation), float(number), bool(terminated), bool(truncated), costs | self._mask(info)

    def _costs(self, info: Any) -> np.ndarray:
        """[C] what the step cost, in the order of the names."""
        return costs_of(info, self._cost_names, self._broken)

    def render(self) -> Any:
        """The environment's own picture."""
        return self._env.render()

    def close(self) -> None:
        """Close the environment."""
        try:
            self._env.close()
        except _FAULTS as error:
            raise self._broken(f"close raised {_said(error)}") from error

    def _mask(self, info: Any) -> Info:
        """What the environment says of the choices that there are, in Gymnasium's form; nothing where it does not."""
        given = info.get("action_mask") if isinstance(info, Mapping) else None
        parts = given if isinstance(given, tuple) else (given,)
        arrays = [part for part in parts if isinstance(part, np.ndarray) and part.dtype.kind in "biu"]
        if not self._num_choices or len(arrays) < len(parts) or not arrays:
            return {}
        mask = np.concatenate([array.ravel() for array in arrays]).astype(bool)
        return {"action_mask": mask} if len(mask) == self._num_choices else {}

    def _flat(self, observation: Any) -> np.ndarray:
        problem = mismatch(self._env.observation_space, observation, bounds=self._check_bounds)
        if problem:
            raise self._broken(problem)
        return flat_observation(self._env.observation_space, observation)

    def _broken(self, problem: str) -> WorldError:
        return WorldError(f"{self._env_id}: environment {self._index} at step {self._num_steps}: {problem}")


@contextmanager
def _no_second_report() -> Iterator[None]:
    """Keep Gymnasium's log from printing a worker's traceback: the same error is raised here, with its message."""
    level = logger.min_level
    logger.min_level = logger.ERROR + 1
    try:
        yield
    finally:
        logger.min_level = level


class GymnasiumWorld(World):
    """Copies of a Gymnasium environment behind the interface of a `World`.

    Their state cannot be saved, so `exact_state` is False: whoever saves a run resets them with a seed at that moment,
    in the uninterrupted run too, and a resumed run then goes on bit for bit (docs/adr/0004-foreign-worlds.md).
    """

    exact_state = False

    def __init__(self, config: EnvConfig):
        factories = [EnvFactory(config=config, index=index) for index in range(config.num_envs)]
        vector = AsyncVectorEnv if config.vectorization == "async" else SyncVectorEnv
        try:
            self._inner: VectorEnv[Any, Any, Any] = vector(factories, autoreset_mode=AutoresetMode.SAME_STEP)
        except HeelerError:
            raise
        except (EOFError, ConnectionError) as error:
            raise ConfigError(f"{config.id} cannot be made: a copy's process ended; it has said above why") from error
        except _FAULTS as error:
            raise _not_made(config.id, config.kwargs, error) from error
        self.env_id, self.num_envs, self.cost_names = config.id, config.num_envs, config.costs
        self.metadata, self.render_mode = self._inner.metadata, self._inner.render_mode
        self.single_observation_space = self._inner.single_observation_space
        self.single_action_space = self._inner.single_action_space
        self.observation_space, self.action_space = self._inner.observation_space, self._inner.action_space
        self._pending_seed: int | None = None
        self._num_steps = 0
        self._mask: np.ndarray | None = None
        self._is_broken = False

    def seed(self, seed: int) -> None:
        """Have the next `reset()` seed every copy, each with its own seed derived from `seed`."""
        self._pending_seed = seed

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Begin a new episode in every copy; `options` go to each as they are."""
        seed = self._pending_seed if seed is None else seed
        self._pending_seed = None
        own_seeds = None if seed is None else np.random.SeedSequence(seed).generate_state(self.num_envs).tolist()
        with self._faults_named():
            observation, infos = self._inner.reset(seed=own_seeds, options=options)
        self._num_steps = 0
        self._keep_mask(infos)
        check_finite(observation, np.zeros(self.num_envs), env_id=self.env_id, step=0)
        return observation, infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Advance every copy, as `BatchedWorld.step` does.

        Raises:
            WorldError: a copy raised, broke its own spaces, or gave NaN or infinite numbers.
        """
        self._num_steps += 1
        with self._faults_named():
            observation, reward, terminated, truncated, infos = self._inner.step(actions)
        self._keep_mask(infos)
        reached, ended = observation, infos.get("_final_obs")
        if ended is not None:
            reached = observation.copy()
            reached[ended] = np.stack(infos["final_obs"][ended])
            infos["final_obs"] = reached
            check_finite(observation, reward, env_id=self.env_id, step=self._num_steps)
        check_finite(reached, reward, env_id=self.env_id, step=self._num_steps)
        if self.cost_names:
            infos["cost"] = self._batched_cost(infos, ended)
        return observation, reward, terminated, truncated, infos

    def _batched_cost(self, infos: Info, ended: np.ndarray | None) -> np.ndarray:
        """[N, C]: where an episode ended, what its last step cost stands among its final infos."""
        cost = infos.get("cost", np.zeros((self.num_envs, len(self.cost_names))))
        if ended is not None:
            cost[ended] = infos["final_info"]["cost"][ended]
        return cost

    def _keep_mask(self, infos: Info) -> None:
        given = infos.get("_action_mask")
        self._mask = infos["action_mask"] if given is not None and given.all() else None

    def action_mask(self) -> np.ndarray | None:
        """[N, K] bool of the last step or reset; None where not every copy gave one that fits its actions."""
        return self._mask

    def snapshot(self) -> None:
        """None: only the environment itself can draw its state; see `render`."""

    def render(self) -> tuple[Any, ...] | None:
        """One picture [H, W, 3] uint8 a copy where `render_mode` is `rgb_array`, else None."""
        return self._inner.render() if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Close every copy.

        Raises:
            WorldError: a copy raised. Where something else went wrong before, that is what there is to tell.
        """
        try:
            with _no_second_report():
                self._inner.close(**kwargs)
        except (EOFError, ConnectionError):
            self._end_processes()  # one that is dead needs no closing
        except WorldError:
            self._inner.closed = True
            if not self._is_broken:
                raise

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        """What goes wrong between the copies and here, such as a process that dies, becomes a `WorldError`."""
        try:
            with _no_second_report():
                yield
        except WorldError:
            self._is_broken = True
            raise
        except Exception as error:
            self._is_broken = True
            who, problem = self._dead_process() or ("Gymnasium", f"raised {_said(error)}")
            # Answers that nobody has taken are still in the pipes, and Gymnasium would wait for others when it closes.
            self._end_processes()
            raise WorldError(f"{self.env_id}: {who} at step {self._num_steps}: {problem}") from error

    def _dead_process(self) -> tuple[str, str] | None:
        """Which copy's process has ended, and how; None where none has."""
        sentinels = [process.sentinel for process in self._processes]
        ended = wait(sentinels, timeout=1.0) if sentinels else []
        if not ended:
            return None
        index = sentinels.index(cast("int", ended[0]))
        self._processes[index].join()
        return f"environment {index}", f"its process ended with exit code {self._processes[index].exitcode}"

    def _end_processes(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._inner.closed = True

    @property
    def _processes(self) -> list[Process]:
        return self._inner.processes if isinstance(self._inner, AsyncVectorEnv) else []
