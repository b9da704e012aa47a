"""Small Gymnasium environments, sound and broken, for the tests of the adapter."""

import multiprocessing
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple


class Counter(gymnasium.Env[Any, Any]):
    """Gives the number of steps since reset; terminates at `length`, and draws itself as one grey level."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (declared so by gymnasium.Env)

    def __init__(self, *, length: int = 3, render_mode: str | None = None):
        self.observation_space: gymnasium.Space[Any] = Box(-1.0, 100.0, (2,), np.float32)
        self.action_space: gymnasium.Space[Any] = Discrete(2, start=5)
        self.length, self.render_mode = length, render_mode
        self.steps, self.noise, self.actions = 0, 0.0, []

    def observe(self) -> Any:
        """What `reset` and `step` give."""
        return np.array([self.steps, self.noise], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin at 0 with a random number for the whole episode."""
        super().reset(seed=seed)
        self.steps, self.noise = 0, float(self.np_random.uniform())
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Count; the reward is the action."""
        assert self.action_space.contains(action), action
        self.steps += 1
        self.actions.append(action)
        return self.observe(), float(np.sum(action)), self.steps >= self.length, False, {"steps": self.steps}

    def render(self) -> np.ndarray:
        """A picture whose grey level is the step."""
        return np.full((4, 4, 3), self.steps, np.uint8)


class Costly(Counter):
    """Costs its step's number in heat, and in wear what it is told; `wear` may be anything."""

    def __init__(self, *, wear: Any = 0.5, nested: bool = True, **settings: Any):
        super().__init__(**settings)
        self.wear, self.nested = wear, nested

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As `Counter`, with costs."""
        observation, reward, terminated, truncated, _ = super().step(action)
        wear = float(self.wear) if isinstance(self.wear, str) else self.wear
        costs = {"heat": self.steps, "wear": wear}
        return observation, reward, terminated, truncated, {"cost": costs} if self.nested else costs


class Telling(Counter):
    """Tells `first` in its first step's infos and `then` in the others'; tests put there what they like."""

    def __init__(self, *, first: Any = None, then: Any = None):
        super().__init__(length=50)
        self.first = {"cost": 1.0} if first is None else first
        self.then = then

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """As `Counter`, with these infos."""
        *result, _ = super().step(action)
        observation, reward, terminated, truncated = result
        return observation, reward, terminated, truncated, self.first if self.steps == 1 else self.then


class Mixture(Counter):
    """Every kind of observation at once, and many-part discrete actions."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.observation_space = Dict(
            picture=Box(0, 255, (2, 2), np.uint8),
            kind=Discrete(3, start=1),
            pair=Tuple((MultiDiscrete([2, 3]), MultiBinary(2))),
        )
        self.action_space = MultiDiscrete([[2, 3], [4, 5]])

    def observe(self) -> Any:
        """All white, kind 2, the last of each choice."""
        return {
            "picture": np.full((2, 2), 255, np.uint8),
            "kind": np.int64(2),
            "pair": (np.array([1, 2]), np.array([0, 1], np.int8)),
        }


class GridActions(Counter):
    """Continuous actions in a 2 by 2 grid of float64."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.action_space = Box(-1.0, 1.0, (2, 2), np.float64)


class Masked(Counter):
    """Says after each step and reset which of its three choices there are: not the one that the steps come to."""

    def __init__(self, *, says: str = "always", **settings: Any):
        super().__init__(**settings)
        self.action_space = Discrete(3)
        self.says = says

    def _mask(self) -> dict[str, Any]:
        if self.says == "always" or (self.says == "at first" and not self.steps):
            return {"action_mask": (np.arange(3) != self.steps % 3).astype(np.int8)}
        return {"action_mask": "none"} if self.says == "words" else {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As `Counter`, with its mask."""
        observation, _ = super().reset(seed=seed, options=options)
        return observation, self._mask()

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As `Counter`, with its mask."""
        observation, reward, terminated, truncated, _ = super().step(action)
        return observation, reward, terminated, truncated, self._mask()


class Broken(Counter):
    """Sound until step `when` (0 is the reset), where `fault` shows."""

    def __init__(self, *, fault: str, when: int = 1, closes: bool = True, **settings: Any):
        super().__init__(length=50, **settings)
        self.fault, self.when, self.closes = fault, when, closes

    def observe(self) -> Any:
        """A sound observation, or the fault."""
        sound = super().observe()
        if self.steps != self.when:
            return sound
        faults: dict[str, Any] = {
            "shape": np.zeros(3, np.float32),
            "dtype": np.zeros(2, np.complex64),
            "list": [0.0, 0.0],
            "bounds": np.array([0.0, 101.0], np.float32),
            "nan": np.array([0.0, np.nan], np.float32),
            "infinite": np.array([np.inf, 0.0], np.float32),
        }
        return faults.get(self.fault, sound)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """A sound step, or the fault."""
        observation, reward, terminated, truncated, info = super().step(action)
        if self.steps == self.when:
            if self.fault == "raises":
                raise ZeroDivisionError("100 % of nothing")
            reward = {"nan reward": np.nan, "array reward": np.ones(1), "no reward": None}.get(self.fault, reward)
            terminated = None if self.fault == "no flag" else terminated
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Nothing to close, unless it cannot be."""
        if not self.closes:
            raise OSError("the door is stuck")


class Words(Counter):
    """Observations that have no flat form."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.observation_space = Dict(words=Text(5))


class BinaryActions(Counter):
    """Actions of a kind that no policy here gives."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.action_space = MultiBinary(3)


class FailsToBuild(Counter):
    """Has a mistake of its own in its constructor."""

    def __init__(self, how: str):
        if how == "setting":
            super().__init__(unknown=1)  # type: ignore[call-arg]  (the mistake)
        elif how == "value":
            raise ValueError("no such level")
        elif how == "file":
            raise FileNotFoundError(2, "No such file or directory", "level.xml")
        elif how == "exit":
            raise SystemExit(0)
        # What is left has no spaces.


class Talkative(Counter):
    """Tells something of another size at each step, and nothing at all at a reset."""

    def reset(self, **_: Any) -> Any:
        """No info, not even an empty one."""
        return super().reset()[0], None

    def step(self, action: Any) -> Any:
        """An info array that grows."""
        *result, _ = super().step(action)
        return *result, {"trail": np.zeros(self.steps + int(action))}


class OnlyInMain(Counter):
    """Can be made in the main process alone."""

    def __init__(self) -> None:
        if multiprocessing.parent_process() is not None:
            raise RuntimeError("no place for me")
        super().__init__()


class Runner(gymnasium.Env[Any, Any]):
    """Runs as fast as it is told, from 0 to 1, and is paid for it; above .5 a step costs 1 in `speeding`."""

    def __init__(self, *, length: int = 20):
        self.observation_space: gymnasium.Space[Any] = Box(0.0, 1.0, (2,), np.float32)
        self.action_space: gymnasium.Space[Any] = Box(0.0, 1.0, (1,), np.float32)
        self.length, self.steps, self.speed = length, 0, 0.0

    def observe(self) -> np.ndarray:
        """Speed, and how much of the episode is over."""
        return np.array([self.speed, self.steps / self.length], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Stand still."""
        super().reset(seed=seed)
        self.steps, self.speed = 0, 0.0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Run."""
        self.steps, self.speed = self.steps + 1, float(action[0])
        costs = {"cost": {"speeding": float(self.speed > 0.5)}}
        return self.observe(), self.speed, False, self.steps >= self.length, costs
