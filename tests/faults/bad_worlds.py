"""Worlds that are sound until one copy of them breaks in the midst of a run."""

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from heeler.envs.classic import Pendulum

UNLUCKY = 0.8
"""A copy whose luck, drawn at each reset and shown in its observation, is above this breaks."""


class Breaking(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observation: (steps, luck). Breaks at step `when` of an unlucky episode; `mended` makes every copy sound."""

    mended = False

    def __init__(self, *, fault: str = "none", when: int = 21, length: int = 30):
        self.observation_space = Box(-1.0, 1000.0, (2,), np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.fault, self.when, self.length = fault, when, length
        self.steps, self.luck, self.episodes = 0, 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin with new luck; the fault `second reset` shows here."""
        super().reset(seed=seed)
        self.steps, self.luck = 0, float(self.np_random.uniform())
        self.episodes += 1
        if self.fault == "second reset" and self.episodes > 1 and not Breaking.mended:
            raise OSError("the motor does not answer")
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Count; the reward is the action."""
        self.steps += 1
        observation, reward = self._observation(), float(action[0])
        if self.steps == self.when and self.luck > UNLUCKY and not Breaking.mended:
            if self.fault == "raises":
                raise ZeroDivisionError("division by zero")
            if self.fault == "exits":
                raise SystemExit(0)
            if self.fault == "dies":
                os._exit(7)
            observation, reward = self._broken(observation, reward)
        return observation, reward, False, self.steps >= self.length, {}

    def _observation(self) -> np.ndarray:
        return np.array([self.steps, self.luck], np.float32)

    def _broken(self, observation: np.ndarray, reward: float) -> tuple[Any, float]:
        nan, infinite = np.full(2, np.nan, np.float32), np.array([np.inf, 0], np.float32)
        observations = {"nan": nan, "infinite": infinite, "shape": np.zeros(3, np.float32)}
        rewards = {"nan reward": np.nan, "infinite reward": -np.inf}
        return observations.get(self.fault, observation), rewards.get(self.fault, reward)


class BreakingPendulum(Pendulum):
    """A batched world of which copy 3 breaks at step 50."""

    mended = False

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reward, terminated = super()._advance(actions, observation)
        if self._num_steps == 49 and not BreakingPendulum.mended:
            observation[3, 1] = np.nan
        return reward, terminated
