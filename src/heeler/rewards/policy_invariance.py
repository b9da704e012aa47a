r"""Whether an extra reward leaves the best policy as it is, whatever the reward beside it: exactly, for tables.

It does just where a potential explains it (Ng, Harada and Russell 1999): $F(s, a, s') = \gamma \phi(s') - \phi(s)$ on
every step that can be made, with a potential of nothing in terminal states. Shapes: S states, A actions, K steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError

_TOLERANCE = 1e-8
"""Of what is left over, in the largest extra reward: rounding."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A way that comes back to where it began, and earns on each round."""

    gain: float
    """What the extra reward earns a step of it, beyond what the nearest potential explains."""
    states: tuple[int, ...]
    """In order; from the last it goes to the first again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TableCheck:
    """What a potential explains of an extra reward."""

    potential: np.ndarray
    """[S] the one that explains most of it, in the sense of least squares; 0 in terminal states."""
    worst: float
    """The largest part of a step's extra reward that it leaves over."""
    unexplained: float
    """Share of the extra reward's square that is left over: 0 is potential-based, 1 is nothing explained."""
    loop: Loop | None = None
    """The loop that earns most a step, for ever; None where none earns."""

    @property
    def is_potential_based(self) -> bool:
        """Whether the best policy stays as it is whatever the reward is."""
        return self.unexplained == 0

    @property
    def in_words(self) -> str:
        """For people."""
        if self.is_potential_based:
            return "a potential explains all of the extra reward: the best policy stays as it is"
        earned = ""
        if self.loop is not None:
            way = " → ".join(str(state) for state in (*self.loop.states, self.loop.states[0]))
            earned = f"; going round {way} earns {self.loop.gain:.4g} a step, for ever"
        return (
            f"no potential explains the extra reward: {self.unexplained:.0%} of it is left over, up to "
            f"{self.worst:.4g} of a step, and the best policy may change{earned}"
        )


def check_table(
    extra_SAS: np.ndarray, possible_SAS: np.ndarray, terminal_S: np.ndarray, *, discount: float
) -> TableCheck:
    """Look for the potential of an extra reward by linear least squares over all steps that can be made.

    Args:
        extra_SAS: the extra reward of each state, action and next state.
        possible_SAS: bool: whether the action can lead there.
        terminal_S: bool: states in which an episode ends; what is done in them does not count.
        discount: gamma, the learner's, above 0 and at most 1.

    Raises:
        DataError: shapes do not fit, no step is possible, or an extra reward is no finite number.
    """
    num_states = len(terminal_S)
    if extra_SAS.shape != possible_SAS.shape or extra_SAS.shape[::2] != (num_states, num_states):
        raise DataError(
            f"extra reward and possible steps must have shape (S, A, S) with S = {num_states}, got {extra_SAS.shape} "
            f"and {possible_SAS.shape}"
        )
    if not 0 < discount <= 1:
        raise DataError(f"discount must be above 0 and at most 1, got {discount}")
    start, action, end = np.nonzero(possible_SAS & ~terminal_S[:, None, None])
    extra = extra_SAS[start, action, end]
    if not len(extra) or not np.isfinite(extra).all():
        raise DataError("an extra reward needs at least one step that can be made, and a finite number for each")
    steps = np.arange(len(extra))
    matrix = np.zeros((len(extra), num_states))
    np.add.at(matrix, (steps, end), discount * ~terminal_S[end])
    np.add.at(matrix, (steps, start), -1.0)
    potential = np.linalg.lstsq(matrix, extra, rcond=None)[0]
    residual = extra - matrix @ potential
    worst, size = float(np.abs(residual).max()), float(np.abs(extra).max())
    if worst <= _TOLERANCE * max(size, 1e-300):
        return TableCheck(potential=potential, worst=worst, unexplained=0.0)
    edges = np.full((num_states, num_states), -math.inf)
    np.maximum.at(edges, (start, end), residual)
    loop = best_loop(edges)
    earns = loop is not None and loop.gain > _TOLERANCE * size
    share = float(np.square(residual).sum() / np.square(extra).sum())
    return TableCheck(potential=potential, worst=worst, unexplained=share, loop=loop if earns else None)


def best_loop(edges_SS: np.ndarray) -> Loop | None:
    """The closed way of the highest mean, by Karp's algorithm (1978); None where there is none.

    Args:
        edges_SS: what a step from one state to another earns; minus infinity where there is no such step.
    """
    num = len(edges_SS)
    reached, before = np.zeros((num + 1, num)), np.zeros((num + 1, num), np.int64)
    for length in range(1, num + 1):
        ways_SS = reached[length - 1][:, None] + edges_SS
        before[length] = ways_SS.argmax(0)
        reached[length] = ways_SS.max(0)
    last = reached[num]
    if not np.isfinite(last).any():
        return None
    lengths = num - np.arange(num)
    with np.errstate(invalid="ignore"):
        means = np.where(np.isfinite(reached[:-1]), (last - reached[:-1]) / lengths[:, None], math.inf).min(0)
    state = int(np.where(np.isfinite(last), means, -math.inf).argmax())
    way = [state]
    for length in range(num, 0, -1):
        state = int(before[length][state])
        way.append(state)
    return _best_round(way[::-1], edges_SS)


def _best_round(way: Sequence[int], edges_SS: np.ndarray) -> Loop:
    """The round of the highest mean among those that a way holds, which has more steps than there are states."""
    best: Loop | None = None
    open_way: list[int] = []
    for state in way:
        if state in open_way:
            first = open_way.index(state)
            states = open_way[first:]
            following = [*states[1:], states[0]]
            gain = float(np.mean([edges_SS[a, b] for a, b in zip(states, following, strict=True)]))
            if best is None or gain > best.gain:
                best = Loop(gain=gain, states=tuple(states))
            del open_way[first + 1 :]
        else:
            open_way.append(state)
    assert best is not None
    return best
