"""Classic control in NumPy, one array per state variable over the whole batch; equal to Gymnasium's own tasks."""

import math
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from heeler.core.errors import WorldError
from heeler.envs.world import BatchedWorld


class ClassicWorld(BatchedWorld):
    """Base: the state is one array [V, N], V variables of N environments, and all of it that must be saved."""

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        num_variables: int,
        observation_high: np.ndarray,
        observation_low: np.ndarray | None = None,
        action_space: Space[Any],
        max_episode_steps: int,
        state_dtype: type[np.floating[Any]] = np.float64,
    ):
        high = observation_high.astype(np.float32)
        low = -high if observation_low is None else observation_low.astype(np.float32)
        super().__init__(
            env_id,
            num_envs,
            observation_space=Box(low, high, dtype=np.float32),
            action_space=action_space,
            max_episode_steps=max_episode_steps,
        )
        self._state = np.zeros((num_variables, num_envs), state_dtype)
        self._never = np.zeros(num_envs, bool)
        self._never.flags.writeable = False

    def set_physics(self, state: np.ndarray) -> None:
        """Put every environment into a given state.

        Args:
            state: [N, V] one row for each environment, in the order of Gymnasium's `env.unwrapped.state`.
        """
        self._state[:] = state.T

    def physics(self) -> np.ndarray:
        """A copy of the state, [N, V]."""
        return self._state.T.copy()

    def led_to(self, state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What actions lead to, one from each of [N, V] states: [N, V], and [N] whether the episode ends there."""
        self.set_physics(state)
        observation = np.empty((self.num_envs, self.observation_size), np.float32)
        _, terminated = self._advance(actions, observation)
        return self.physics(), terminated

    def snapshot(self) -> np.ndarray:
        """[N, V] float32: the state itself."""
        return self._state.T.astype(np.float32, order="C")

    def _save(self) -> dict[str, np.ndarray]:
        return {"physics": self._state.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self._state[:] = state["physics"]

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self._state[:, rows] = self._first_states(len(rows))
        observation[rows] = self._view(self._state[:, rows])

    def _first_states(self, count: int) -> np.ndarray:
        """Random first states [V, count]."""
        raise NotImplementedError

    def _view(self, state: np.ndarray) -> np.ndarray:
        """Observations [n, O] of states [V, n]."""
        return state.T

    def _choose(self, table: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """`table[actions]`; an action that is not in the table is refused."""
        try:
            return table.take(actions)
        except (IndexError, TypeError) as error:
            raise WorldError(
                f"{self.env_id}: actions must be whole numbers from 0 to {len(table) - 1}, got {actions!r}"
            ) from error


class CartPole(ClassicWorld):
    """CartPole-v1 (Barto, Sutton & Anderson 1983): keep a pole upright by pushing its cart left or right."""

    metadata = BatchedWorld.metadata | {"render_fps": 50}
    GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
    TOTAL_MASS, POLE_MOMENT = POLE_MASS + CART_MASS, POLE_MASS * HALF_LENGTH
    X_LIMIT, THETA_LIMIT = 2.4, 12 * 2 * math.pi / 360

    def __init__(self, num_envs: int, *, sutton_barto_reward: bool = False, max_episode_steps: int = 500):
        super().__init__(
            "CartPole-v1",
            num_envs,
            num_variables=4,
            observation_high=np.array([self.X_LIMIT * 2, np.inf, self.THETA_LIMIT * 2, np.inf]),
            action_space=Discrete(2),
            max_episode_steps=max_episode_steps,
        )
        self._forces = np.array([-self.FORCE, self.FORCE])
        self._sutton_barto_reward = sutton_barto_reward

    def _first_states(self, count: int) -> np.ndarray:
        return self.np_random.uniform(-0.05, 0.05, (4, count))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, x_dot, theta, theta_dot = self._state
        force = self._choose(self._forces, actions)
        cos, sin = np.cos(theta), np.sin(theta)
        push = (force + self.POLE_MOMENT * np.square(theta_dot) * sin) / self.TOTAL_MASS
        theta_acc = (self.GRAVITY * sin - cos * push) / (
            self.HALF_LENGTH * (4.0 / 3.0 - self.POLE_MASS * np.square(cos) / self.TOTAL_MASS)
        )
        x_acc = push - self.POLE_MOMENT * theta_acc * cos / self.TOTAL_MASS
        x += self.TAU * x_dot
        x_dot += self.TAU * x_acc
        theta += self.TAU * theta_dot
        theta_dot += self.TAU * theta_acc
        np.copyto(observation, self._state.T, casting="same_kind")
        terminated = (np.abs(x) > self.X_LIMIT) | (np.abs(theta) > self.THETA_LIMIT)
        reward = -terminated.astype(np.float64) if self._sutton_barto_reward else np.ones(self.num_envs)
        return reward, terminated


class Pendulum(ClassicWorld):
    """Pendulum-v1: swing a pendulum up with too little torque and hold it there."""

    metadata = BatchedWorld.metadata | {"render_fps": 20}
    MAX_SPEED, MAX_TORQUE, DT = 8.0, 2.0, 0.05

    def __init__(self, num_envs: int, *, g: float = 10.0, max_episode_steps: int = 200):
        super().__init__(
            "Pendulum-v1",
            num_envs,
            num_variables=2,
            observation_high=np.array([1.0, 1.0, self.MAX_SPEED]),
            action_space=Box(-self.MAX_TORQUE, self.MAX_TORQUE, (1,), np.float32),
            max_episode_steps=max_episode_steps,
        )
        self._g = g

    def _first_states(self, count: int) -> np.ndarray:
        return self.np_random.uniform(-1.0, 1.0, (2, count)) * np.array([[math.pi], [1.0]])

    def _view(self, state: np.ndarray) -> np.ndarray:
        return np.stack((np.cos(state[0]), np.sin(state[0]), state[1]), axis=1)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta, theta_dot = self._state
        torque = np.clip(actions[:, 0], -self.MAX_TORQUE, self.MAX_TORQUE)
        wrapped = (theta + math.pi) % (2 * math.pi) - math.pi
        cost = wrapped**2 + 0.1 * theta_dot**2 + 0.001 * torque**2
        theta_dot += (3 * self._g / 2 * np.sin(theta) + 3.0 * torque) * self.DT
        np.clip(theta_dot, -self.MAX_SPEED, self.MAX_SPEED, out=theta_dot)
        theta += theta_dot * self.DT
        observation[:] = self._view(self._state)
        return -cost, self._never.copy()


class MountainCar(ClassicWorld):
    """MountainCar-v0 (Moore 1990): an engine too weak for the hill must swing back and forth to the flag."""

    metadata = BatchedWorld.metadata | {"render_fps": 30}
    LOW, HIGH, MAX_SPEED, GOAL, FORCE, GRAVITY = -1.2, 0.6, 0.07, 0.5, 0.001, 0.0025

    def __init__(self, num_envs: int, *, goal_velocity: float = 0.0, max_episode_steps: int = 200):
        super().__init__(
            "MountainCar-v0",
            num_envs,
            num_variables=2,
            observation_low=np.array([self.LOW, -self.MAX_SPEED]),
            observation_high=np.array([self.HIGH, self.MAX_SPEED]),
            action_space=Discrete(3),
            max_episode_steps=max_episode_steps,
        )
        self._forces = np.array([-1, 0, 1]) * self.FORCE
        self._goal_velocity = goal_velocity

    def _first_states(self, count: int) -> np.ndarray:
        return np.stack((self.np_random.uniform(-0.6, -0.4, count), np.zeros(count)))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position, velocity = self._state
        velocity += self._choose(self._forces, actions) + np.cos(3 * position) * -self.GRAVITY
        np.clip(velocity, -self.MAX_SPEED, self.MAX_SPEED, out=velocity)
        position += velocity
        np.clip(position, self.LOW, self.HIGH, out=position)
        velocity[(position == self.LOW) & (velocity < 0)] = 0.0
        np.copyto(observation, self._state.T, casting="same_kind")
        terminated = (position >= self.GOAL) & (velocity >= self._goal_velocity)
        return np.full(self.num_envs, -1.0), terminated


class MountainCarContinuous(ClassicWorld):
    """MountainCarContinuous-v0: the same hill with a throttle; effort costs, and reaching the flag pays 100.

    Gymnasium keeps this state in float32, except that an episode's first step begins from float64; so does this.
    """

    metadata = BatchedWorld.metadata | {"render_fps": 30}
    LOW, HIGH, MAX_SPEED, GOAL, POWER, GRAVITY = -1.2, 0.6, 0.07, 0.45, 0.0015, 0.0025

    def __init__(self, num_envs: int, *, goal_velocity: float = 0.0, max_episode_steps: int = 999):
        super().__init__(
            "MountainCarContinuous-v0",
            num_envs,
            num_variables=2,
            observation_low=np.array([self.LOW, -self.MAX_SPEED]),
            observation_high=np.array([self.HIGH, self.MAX_SPEED]),
            action_space=Box(-1.0, 1.0, (1,), np.float32),
            max_episode_steps=max_episode_steps,
        )
        self._goal_velocity = goal_velocity
        self._fresh = np.ones(num_envs, bool)

    def set_physics(self, state: np.ndarray) -> None:
        """Put every environment into a given state [N, 2], as if its episode began there."""
        super().set_physics(state)
        self._fresh[:] = True

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        super()._begin(rows, observation)
        self._fresh[rows] = True

    def _save(self) -> dict[str, np.ndarray]:
        return super()._save() | {"fresh": self._fresh.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        super()._load(state)
        self._fresh[:] = state["fresh"]

    def _first_states(self, count: int) -> np.ndarray:
        return np.stack((self.np_random.uniform(-0.6, -0.4, count), np.zeros(count)))

    def _roll(self, state: np.ndarray, throttle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next positions and velocities of states [2, n], in the states' own type."""
        position, velocity = state
        pull = self.GRAVITY * np.cos((3 * position).astype(np.float64))
        inside = np.clip(throttle, -1.0, 1.0) * self.POWER - pull.astype(np.float32)
        beyond = np.sign(throttle).astype(np.float64) * self.POWER - pull
        change = np.where(np.abs(throttle) > 1.0, beyond.astype(state.dtype), inside.astype(state.dtype))
        velocity = np.clip(velocity + change, -self.MAX_SPEED, self.MAX_SPEED)
        position = np.clip(position + velocity, self.LOW, self.HIGH)
        velocity[(position == position.dtype.type(self.LOW)) & (velocity < 0)] = 0.0
        return position, velocity

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        throttle = actions[:, 0]
        position, velocity = self._roll(self._state.astype(np.float32), throttle)
        terminated = (position >= self.GOAL) & (velocity >= self._goal_velocity)
        fresh = np.flatnonzero(self._fresh)
        if len(fresh):
            exact_position, exact_velocity = self._roll(self._state[:, fresh], throttle[fresh])
            terminated[fresh] = (exact_position >= self.GOAL) & (exact_velocity >= self._goal_velocity)
            position[fresh], velocity[fresh] = exact_position, exact_velocity
            self._fresh[:] = False
        self._state[0], self._state[1] = position, velocity
        observation[:, 0], observation[:, 1] = position, velocity
        reward = 100.0 * terminated - np.square(throttle.astype(np.float64)) * 0.1
        return reward, terminated


class Acrobot(ClassicWorld):
    """Acrobot-v1 (Sutton & Barto's book): swing the lower of two links above a line by torque at the joint between."""

    metadata = BatchedWorld.metadata | {"render_fps": 5}
    GRAVITY, DT, MAX_SPEED_1, MAX_SPEED_2 = 9.8, 0.2, 4 * math.pi, 9 * math.pi

    def __init__(self, num_envs: int, *, max_episode_steps: int = 500):
        super().__init__(
            "Acrobot-v1",
            num_envs,
            num_variables=4,
            observation_high=np.array([1.0, 1.0, 1.0, 1.0, self.MAX_SPEED_1, self.MAX_SPEED_2]),
            action_space=Discrete(3),
            max_episode_steps=max_episode_steps,
        )
        self._torques = np.array([-1.0, 0.0, 1.0])

    def _first_states(self, count: int) -> np.ndarray:
        return self.np_random.uniform(-0.1, 0.1, (4, count)).astype(np.float32)

    def _view(self, state: np.ndarray) -> np.ndarray:
        theta_1, theta_2, speed_1, speed_2 = state
        return np.stack((np.cos(theta_1), np.sin(theta_1), np.cos(theta_2), np.sin(theta_2), speed_1, speed_2), axis=1)

    def _derivative(self, state: np.ndarray, torque: np.ndarray) -> np.ndarray:
        """Time derivative [4, N] of the state; links of mass, length and moment 1, centres of mass half-way along.

        Squares go through the library's power function as Gymnasium's do: the last bit matters in a chaotic system.
        """
        theta_1, theta_2, speed_1, speed_2 = state
        cos_2, sin_2 = np.cos(theta_2), np.sin(theta_2)
        d_1 = 0.25 + (1.25 + cos_2) + 1.0 + 1.0
        d_2 = (0.25 + 0.5 * cos_2) + 1.0
        phi_2 = 0.5 * self.GRAVITY * np.cos(theta_1 + theta_2 - math.pi / 2.0)
        phi_1 = (
            -0.5 * np.float_power(speed_2, 2) * sin_2
            - speed_2 * speed_1 * sin_2
            + 1.5 * self.GRAVITY * np.cos(theta_1 - math.pi / 2)
            + phi_2
        )
        acceleration_2 = (torque + d_2 / d_1 * phi_1 - 0.5 * np.float_power(speed_1, 2) * sin_2 - phi_2) / (
            0.25 + 1.0 - np.float_power(d_2, 2) / d_1
        )
        acceleration_1 = -(d_2 * acceleration_2 + phi_1) / d_1
        return np.stack((speed_1, speed_2, acceleration_1, acceleration_2))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        state, torque, dt = self._state, self._choose(self._torques, actions), self.DT
        k_1 = self._derivative(state, torque)
        k_2 = self._derivative(state + dt / 2.0 * k_1, torque)
        k_3 = self._derivative(state + dt / 2.0 * k_2, torque)
        k_4 = self._derivative(state + dt * k_3, torque)
        state += dt / 6.0 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
        angles = state[:2]
        while (over := angles > math.pi).any():
            angles[over] -= 2 * math.pi
        while (under := angles < -math.pi).any():
            angles[under] += 2 * math.pi
        np.clip(state[2], -self.MAX_SPEED_1, self.MAX_SPEED_1, out=state[2])
        np.clip(state[3], -self.MAX_SPEED_2, self.MAX_SPEED_2, out=state[3])
        observation[:] = self._view(state)
        terminated = -np.cos(state[0]) - np.cos(state[1] + state[0]) > 1.0
        return terminated - 1.0, terminated
