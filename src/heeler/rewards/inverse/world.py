"""`FiniteWorld`: a Markov decision process in tables, checked whole when it is made.

Shapes: S states, A actions, M outcomes that an action may have, F features.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from heeler.core.errors import DataError

SUM_TOLERANCE = 1e-6
"""By how much probabilities may miss a sum of 1; they are then made to sum to it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FiniteWorld:
    """States, actions, and where each action leads.

    An episode begins in a state drawn from `start_S` and goes on until it comes to a terminal state, or has made
    `horizon` steps. No action is taken in a terminal state, and what `next_SAM` and `chance_SAM` say of one does not
    count. Every action may be taken in every other state.

    Raises:
        DataError: a field has the wrong shape, an index or a probability out of range, or a number that is not
            finite; names field and index.
    """

    next_SAM: np.ndarray
    """[S, A, M] int64: states that an action may lead to."""
    chance_SAM: np.ndarray
    """[S, A, M] float64: the probability of each."""
    start_S: np.ndarray
    """[S] float64: the probability of each first state."""
    discount: float
    """Gamma: at least 0 and at most 1; below 1 where there is no horizon."""
    horizon: int | None = None
    """Steps of an episode; None where it goes on for ever."""
    terminal_S: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """[S] bool: states in which an episode ends; empty where there is none."""
    features: np.ndarray | None = None
    """[S, F] of states or [S, A, F] of states and actions."""
    feature_names: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    cell_S2: np.ndarray | None = None
    """[S, 2] int64: row and column of each state, where states lie on a grid; −1 for those that do not."""
    true_reward: np.ndarray | None = None
    """[S] or [S, A], where it is known, to compare with."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def num_states(self) -> int:
        """S."""
        return self.chance_SAM.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.chance_SAM.shape[1]

    @property
    def going_on_S(self) -> np.ndarray:
        """[S] bool: states in which an action is taken."""
        return ~self.terminal_S

    def state_name(self, state: int) -> str:
        """What a state is called in messages."""
        return self.state_names[state] if self.state_names else f"state {state}"

    def action_name(self, action: int) -> str:
        """What an action is called in messages."""
        return self.action_names[action] if self.action_names else f"action {action}"

    def starting(self, start_S: np.ndarray) -> "FiniteWorld":
        """The same world with other first states."""
        return replace(self, start_S=start_S)


def from_dense(transitions_SAS: np.ndarray, **fields: Any) -> FiniteWorld:
    """A world from the probability of each next state.

    Args:
        transitions_SAS: [S, A, S]; rows of terminal states may be all 0.
        fields: the other fields of `FiniteWorld`.

    Raises:
        DataError: as `FiniteWorld` does, or the shape is not [S, A, S].
    """
    transitions_SAS = np.asarray(transitions_SAS, float)
    if transitions_SAS.ndim != 3 or transitions_SAS.shape[0] != transitions_SAS.shape[2]:
        raise DataError(f"transitions must have shape (S, A, S), got {transitions_SAS.shape}")
    _finite("transitions", transitions_SAS)
    _first_wrong("transitions", transitions_SAS < 0, transitions_SAS, "a probability, at least 0")
    num_outcomes = max(1, int((transitions_SAS != 0).sum(-1).max(initial=0)))
    order_SAM = np.argsort(transitions_SAS == 0, axis=-1, kind="stable")[..., :num_outcomes]
    chance_SAM = np.take_along_axis(transitions_SAS, order_SAM, axis=-1)
    try:
        return FiniteWorld(next_SAM=order_SAM.astype(np.int64), chance_SAM=chance_SAM, **fields)
    except DataError as error:
        raise DataError(str(error).replace("probability[", "transitions[", 1)) from error


def to_dense(world: FiniteWorld) -> np.ndarray:
    """[S, A, S] probability of each next state; rows of terminal states are 0."""
    S, A, M = world.chance_SAM.shape
    dense_SAS = np.zeros((S, A, S))
    state, action, _ = np.ogrid[:S, :A, :M]
    np.add.at(dense_SAS, (state, action, world.next_SAM), world.chance_SAM)
    return dense_SAS


def _check(world: FiniteWorld) -> None:
    """Check every field, and put those that may be left out into their places."""
    next_SAM, chance_SAM = np.asarray(world.next_SAM), np.asarray(world.chance_SAM, float)
    if chance_SAM.ndim != 3 or 0 in chance_SAM.shape or next_SAM.shape != chance_SAM.shape:
        raise DataError(
            "next_state and probability must have one shape (S, A, M) with none of them 0, got "
            f"{next_SAM.shape} and {chance_SAM.shape}"
        )
    S, A, _ = chance_SAM.shape
    terminal_S = np.asarray(world.terminal_S)
    terminal_S = np.zeros(S, bool) if not terminal_S.size else _of_shape("terminal", terminal_S, ((S,),))
    if terminal_S.dtype != bool:
        raise DataError(f"terminal must be booleans, got {terminal_S.dtype}")
    if terminal_S.all():
        raise DataError("terminal: every state is terminal, so that there is nothing to do; leave one out at least")
    next_SAM = _indices("next_state", next_SAM, S)
    chance_SAM = _distributions("probability", np.where(terminal_S[:, None, None], 0.0, chance_SAM), ~terminal_S)
    start_S = _of_shape("start", np.asarray(world.start_S, float), ((S,),))
    values: dict[str, Any] = {
        "next_SAM": np.where(terminal_S[:, None, None], 0, next_SAM),
        "chance_SAM": chance_SAM,
        "terminal_S": terminal_S,
        "start_S": _distributions("start", start_S[None], np.ones(1, bool))[0],
        "discount": _checked_discount(world.discount, world.horizon),
    }
    features = world.features
    if features is not None:
        num = np.shape(features)[-1] if np.ndim(features) else 0
        features = _finite("features", _of_shape("features", features, ((S, num), (S, A, num))))
        if not num:
            raise DataError("features: there is none; leave the field out or give one at least")
        values["features"] = features
        named = world.feature_names or tuple(f"feature {index}" for index in range(num))
        values["feature_names"] = _names("feature_names", named, num)
    elif world.feature_names:
        raise DataError("feature_names would be ignored, as there are no features")
    values["state_names"] = _names("state_names", world.state_names, S)
    values["action_names"] = _names("action_names", world.action_names, A)
    if world.cell_S2 is not None:
        values["cell_S2"] = _cells(np.asarray(world.cell_S2), S)
    if world.true_reward is not None:
        values["true_reward"] = _finite("true_reward", _of_shape("true_reward", world.true_reward, ((S,), (S, A))))
    for name, value in values.items():
        # A frozen dataclass has no other way to keep what was put in order.
        object.__setattr__(world, name, value)


def _of_shape(name: str, array: np.ndarray, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    array = np.asarray(array)
    if array.shape not in shapes:
        raise DataError(f"{name} must have shape {' or '.join(map(str, shapes))}, got {array.shape}")
    return array


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} must be numbers, got {array.dtype}")
    array = array.astype(float)
    _first_wrong(name, ~np.isfinite(array), array, "a finite number")
    return array


def _first_wrong(name: str, wrong: np.ndarray, array: np.ndarray, expected: str) -> None:
    """Raise for the first place that is wrong, if there is one."""
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        shown = ", ".join(map(str, place))
        raise DataError(f"{name}[{shown}] must be {expected}, got {array[place]}")


def _indices(name: str, array: np.ndarray, end: int) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} must be whole numbers, got {array.dtype}")
    _first_wrong(name, (array < 0) | (array >= end), array, f"a state from 0 to {end - 1}")
    return array.astype(np.int64)


def _distributions(name: str, array: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows, along the last axis, that sum to 1; those of the first axis that do not count may be 0."""
    array = _finite(name, array)
    _first_wrong(name, array < 0, array, "a probability, at least 0")
    sums = array.sum(-1)
    counted = np.broadcast_to(counts.reshape(-1, *([1] * (sums.ndim - 1))), sums.shape)
    wrong = counted & (np.abs(sums - 1) > SUM_TOLERANCE)
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        where = "" if name == "start" else f"[{', '.join(map(str, place))}]"
        raise DataError(f"{name}{where} must sum to 1, got {sums[place]:.6g}")
    return np.divide(array, sums[..., None], out=np.zeros_like(array), where=counted[..., None])


def _checked_discount(discount: Any, horizon: int | None) -> float:
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1):
        raise DataError(f"horizon must be a whole number of steps, at least 1, or be left out, got {horizon!r}")
    value = float(discount)
    if not 0 <= value <= 1 or (horizon is None and value == 1):
        bound = "at most 1" if horizon is not None else "below 1, as there is no horizon"
        raise DataError(f"discount must be at least 0 and {bound}, got {value:g}")
    return value


def _names(field_name: str, names: tuple[str, ...], num: int) -> tuple[str, ...]:
    names = tuple(str(name) for name in names)
    if names and len(names) != num:
        raise DataError(f"{field_name} must be {num} names, got {len(names)}")
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise DataError(f"{field_name}: {twice!r} is there twice; give each a name of its own")
    return names


def _cells(cells: np.ndarray, num_states: int) -> np.ndarray:
    cells = _of_shape("cells", cells, ((num_states, 2),))
    if cells.dtype.kind not in "iu":
        raise DataError(f"cells must be whole numbers, got {cells.dtype}")
    _first_wrong("cells", (cells < -1) | (cells > 10_000), cells, "a row or column, at least 0, or −1 for none")
    return cells.astype(np.int64)
