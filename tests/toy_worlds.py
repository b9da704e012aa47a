"""Worlds small enough to know everything about."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from heeler.envs.world import BatchedWorld

SPACES: dict[str, Space[Any]] = {
    "discrete": Discrete(3),
    "multi_discrete": MultiDiscrete([2, 3]),
    "box": Box(-1.0, 1.0, (2,), np.float32),
}


class Identity(BatchedWorld):
    """Shows what to do; pays for doing it. The best return of an episode is its length (Box: 0, and less otherwise).

    Args:
        kind: of the action space, a key of `SPACES`.
        num_envs: N.
    """

    def __init__(self, kind: str, num_envs: int, max_episode_steps: int = 10) -> None:
        self.kind = kind
        space = SPACES[kind]
        size = 2 if kind == "box" else 3 if kind == "discrete" else 5
        super().__init__(
            f"Identity-{kind}",
            num_envs,
            observation_space=Box(-1.0, 1.0, (size,), np.float32),
            action_space=space,
            max_episode_steps=max_episode_steps,
        )
        self.shown = np.zeros((num_envs, size), np.float32)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.kind == "box":
            reward = -np.square(actions - self.shown).sum(1).astype(np.float64)
        elif self.kind == "discrete":
            reward = self.shown[np.arange(self.num_envs), actions].astype(np.float64)
        else:
            first, second = self.shown[:, :2], self.shown[:, 2:]
            rows = np.arange(self.num_envs)
            reward = 0.5 * (first[rows, actions[:, 0]] + second[rows, actions[:, 1]]).astype(np.float64)
        self._show(np.arange(self.num_envs))
        observation[:] = self.shown
        return reward, np.zeros(self.num_envs, bool)

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self._show(rows)
        observation[rows] = self.shown[rows]

    def _show(self, rows: np.ndarray) -> None:
        if self.kind == "box":
            self.shown[rows] = self.np_random.uniform(-1, 1, (len(rows), 2))
            return
        widths = [3] if self.kind == "discrete" else [2, 3]
        parts = [np.eye(n, dtype=np.float32)[self.np_random.integers(n, size=len(rows))] for n in widths]
        self.shown[rows] = np.concatenate(parts, 1)

    def snapshot(self) -> np.ndarray:
        return self.shown.copy()

    def _save(self) -> dict[str, np.ndarray]:
        return {"shown": self.shown.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.shown[:] = state["shown"]


class Corridor(BatchedWorld):
    """Counts steps: observation t, reward t, so that every number of a rollout is known.

    Environment n ends after n + 2 steps: by termination where n is even, by truncation where it is odd.
    """

    def __init__(self, num_envs: int) -> None:
        super().__init__(
            "Corridor",
            num_envs,
            observation_space=Box(0.0, 1e6, (1,), np.float32),
            action_space=Discrete(2),
            max_episode_steps=10**6,
        )
        self.place = np.zeros(num_envs)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.place += 1
        observation = self.place[:, None].astype(np.float32)
        ended = self.place >= np.arange(self.num_envs) + 2
        even = np.arange(self.num_envs) % 2 == 0
        infos: dict[str, Any] = {}
        reward = self.place.copy()
        if ended.any():
            infos = {"final_obs": observation.copy(), "_final_obs": ended}
            self.place[ended] = 0
            observation[ended] = 0
        return observation, reward, ended & even, ended & ~even, infos

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self.place[rows] = 0
        observation[rows] = 0

    def snapshot(self) -> np.ndarray:
        return self.place[:, None].astype(np.float32)

    def _save(self) -> dict[str, np.ndarray]:
        return {"place": self.place.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.place[:] = state["place"]


class TwoPlaces(BatchedWorld):
    """Two places, one after the other: choice 0 goes to the other, choice 1 ends the episode in the second place.

    In the first place either choice goes on. An episode is cut after twenty steps.
    """

    def __init__(self, num_envs: int) -> None:
        super().__init__(
            "TwoPlaces",
            num_envs,
            observation_space=Box(0.0, 1.0, (2,), np.float32),
            action_space=Discrete(2),
            max_episode_steps=20,
        )
        self.place = np.zeros(num_envs, np.int64)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = (self.place == 1) & (actions == 1)
        self.place = 1 - self.place
        observation[:] = np.eye(2)[self.place]
        return ends.astype(np.float64), ends

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self.place[rows] = 0
        observation[rows] = np.eye(2)[0]

    def snapshot(self) -> np.ndarray:
        return self.place[:, None].astype(np.float32)

    def _save(self) -> dict[str, np.ndarray]:
        return {"place": self.place.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.place[:] = state["place"]
