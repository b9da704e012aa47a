"""Asking the world itself: what an action comes to in a twin that stands where the real world stands.

Shapes: N environments of the real world, B of a twin, n rows asked about, O observation numbers, A action numbers.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from heeler.core.errors import ConfigError, did_you_mean
from heeler.envs import World
from heeler.envs.world import pack_generator
from heeler.models.actions import as_taken, within_bounds
from heeler.safety.shields.config import CheckConfig

Continuation = Callable[[World, np.ndarray], np.ndarray]
"""(twin, observations [B, O]) -> actions [B, A]."""
_MAX_SIZE = 1024
"""Environments of a twin; what is more is simulated in turns."""


class Twins:
    """Worlds of the same kind as the real one, of any size, that can be put into states of its environments.

    Args:
        world: the real one.
        make: a twin of so many environments.

    Raises:
        ConfigError: the world cannot be saved exactly, or its state is not kept by environment.
    """

    def __init__(self, world: World, make: Callable[[int], World]) -> None:
        if not world.exact_state:
            raise ConfigError(
                f"shield.check puts a twin into the world's state, and the state of {world.env_id} cannot be saved; "
                "use a critic, a mask or a projection, or one of heeler's own worlds"
            )
        self._make = make
        self._twins: dict[int, World] = {}
        self._axis: dict[str, int | None] = {"rng": None} | self._axes(world.env_id)

    def _axes(self, env_id: str) -> dict[str, int | None]:
        """Which axis of each saved array counts environments: the one that differs between two sizes."""
        two, three = (self.of_size(size).state_dict() for size in (2, 3))
        axes: dict[str, int | None] = {}
        for name in two.keys() - {"rng"}:
            shape, other = two[name].shape, three[name].shape
            differing = [axis for axis, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b]
            if len(shape) != len(other) or len(differing) > 1 or any(shape[axis] != 2 for axis in differing):
                raise ConfigError(f"shield.check: {env_id} saves {name!r} in a way that cannot be split by environment")
            axes[name] = differing[0] if differing else None
        return axes

    def of_size(self, size: int) -> World:
        """A twin of so many environments, made on first use."""
        if size not in self._twins:
            twin = self._make(size)
            twin.seed(0)
            self._twins[size] = twin
        return self._twins[size]

    def put(self, state: Mapping[str, np.ndarray], rows_n: np.ndarray) -> World:
        """A twin whose first n environments stand where those of `rows_n` did; what it has more repeats the first.

        Args:
            state: of the real world.
            rows_n: at most `_MAX_SIZE` of its environments, any number of times each.
        """
        # In steps of a quarter of a power of two: few twins, and few environments for nothing.
        unit = max(1, (1 << (len(rows_n) - 1).bit_length()) // 8)
        size = -(-len(rows_n) // unit) * unit
        rows_B = np.concatenate([rows_n, np.repeat(rows_n[:1], size - len(rows_n))])
        own = {
            name: array if (axis := self._axis[name]) is None else np.take(array, rows_B, axis)
            for name, array in state.items()
        }
        if "rng" in state:
            # A stream of its own that follows from the world's: what the world will draw stays unknown, and a run that
            # is resumed checks by the same noise.
            digest = hashlib.sha256(state["rng"].tobytes()).digest()
            own["rng"] = pack_generator(np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little"))))
        twin = self.of_size(size)
        twin.load_state_dict(own)
        return twin

    def close(self) -> None:
        """Close all twins."""
        for twin in self._twins.values():
            twin.close()
        self._twins.clear()


class Foreseen(NamedTuple):
    """What came of actions in a simulation."""

    cost: np.ndarray
    """[n], up to where it was too much."""
    reward: np.ndarray
    """[n], up to there."""
    lasted: np.ndarray
    """[n] steps before it was too much."""


class ModelCheck:
    """What actions come to, by simulation.

    Args:
        config: how far is looked, and for what.
        world: the real one.
        make_twin: a world like it of so many environments.
        continuation: who acts after the first step.
        counts_on: whether all costs are wanted, and not only whether they are too much.

    Raises:
        ConfigError: there is nothing to look for, or the world cannot be simulated.
    """

    def __init__(
        self,
        config: CheckConfig,
        world: World,
        make_twin: Callable[[int], World],
        continuation: Continuation,
        *,
        counts_on: bool,
    ) -> None:
        self.config, self._counts_on = config, counts_on
        self._columns = cost_columns("shield.check", config.costs, world) if world.cost_names or config.costs else []
        if not self._columns and not config.refuse_termination:
            raise ConfigError(
                f"shield.check has nothing to look for: {world.env_id} has no costs; set refuse_termination, or name "
                "costs in env.costs"
            )
        self._space = world.single_action_space
        self._continuation = continuation
        self.twins = Twins(world, make_twin)

    def costs(self, state: Mapping[str, np.ndarray], rows_n: np.ndarray, action_nA: np.ndarray) -> np.ndarray:
        """[n] what each action comes to over the steps that are looked ahead, or until it is too much; of several draws
        the most.

        Args:
            state: the real world's, from `state_dict`.
            rows_n: its environment for each action.
            action_nA: within their bounds.
        """
        draws = self.config.num_draws
        rows_B, action_BA = np.repeat(rows_n, draws), np.repeat(action_nA, draws, 0)
        stop_at = np.inf if self._counts_on else self.config.threshold
        seen = self._in_turns(state, rows_B, action_BA, self.config.steps, 1, self._continuation, stop_at)
        return seen.cost.reshape(-1, draws).max(1)

    def foreseen(
        self,
        state: Mapping[str, np.ndarray],
        rows_n: np.ndarray,
        action_nA: np.ndarray,
        *,
        num_held: int,
        num_steps: int,
        policy: Continuation,
    ) -> Foreseen:
        """What comes of each action, held and then followed by the policy, until it costs too much.

        Args:
            state: the real world's, from `state_dict`.
            rows_n: its environment for each action.
            action_nA: within their bounds.
            num_held: steps for which the action is held.
            num_steps: that are looked ahead, these among them.
            policy: acts after that.
        """
        return self._in_turns(state, rows_n, action_nA, num_steps, num_held, policy, self.config.threshold)

    def _in_turns(
        self,
        state: Mapping[str, np.ndarray],
        rows_B: np.ndarray,
        action_BA: np.ndarray,
        num_steps: int,
        num_held: int,
        follow: Continuation,
        stop_at: float,
    ) -> Foreseen:
        turns = [Foreseen(np.zeros(0), np.zeros(0), np.zeros(0))]
        for start in range(0, len(rows_B), _MAX_SIZE):
            part = slice(start, start + _MAX_SIZE)
            turns.append(self._simulate(state, rows_B[part], action_BA[part], num_steps, num_held, follow, stop_at))
        return Foreseen(*(np.concatenate(each) for each in zip(*turns, strict=True)))

    def _simulate(
        self,
        state: Mapping[str, np.ndarray],
        rows_n: np.ndarray,
        action_nA: np.ndarray,
        num_steps: int,
        num_held: int,
        follow: Continuation,
        stop_at: float,
    ) -> Foreseen:
        twin = self.twins.put(state, rows_n)
        cost_n, reward_n, lasted_n = np.zeros(len(rows_n)), np.zeros(len(rows_n)), np.zeros(len(rows_n))
        # Of the twin's first k environments, which action each is about, and whether its episode still goes on.
        of_k, goes_on_k, action_kA = np.arange(len(rows_n)), np.ones(len(rows_n), bool), action_nA
        observation_BO = np.zeros((twin.num_envs, 0), np.float32)
        for step in range(num_steps):
            if step >= num_held:
                action_kA = within_bounds(self._space, follow(twin, observation_BO))[: len(of_k)]
            filled_BA = np.concatenate([action_kA, np.repeat(action_kA[:1], twin.num_envs - len(of_k), 0)])
            observation_BO, own_B, terminated, truncated, infos = twin.step(as_taken(self._space, filled_BA))
            k = len(of_k)
            reward_n[of_k] += goes_on_k * own_B[:k]
            if self._columns:
                cost_n[of_k] += goes_on_k * infos["cost"][:k, self._columns].sum(1)
            if self.config.refuse_termination:
                cost_n[of_k] = np.where(goes_on_k & terminated[:k], np.inf, cost_n[of_k])
            is_fine_k = cost_n[of_k] <= stop_at
            lasted_n[of_k] += goes_on_k & is_fine_k
            # What follows an end belongs to another episode, and is not what this action leads to.
            goes_on_k &= is_fine_k & ~(terminated | truncated)[:k]
            left_j = np.flatnonzero(goes_on_k)
            if not len(left_j):
                break
            if 2 * len(left_j) <= twin.num_envs and step + 1 < num_steps:
                # What is decided need not be simulated to its end.
                twin = self.twins.put(twin.state_dict(), left_j)
                of_k, goes_on_k, action_kA = of_k[left_j], goes_on_k[left_j], action_kA[left_j]
                observation_BO = observation_BO[np.resize(left_j, twin.num_envs)]
        return Foreseen(cost_n, reward_n, lasted_n)


_WORLD_ALONE = "a shield looks at costs of the world alone, and not at one by a function or by answers"


def cost_columns(where: str, costs: tuple[str, ...], world: World) -> list[int]:
    """Places of costs among those of a world; of all where none are named.

    Raises:
        ConfigError: the world has no such cost, or none at all.
    """
    names = list(world.cost_names)
    if not names:
        raise ConfigError(f"{where}.costs: {world.env_id} has no costs of its own; {_WORLD_ALONE}")
    for cost in costs:
        if cost not in names:
            raise ConfigError(
                f"{where}.costs: {world.env_id} has no cost {cost!r}; it has {', '.join(names)}."
                f"{did_you_mean(cost, names) or f' {_WORLD_ALONE.capitalize()}'}"
            )
    return [names.index(cost) for cost in costs] if costs else list(range(len(names)))
