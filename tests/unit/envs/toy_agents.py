"""Small worlds of several agents that follow PettingZoo's `ParallelEnv`, sound and broken."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete


class Meeting:
    """Three agents; each sees the step, its own number and the meeting's random number, and is paid its action.

    Costs of an agent are its number, as heat. All end at `length`; `early` names one that leaves before.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        *,
        length: int = 3,
        early: str = "",
        early_at: int = 2,
        cut: bool = False,
        fault: str = "",
        numbered: bool = False,
        render_mode: str | None = None,
    ):
        self.possible_agents: list[Any] = [0, 1, 2] if numbered else ["ann", "bob", "cid"]
        self.agents: list[Any] = []
        self.length, self.early, self.early_at, self.cut, self.fault = length, early, early_at, cut, fault
        self.render_mode = render_mode
        self.spaces = {name: Discrete(4, start=2 if name == "cid" else 0) for name in self.possible_agents}
        if fault != "starts differ":
            self.spaces["cid"] = Discrete(4)
        self.seen_spaces = {
            name: Box(-1.0, 100.0, (2 if (name, fault) == ("cid", "spaces differ") else 3,), np.float32)
            for name in self.possible_agents
        }
        self.rng = np.random.default_rng()
        self.steps, self.topic, self.log = 0, 0.0, []

    def observation_space(self, agent: str) -> Any:
        """Alike for all, unless that is the fault; always the same object, as PettingZoo asks for."""
        return self.seen_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """Four choices, likewise."""
        return self.spaces[agent]

    def observe(self) -> dict[str, Any]:
        """What each present agent sees."""
        seen = {
            name: np.array([self.steps, self.possible_agents.index(name), self.topic], np.float32)
            for name in self.agents
        }
        if self.steps == 1 and self.fault == "unseen":
            del seen["bob"]
        if self.steps == 1 and self.fault == "nan":
            seen["bob"][2] = np.nan
        if self.steps == 1 and self.fault == "shape":
            seen["bob"] = np.zeros(5, np.float32)
        return seen

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """All are there again."""
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents, self.steps, self.topic = list(self.possible_agents), 0, float(self.rng.uniform())
        return self.observe(), {name: {} for name in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """One step of all that are there."""
        assert set(actions) == set(self.agents), actions
        assert all(self.action_space(name).contains(action) for name, action in actions.items()), actions
        self.steps += 1
        self.log.append(dict(actions))
        if self.fault == "raises":
            raise ZeroDivisionError("nobody came")
        there = list(self.agents)
        seen, over = self.observe(), self.steps >= self.length
        reward: dict[str, Any] = {name: float(actions[name]) for name in there}
        if self.fault == "reward":
            reward["bob"] = np.ones(2)
        leaves = {name: over or (name == self.early and self.steps >= self.early_at) for name in there}
        ends = {name: leaves[name] and not self.cut for name in there}
        cuts = {name: leaves[name] and self.cut for name in there}
        infos: dict[str, Any] = {name: {"cost": {"heat": self.possible_agents.index(name)}} for name in there}
        if self.fault == "cost":
            del infos["bob"]["cost"]
        self.agents = [name for name in there if not leaves[name]]
        return seen, reward, ends, cuts, infos

    def render(self) -> np.ndarray:
        """A picture whose grey level is the step."""
        return np.full((4, 4, 3), self.steps, np.uint8)

    def close(self) -> None:
        """Nothing to close, unless it cannot be."""
        if self.fault == "stuck":
            raise OSError("the door is stuck")


class NoMeeting:
    """Follows no protocol."""


def always_three(agent: str, observation: np.ndarray, generator: np.random.Generator) -> int:
    """The last choice."""
    return 3


def by_step(agent: str, observation: np.ndarray, generator: np.random.Generator) -> int:
    """What the agent sees decides, and its name."""
    assert observation[1] == ["ann", "bob", "cid"].index(agent)
    return int(observation[0]) % 4


def by_chance(agent: str, observation: np.ndarray, generator: np.random.Generator) -> int:
    """Drawn from the generator that it is given."""
    return int(generator.integers(4))


def out_of_range(agent: str, observation: np.ndarray, generator: np.random.Generator) -> int:
    """No choice that there is."""
    return 9


def breaks(agent: str, observation: np.ndarray, generator: np.random.Generator) -> int:
    """Has a mistake."""
    raise KeyError(agent)
