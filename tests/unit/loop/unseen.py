"""Worlds that cannot be drawn, or whose reward or render() breaks."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete


class Unseen(gymnasium.Env[Any, Any]):
    """Ten steps of noise; the observation has two parts, actions count from 2."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self) -> None:
        self.observation_space = Dict(place=Box(-1.0, 1.0, (2,), np.float32), kind=Discrete(3))
        self.action_space = Discrete(3, start=2)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin anew."""
        super().reset(seed=seed)
        self.steps = 0
        return self.look(), {}

    def look(self) -> dict[str, Any]:
        """Noise and a kind."""
        return {"place": self.np_random.uniform(-1, 1, 2).astype(np.float32), "kind": int(self.np_random.integers(3))}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pays the action."""
        assert self.action_space.contains(action)
        self.steps += 1
        return self.look(), float(action), False, self.steps >= 10, {}


class Poisoned(Unseen):
    """Its reward breaks down in the tenth episode."""

    nonsense = float("nan")

    def __init__(self) -> None:
        super().__init__()
        self.episodes = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin anew."""
        self.episodes += 1
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pays the action, and then nonsense."""
        look, reward, terminated, truncated, info = super().step(action)
        return look, self.nonsense if self.episodes == 10 else reward, terminated, truncated, info


class Torn(Unseen):
    """Says that it can be drawn, and cannot."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        """Breaks."""
        raise OSError("no display here")


class Leaving(Torn):
    """Would rather end the program than be drawn."""

    def render(self) -> Any:
        """Exits as if all were well."""
        raise SystemExit(0)


class Overpaid(Poisoned):
    """Pays more in its tenth episode than a sum of rewards can hold."""

    nonsense = 1e38
