"""Worlds in which it is known what is safe, and policies that propose what they are told."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space

from heeler.envs.world import BatchedWorld, Info
from heeler.models.policy import Policy, PolicyConfig

WALL, TOP_SPEED = 6, 3
"""A rail is free between -WALL and WALL, and nothing on it is faster than TOP_SPEED."""


class Rail(BatchedWorld):
    """A body with momentum between two walls: being at one costs 1 a step, and nothing stops it there.

    Discrete: position and speed are whole numbers, actions 0, 1, 2 push by -1, 0, 1. Box: by up to 1 either way.
    With `noise`, each push is off by a whole number within it.
    """

    cost_names = ("wall",)

    def __init__(self, num_envs: int, *, discrete: bool = True, noise: int = 0, max_episode_steps: int = 10**6) -> None:
        space: Space[Any] = Discrete(3) if discrete else Box(-1.0, 1.0, (1,), np.float32)
        super().__init__(
            "Rail",
            num_envs,
            observation_space=Box(-100.0, 100.0, (2,), np.float32),
            action_space=space,
            max_episode_steps=max_episode_steps,
        )
        self.discrete, self.noise = discrete, noise
        self.place, self.speed = np.zeros(num_envs), np.zeros(num_envs)
        self.cost = np.zeros((num_envs, 1))

    def put(self, place: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """Every environment into a state; returns observations."""
        self.place[:], self.speed[:] = place, speed
        return self._seen()

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        push = actions - 1.0 if self.discrete else actions[:, 0].astype(np.float64)
        if self.noise:
            push = push + self.np_random.integers(-self.noise, self.noise + 1, self.num_envs)
        self.speed[:] = np.clip(self.speed + push, -TOP_SPEED, TOP_SPEED)
        self.place += self.speed
        self.cost[:, 0] = np.abs(self.place) >= WALL
        observation[:] = self._seen()
        return self.speed.copy(), np.zeros(self.num_envs, bool)

    def _seen(self) -> np.ndarray:
        return np.stack([self.place, self.speed], 1).astype(np.float32)

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self.place[rows], self.speed[rows] = self.np_random.integers(-3, 4, len(rows)), 0.0
        observation[rows] = self._seen()[rows]

    def _infos(self) -> Info:
        return {"cost": self.cost.copy()}

    def _save(self) -> dict[str, np.ndarray]:
        # Environments on the second axis of one array and the first of another, as worlds do.
        return {"motion": np.stack([self.place, self.speed]), "cost": self.cost.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.place[:], self.speed[:] = state["motion"]
        self.cost[:] = state["cost"]


def brake(observation: np.ndarray) -> np.ndarray:
    """[B, 1] the discrete push against the speed."""
    return 1 - np.sign(observation[:, 1:]).astype(np.int64)


def brake_by_force(observation: np.ndarray) -> np.ndarray:
    """[B, 1] the push that stops it, or as much of it as there is."""
    return np.clip(-observation[:, 1:], -1.0, 1.0)


class Doors(BatchedWorld):
    """Shows which doors there are, 1 for each; pays the number of the one that is taken, and costs it in wear."""

    cost_names = ("wear",)

    def __init__(self, num_envs: int, num_doors: int = 4, max_episode_steps: int = 10) -> None:
        super().__init__(
            "Doors",
            num_envs,
            observation_space=Box(0.0, 1.0, (num_doors,), np.float32),
            action_space=Discrete(num_doors),
            max_episode_steps=max_episode_steps,
        )
        self.doors = np.ones((num_envs, num_doors), bool)
        self.taken = np.zeros(num_envs)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.taken[:] = actions
        self._open(np.arange(self.num_envs))
        observation[:] = self.doors
        return self.taken.copy(), np.zeros(self.num_envs, bool)

    def _open(self, rows: np.ndarray) -> None:
        self.doors[rows] = self.np_random.random((len(rows), self.doors.shape[1])) < 0.5
        self.doors[rows, self.np_random.integers(self.doors.shape[1], size=len(rows))] = True

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self._open(rows)
        observation[rows] = self.doors[rows]

    def _infos(self) -> Info:
        return {"cost": self.taken[:, None].copy(), "action_mask": self.doors.copy()}

    def _save(self) -> dict[str, np.ndarray]:
        return {"doors": self.doors.copy(), "taken": self.taken.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.doors[:], self.taken[:] = state["doors"], state["taken"]


def proposing(world: BatchedWorld, outputs: list[float], *, slopes: np.ndarray | None = None) -> Policy:
    """A policy whose network gives these outputs in every state, or adds observations times `slopes` [L, O]."""
    policy = Policy(
        PolicyConfig(hidden_sizes=(1,), normalize_observations=False), world.observation_size, world.single_action_space
    )

    class Told(torch.nn.Module):
        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            own = torch.tensor(outputs).expand(*seen.shape[:-1], len(outputs))
            return own if slopes is None else own + seen @ torch.from_numpy(np.float32(slopes)).T

    policy.actor = Told()  # type: ignore[assignment]
    return policy
