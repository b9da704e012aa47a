"""One copy of a world of several agents, a `ParallelEnv` of PettingZoo's, held to its protocol and its spaces.

PettingZoo itself is not needed: whatever follows the protocol will do. Shapes: G agents that learn, O observation
numbers, C costs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space

from heeler.core.errors import ConfigError, WorldError, did_you_mean
from heeler.core.functions import load_function
from heeler.envs.config import AgentsConfig, EnvConfig
from heeler.envs.foreign import FAULTS, check_flag, costs_of, reward_of, said
from heeler.envs.spaces import flat_observation, mismatch, own_action
from heeler.envs.world import Info

Act = Callable[[Any], Any]
"""From an observation to an action, both in the agent's own spaces."""
_NEEDED = ("possible_agents", "observation_space", "action_space", "reset", "step")


@dataclass(frozen=True, kw_only=True, eq=False)
class CopyStep:
    """What one step of a copy gave the agents that learn."""

    observation: np.ndarray
    """[G, O]."""
    reward: np.ndarray
    """[G]."""
    terminated: np.ndarray
    """[G] booleans."""
    truncated: np.ndarray
    """[G] booleans: also of those whose episode ends because another's does."""
    cost: np.ndarray
    """[G, C]."""


class AgentsCopy:
    """One copy of the world: its learning agents act from outside, the others by functions of their own.

    Args:
        config: names the world.
        agents: who learns.
        index: which copy, for messages.

    Raises:
        ConfigError: it cannot be made, follows another protocol, or has other agents than the settings say.
    """

    def __init__(self, config: EnvConfig, agents: AgentsConfig, index: int):
        self._config, self._index = config, index
        self.env = _build(config)
        # Settings name agents in words; the world's own names may be numbers.
        known = {str(agent): agent for agent in self.env.possible_agents}
        _check_agents(config.id, agents, tuple(known))
        self.learning = tuple(known[name] for name in agents.learning) or tuple(known.values())
        self._others = {known[name]: self._act_of(known[name], how) for name, how in agents.others.items()}
        self._seen: Mapping[Any, Any] = {}
        self._num_steps = 0
        self._generator = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> np.ndarray:
        """[G, O]: first observations of an episode; with a seed, the others' random streams begin anew too."""
        if seed is not None:
            self._num_steps = 0
            self._generator = np.random.default_rng(seed)
            for name in self._others:
                self.env.action_space(name).seed(int(self._generator.integers(2**31)))
        try:
            self._seen, _ = self.env.reset(seed=seed, options=options)
        except FAULTS as error:
            raise self._broken(f"reset raised {said(error)}") from error
        return self._observations()

    def step(self, actions: np.ndarray) -> CopyStep:
        """One step; `actions` [G, ...] are of the learning agents, in their order."""
        self._num_steps += 1
        given = {
            name: own_action(self.env.action_space(name), action)
            for name, action in zip(self.learning, actions, strict=True)
        }
        given |= {name: act(self._seen[name]) for name, act in self._others.items() if name in self._seen}
        try:
            self._seen, reward, terminated, truncated, infos = self.env.step(given)
            there = set(self.env.agents)
        except FAULTS as error:
            raise self._broken(f"step raised {said(error)}") from error
        observation = self._observations()
        rewards = np.array([reward_of(self._of(reward, name, "reward"), self._breaks(name)) for name in self.learning])
        ends = self._flags("terminated", terminated)
        over = (ends | self._flags("truncated", truncated)).any()
        # Whoever has left is not asked for an action any more.
        self._seen = {name: seen for name, seen in self._seen.items() if name in there}
        return CopyStep(
            observation=observation,
            reward=rewards,
            terminated=ends,
            truncated=~ends & over,
            cost=self._costs(infos),
        )

    def close(self) -> None:
        """Close it."""
        try:
            self.env.close()
        except FAULTS as error:
            raise self._broken(f"close raised {said(error)}") from error

    def _act_of(self, name: Any, how: str) -> Act:
        if how == "random":
            return lambda _: self.env.action_space(name).sample()
        function = load_function(how)

        def act(observation: Any) -> Any:
            try:
                action = function(name, observation, self._generator)
            except FAULTS as error:
                raise self._broken(f"agent {name!r}: {how} raised {said(error)}") from error
            space: Space[Any] = self.env.action_space(name)
            if not space.contains(action):
                raise self._broken(f"agent {name!r}: {how} should give an action in {space}, got {action!r}")
            return action

        return act

    def _observations(self) -> np.ndarray:
        rows = []
        for name in self.learning:
            space, seen = self.env.observation_space(name), self._of(self._seen, name, "observation")
            problem = mismatch(space, seen, bounds=self._config.check_bounds)
            if problem:
                raise self._breaks(name)(problem)
            rows.append(flat_observation(space, seen))
        return np.stack(rows)

    def _flags(self, what: str, given: Any) -> np.ndarray:
        flags = [self._of(given, name, what) for name in self.learning]
        for name, flag in zip(self.learning, flags, strict=True):
            check_flag(what, flag, self._breaks(name))
        return np.array(flags, bool)

    def _costs(self, infos: Any) -> np.ndarray:
        names = self._config.costs
        if not names:
            return np.zeros((len(self.learning), 0))
        return np.stack([costs_of(self._of(infos, name, "infos"), names, self._breaks(name)) for name in self.learning])

    def _of(self, given: Any, name: Any, what: str) -> Any:
        if not isinstance(given, Mapping) or name not in given:
            there = ", ".join(map(str, given)) if isinstance(given, Mapping) and given else "nothing"
            raise self._breaks(name)(f"it was given no {what}; there is {there}")
        return given[name]

    def _breaks(self, name: Any) -> Callable[[str], WorldError]:
        return lambda problem: self._broken(f"agent {name!r}: {problem}")

    def _broken(self, problem: str) -> WorldError:
        return WorldError(f"{self._config.id}: environment {self._index} at step {self._num_steps}: {problem}")


def _build(config: EnvConfig) -> Any:
    """What `module:NAME` makes, held to the protocol."""
    make_env = load_function(config.id)
    try:
        env = make_env(**config.kwargs)
    except FAULTS as error:
        raise ConfigError(f"{config.id} cannot be made: {said(error)}; mend the environment, or env.kwargs") from error
    missing = [name for name in _NEEDED if not hasattr(env, name)]
    if missing:
        raise ConfigError(
            f"{config.id} is no ParallelEnv: it has no {', '.join(missing)}. Name what makes one, such as "
            "module:parallel_env, or leave env.agents out where there is one agent"
        )
    return env


def _check_agents(env_id: str, agents: AgentsConfig, known: Sequence[str]) -> None:
    if not known:
        raise ConfigError(f"{env_id} has no possible_agents")
    for name in (*agents.learning, *agents.others):
        if name not in known:
            raise ConfigError(f"{env_id} has no agent {name!r}; it has {', '.join(known)}.{did_you_mean(name, known)}")
    if agents.learning:
        left = [name for name in known if name not in agents.learning and name not in agents.others]
        if left:
            raise ConfigError(
                f"{env_id}: who acts for agent {left[0]!r}? Say so in env.agents.others, `random` or a function, or "
                "add it to env.agents.learning"
            )
