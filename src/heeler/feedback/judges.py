"""What scripted trainers go by: how good each action is, in worlds of which that is known.

Grids: value iteration over the world's own tables. MountainCar: value iteration over a fine grid of its states, between
which values are interpolated. CartPole: the cost that a linear-quadratic regulator expects one step later, whose gains
are solved for here from the world's own steps.
Shapes: B observations, O numbers of each, L actions, S states, V variables.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from heeler.core.errors import ConfigError, WorldError
from heeler.envs import EnvConfig, make
from heeler.envs.classic import CartPole, ClassicWorld, MountainCar
from heeler.envs.lava_grid import LavaGrid

Array = NDArray[np.float64]
_FALLEN = 1e3
"""What a cart costs whose pole has fallen, in squares of the regulator; more than any that stands."""


class Judge(Protocol):
    """Knows how good actions are."""

    def values(self, observation_BO: np.ndarray) -> Array:
        """[B, L] what is to be expected after each action, if the best is done from then on."""
        ...


def judge_of(config: EnvConfig) -> Judge:
    """Who knows the world that `config` describes.

    Raises:
        ConfigError: nobody does.
    """
    if config.id == "LavaGrid":
        return GridJudge(config)
    if config.kwargs.keys() - {"max_episode_steps"}:
        names = ", ".join(sorted(config.kwargs.keys() - {"max_episode_steps"}))
        raise ConfigError(f"a scripted trainer knows {config.id} as it is, not with {names}; leave them out")
    if config.id == "MountainCar-v0":
        return MountainCarJudge()
    if config.id == "CartPole-v1":
        return CartPoleJudge()
    raise ConfigError(
        f"no scripted trainer knows what is good in {config.id}; only in LavaGrid, MountainCar-v0 and CartPole-v1. Use "
        "teacher people"
    )


class GridJudge:
    """Knows a grid that is always the same, in which no vases stand. Lava counts for nothing, as in its reward.

    Args:
        config: of a LavaGrid with a `layout`.
        discount: gamma of the values.

    Raises:
        ConfigError: the layout is drawn anew in each episode, or vases stand in it.
    """

    def __init__(self, config: EnvConfig, *, discount: float = 0.99) -> None:
        if config.kwargs.get("layout") is None:
            raise ConfigError("a scripted trainer knows a LavaGrid that is always the same: set env.kwargs.layout")
        world = make(config.single(), 0)
        assert isinstance(world, LavaGrid)
        world.reset(seed=0)
        model = world.model()
        self.num_cells = world.observation_size // 5
        world.close()
        if len(model.reward) != self.num_cells:
            raise ConfigError("a scripted trainer knows grids without vases; leave V out of the layout")
        self.table_SL = optimal_values(
            model.probability, model.next_state, model.reward, model.terminated, discount=discount
        )

    def values(self, observation_BO: np.ndarray) -> Array:
        """[B, L], by the cell that the agent is on."""
        return self.table_SL[observation_BO[:, : self.num_cells].argmax(1)]


def optimal_values(
    probability: np.ndarray, next_state: np.ndarray, reward: np.ndarray, terminated: np.ndarray, *, discount: float
) -> Array:
    """[S, L] values of the best policy, by value iteration until nothing moves.

    Args:
        probability: [S, L, M] of each outcome.
        next_state: [S, L, M].
        reward: [S, L, M].
        terminated: [S, L, M] whether the episode ends.
        discount: gamma.
    """
    value_S = np.zeros(len(reward))
    goes_on = discount * ~terminated
    while True:
        value_SL = (probability * (reward + goes_on * value_S[next_state])).sum(-1)
        best_S = value_SL.max(-1)
        if np.abs(best_S - value_S).max() < 1e-10:
            return value_SL
        value_S = best_S


class MountainCarJudge:
    """Knows MountainCar: how many steps more each action leads to, with the sign of a reward."""

    def __init__(self) -> None:
        self.value = _mountain_car_value()

    def values(self, observation_BO: np.ndarray) -> Array:
        """[B, L]."""
        state_BV = observation_BO.astype(np.float64)
        after_BLV, ended_BL = _one_step(MountainCar, state_BV)
        return -1.0 + np.where(ended_BL, 0.0, self.value(after_BLV.reshape(-1, 2)).reshape(ended_BL.shape))


class _Interpolated:
    """A function of two numbers, by its values on a grid."""

    def __init__(self, low: Array, high: Array, value_XY: Array) -> None:
        self.low, self.high, self.value_XY = low, high, value_XY

    def weights(self, state_SV: Array) -> tuple[NDArray[np.int64], Array]:
        """[S, 4] places in the flat grid and what each counts."""
        most = np.array(self.value_XY.shape) - 1
        place = np.clip((state_SV - self.low) / (self.high - self.low), 0, 1) * most
        cell = np.minimum(place.astype(np.int64), most - 1)
        part = place - cell
        corners = [(x, y) for x in (0, 1) for y in (0, 1)]
        index = np.stack([(cell[:, 0] + x) * (most[1] + 1) + cell[:, 1] + y for x, y in corners], 1)
        weight = [np.abs(1 - x - part[:, 0]) * np.abs(1 - y - part[:, 1]) for x, y in corners]
        return index, np.stack(weight, 1)

    def __call__(self, state_SV: Array) -> Array:
        index, weight = self.weights(state_SV)
        return (self.value_XY.ravel()[index] * weight).sum(1)


@lru_cache(maxsize=1)
def _mountain_car_value(num_positions: int = 121, num_velocities: int = 101) -> _Interpolated:
    """Minus the steps that are left, over positions and velocities."""
    low, high = np.array([MountainCar.LOW, -MountainCar.MAX_SPEED]), np.array([MountainCar.HIGH, MountainCar.MAX_SPEED])
    position_X = np.linspace(low[0], high[0], num_positions, dtype=np.float64)
    velocity_Y = np.linspace(low[1], high[1], num_velocities, dtype=np.float64)
    states = np.stack([np.repeat(position_X, num_velocities), np.tile(velocity_Y, num_positions)], 1)
    found = _Interpolated(low, high, np.zeros((num_positions, num_velocities)))
    after_SLV, ended_SL = _one_step(MountainCar, states)
    index, weight = found.weights(after_SLV.reshape(-1, 2))
    value_S = np.zeros(len(states))
    for _ in range(1000):
        after_SL = (value_S[index] * weight).sum(1).reshape(ended_SL.shape)
        newer_S = (-1.0 + np.where(ended_SL, 0.0, after_SL)).max(1)
        if np.abs(newer_S - value_S).max() < 1e-3:
            break
        value_S = newer_S
    return _Interpolated(low, high, value_S.reshape(num_positions, num_velocities))


class CartPoleJudge:
    """Knows CartPole: minus what a linear-quadratic regulator would still have to pay for leaving the middle upright.

    What it does best, pushing to the side after which it expects to pay less, holds a pole up for all 500 steps.
    """

    def __init__(self) -> None:
        self.cost_VV = _cart_pole_cost()

    def values(self, observation_BO: np.ndarray) -> Array:
        """[B, L]."""
        after_BLV, ended_BL = _one_step(CartPole, observation_BO.astype(np.float64))
        cost_BL = np.einsum("blv,vw,blw->bl", after_BLV, self.cost_VV, after_BLV)
        return -np.where(ended_BL, _FALLEN, np.minimum(cost_BL, _FALLEN))


@lru_cache(maxsize=1)
def _cart_pole_cost() -> Array:
    """[V, V] of the quadratic cost to go, by the discrete Riccati recursion (Bertsekas 2017, section 3.1)."""
    nudge = 1e-4
    offsets = np.concatenate([np.zeros((1, 4)), nudge * np.eye(4)])
    after_BLV, _ = _one_step(CartPole, offsets)
    middle_BV, half_V = after_BLV.mean(1), (after_BLV[0, 1] - after_BLV[0, 0]) / 2
    move_VV = ((middle_BV[1:] - middle_BV[0]) / nudge).T
    price_VV, effort = np.diag([1.0, 0.1, 10.0, 0.1]), 0.1
    cost_VV = price_VV
    for _ in range(5000):
        gain_V = half_V @ cost_VV @ move_VV / (effort + half_V @ cost_VV @ half_V)
        newer_VV = price_VV + move_VV.T @ cost_VV @ (move_VV - np.outer(half_V, gain_V))
        if np.abs(newer_VV - cost_VV).max() < 1e-9 * np.abs(cost_VV).max():
            break
        cost_VV = newer_VV
    return cost_VV


def _one_step(make_world: Callable[[int], ClassicWorld], state_BV: Array) -> tuple[Array, NDArray[np.bool_]]:
    """[B, L, V] what each action leads to, and whether the episode ends there [B, L]."""
    space = make_world(1).single_action_space
    assert isinstance(space, Discrete)
    num_actions = int(space.n)
    world = make_world(len(state_BV) * num_actions)
    world.reset(seed=0)
    actions = np.tile(np.arange(num_actions), len(state_BV))
    after, terminated = world.led_to(np.repeat(state_BV, num_actions, axis=0), actions)
    if not np.isfinite(after).all():
        raise WorldError(f"{world.env_id}: a state that a trainer was shown leads to no finite numbers")
    return after.reshape(len(state_BV), num_actions, -1), terminated.reshape(len(state_BV), num_actions)
