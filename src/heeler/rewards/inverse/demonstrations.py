"""What people did in a finite world: states and actions in order, from `.npz`, checked against the world.

Shapes: S states, A actions, K demonstrations, X steps of all of them one after the other, T times.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heeler.core.errors import DataError
from heeler.rewards.inverse.planning import Visits
from heeler.rewards.inverse.world import FiniteWorld
from heeler.rewards.inverse.world_files import read_arrays, write_arrays

_FIELDS = ("states", "actions", "num_steps")


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstrations:
    """K ways through one world, each of at least one step."""

    state_X: np.ndarray
    """int64: the state that each step begins in."""
    action_X: np.ndarray
    """int64."""
    next_X: np.ndarray
    """int64: the state that each step leads to."""
    time_X: np.ndarray
    """int64: steps made before it in its demonstration."""
    num_steps_K: np.ndarray
    """int64."""
    world: FiniteWorld

    @property
    def num_demonstrations(self) -> int:
        """K."""
        return len(self.num_steps_K)

    @property
    def num_steps(self) -> int:
        """X."""
        return len(self.state_X)

    @property
    def first_X(self) -> np.ndarray:
        """[K] int64: place of the first step of each."""
        return np.concatenate(([0], np.cumsum(self.num_steps_K)[:-1]))

    @property
    def last_K(self) -> np.ndarray:
        """[K] int64: the state that each ends in."""
        return self.next_X[self.first_X + self.num_steps_K - 1]

    @property
    def is_whole_K(self) -> np.ndarray:
        """[K] bool: whether each went on to a terminal state or to the horizon; what is not was cut short."""
        at_horizon_K = np.zeros(self.num_demonstrations, bool)
        if self.world.horizon is not None:
            at_horizon_K = self.num_steps_K == self.world.horizon
        return self.world.terminal_S[self.last_K] | at_horizon_K

    @property
    def start_S(self) -> np.ndarray:
        """[S] share of them that begins in each state."""
        first_K = self.state_X[self.first_X]
        return np.bincount(first_K, minlength=self.world.num_states) / self.num_demonstrations

    @property
    def visits(self) -> Visits:
        """Mean discounted visits of a demonstration; of one that was cut short, of what there is."""
        world, K = self.world, self.num_demonstrations
        step_SA = np.zeros((world.num_states, world.num_actions))
        np.add.at(step_SA, (self.state_X, self.action_X), world.discount**self.time_X / K)
        end_S = np.zeros(world.num_states)
        np.add.at(end_S, self.last_K, world.discount**self.num_steps_K / K)
        return Visits(step_SA=step_SA, end_S=end_S)

    @property
    def counts_SA(self) -> np.ndarray:
        """[S, A] how often each action was taken, not discounted."""
        counts_SA = np.zeros((self.world.num_states, self.world.num_actions))
        np.add.at(counts_SA, (self.state_X, self.action_X), 1.0)
        return counts_SA

    def counts_by_time(self) -> list[np.ndarray]:
        """[S, A] counts of each time; one for all times where the world has no horizon."""
        if self.world.horizon is None:
            return [self.counts_SA]
        counts: list[np.ndarray] = []
        for time in range(int(self.num_steps_K.max())):
            then = self.time_X == time
            counts_SA = np.zeros((self.world.num_states, self.world.num_actions))
            np.add.at(counts_SA, (self.state_X[then], self.action_X[then]), 1.0)
            counts.append(counts_SA)
        return counts

    def log_likelihood(self, log_policy_TSA: np.ndarray) -> float:
        """The sum of log probabilities of all actions under a policy."""
        time_X = np.zeros_like(self.time_X) if self.world.horizon is None else self.time_X
        return float(log_policy_TSA[time_X, self.state_X, self.action_X].sum())


def demonstrations_from(
    world: FiniteWorld, states: np.ndarray, actions: np.ndarray, num_steps: np.ndarray
) -> Demonstrations:
    """Check demonstrations against the world that they were made in.

    Args:
        world: that they were made in.
        states: whole numbers, all one after the other: of T steps T + 1 states.
        actions: whole numbers, T of each.
        num_steps: T of each, at least 1.

    Raises:
        DataError: there is none, numbers are out of range or do not fit together, or a step is one that the world
            cannot make; names demonstration and step.
    """
    given = {"states": states, "actions": actions, "num_steps": num_steps}
    states, actions, num_steps = (_whole(name, array) for name, array in given.items())
    if not len(num_steps):
        raise DataError("num_steps is empty: give one demonstration at least")
    if (num_steps < 1).any():
        which = int((num_steps < 1).argmax())
        raise DataError(f"num_steps[{which}] must be at least 1, got {num_steps[which]}")
    total = int(num_steps.sum())
    if len(actions) != total or len(states) != total + len(num_steps):
        raise DataError(
            f"num_steps sums to {total} over {len(num_steps)} demonstrations, so that there must be {total} actions "
            f"and {total + len(num_steps)} states, got {len(actions)} and {len(states)}"
        )
    for name, array, end in (("states", states, world.num_states), ("actions", actions, world.num_actions)):
        wrong = (array < 0) | (array >= end)
        if wrong.any():
            place = int(wrong.argmax())
            raise DataError(f"{name}[{place}] must be from 0 to {end - 1}, got {array[place]}")
    demonstration_X = np.repeat(np.arange(len(num_steps)), num_steps)
    begins_K = np.concatenate(([0], np.cumsum(num_steps)[:-1]))
    time_X = np.arange(total) - begins_K[demonstration_X]
    place_X = np.arange(total) + demonstration_X
    made = Demonstrations(
        state_X=states[place_X],
        action_X=actions,
        next_X=states[place_X + 1],
        time_X=time_X,
        num_steps_K=num_steps,
        world=world,
    )
    _expect_possible(made, demonstration_X)
    return made


def read_demonstrations(path: Path | str, world: FiniteWorld) -> Demonstrations:
    """Read and check demonstrations: `states`, `actions` and `num_steps`, as `demonstrations_from` takes them.

    Raises:
        DataError: there is no such file, it is torn, a field is missing or unknown, or does not hold.
    """
    path = Path(path)
    arrays = read_arrays(path, _FIELDS, "a file of demonstrations")
    missing = next((name for name in _FIELDS if name not in arrays), None)
    if missing is not None:
        raise DataError(f"{path}: {missing} is missing; demonstrations have {', '.join(_FIELDS)}")
    try:
        return demonstrations_from(world, **{name: arrays[name] for name in _FIELDS})
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write_demonstrations(demonstrations: Demonstrations, path: Path | str) -> None:
    """Write demonstrations as `read_demonstrations` reads them.

    Raises:
        RunError: it cannot be written.
    """
    ends_X = np.zeros(demonstrations.num_steps, bool)
    ends_X[demonstrations.first_X + demonstrations.num_steps_K - 1] = True
    states: list[int] = []
    for state, following, ends in zip(demonstrations.state_X, demonstrations.next_X, ends_X, strict=True):
        states += [int(state), int(following)] if ends else [int(state)]
    fields = {"states": np.array(states), "actions": demonstrations.action_X, "num_steps": demonstrations.num_steps_K}
    write_arrays(Path(path), fields)


def sampled(
    world: FiniteWorld, policy_TSA: np.ndarray, num: int, rng: np.random.Generator, *, max_steps: int | None = None
) -> Demonstrations:
    """Have a policy act in the world.

    Args:
        world: finite.
        policy_TSA: probability of each action.
        num: of demonstrations.
        rng: what chance follows from.
        max_steps: after which a demonstration is cut short; None for the horizon, which must be there then.

    Raises:
        DataError: there is neither a horizon nor a largest number of steps.
    """
    longest = world.horizon if max_steps is None else min(max_steps, world.horizon or max_steps)
    if longest is None:
        raise DataError("max_steps is needed where the world has no horizon")
    states: list[int] = []
    actions: list[int] = []
    num_steps: list[int] = []
    for _ in range(num):
        state = int(rng.choice(world.num_states, p=world.start_S))
        while world.terminal_S[state]:
            state = int(rng.choice(world.num_states, p=world.start_S))
        states.append(state)
        made = 0
        while made < longest and not world.terminal_S[state]:
            policy_SA = policy_TSA[min(made, len(policy_TSA) - 1)]
            action = int(rng.choice(world.num_actions, p=policy_SA[state]))
            outcome = int(rng.choice(world.chance_SAM.shape[2], p=world.chance_SAM[state, action]))
            state = int(world.next_SAM[state, action, outcome])
            states.append(state)
            actions.append(action)
            made += 1
        num_steps.append(made)
    return demonstrations_from(world, np.array(states), np.array(actions), np.array(num_steps))


def _whole(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise DataError(f"{name} must be whole numbers in one dimension, got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64)


def _expect_possible(made: Demonstrations, demonstration_X: np.ndarray) -> None:
    world = made.world
    too_long = world.horizon is not None and made.num_steps_K.max() > world.horizon
    if too_long:
        which = int(made.num_steps_K.argmax())
        raise DataError(
            f"num_steps[{which}] must be at most the world's horizon of {world.horizon}, got {made.num_steps_K[which]}"
        )
    first_K = made.state_X[made.first_X]
    never_K = world.start_S[first_K] == 0
    if never_K.any():
        which = int(never_K.argmax())
        raise DataError(f"demonstration {which} begins in {world.state_name(first_K[which])}, where no episode begins")
    reached_XM = world.next_SAM[made.state_X, made.action_X] == made.next_X[:, None]
    chance_X = (world.chance_SAM[made.state_X, made.action_X] * reached_XM).sum(1)
    if (chance_X > 0).all():
        return
    place = int((chance_X <= 0).argmax())
    state, action, after = (int(array[place]) for array in (made.state_X, made.action_X, made.next_X))
    where = f"demonstration {demonstration_X[place]}, step {made.time_X[place]}"
    if world.terminal_S[state]:
        raise DataError(f"{where}: {world.state_name(state)} is terminal, and the demonstration goes on")
    raise DataError(
        f"{where}: {world.action_name(action)} never leads from {world.state_name(state)} to {world.state_name(after)}"
    )
