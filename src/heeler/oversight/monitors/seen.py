"""What monitors see of a run after an update: its row of metrics, and plain arrays cut from what happened.

Never the learner itself: whoever watches shares nothing with who is watched, and cannot change it.
Shapes: T steps, N environments, O observation numbers, A action numbers, C costs, K steps that were drawn, L lags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from heeler.core.rollout import Rollout
from heeler.oversight.betting import Floats

NUM_DRAWN = 256
"""K at most."""
LAGS = (1, 2)
"""Steps after which a number that is the same again is counted."""
_NUM_COMPARED = 4
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer that was taken in since the last update."""

    annotator: str
    choice: str
    """`left`, `right`, `equal` or `cant_tell`."""
    left: str
    """Segment."""
    right: str
    """Segment."""
    time_taken_s: float | None = None
    is_foretold: bool | None = None
    """Whether the learned reward, before it learned from this answer, would have given it; None where nobody knows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Acted:
    """What happened in a rollout, cut down to what monitors need."""

    observation_KO: Floats
    executed_KA: Floats
    next_KO: Floats
    reward_K: Floats
    """As the learner got it; NaN where it got none."""
    same_LO: Floats
    """Share of steps after which each number was exactly what it had been 1, 2 steps before, within an episode."""
    num_steps: int
    """T times N."""
    num_compared: int
    """Steps that `same_LO` is of."""
    costly_C: Floats
    """Share of steps that cost anything, each cost of the world."""
    is_discrete: bool
    """Whether actions are choices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One look at a run."""

    step: int
    update: int
    """Updates made so far, this one among them."""
    row: Mapping[str, float]
    """Of metrics."""
    acted: Acted | None = None
    """None for language models."""
    returns: Sequence[float] = ()
    """Of the episodes that ended since the last look, seen whole."""
    answers: Sequence[Answer] = ()
    num_open: int = 0
    """Questions that wait for an answer."""
    machine: Mapping[str, float] = field(default_factory=dict[str, float])
    """`free_disk_mb`, `free_memory_mb`, `memory_mb` of the process."""
    damaged: Sequence[str] = ()
    """What is wrong with checkpoints on the disk, in words."""


@cache
def drawn(num_steps: int, num_envs: int) -> NDArray[np.int64]:
    """[2, K] steps and environments, evenly over a rollout and always the same, so that watching needs no chance."""
    number = num_steps * num_envs
    if number <= NUM_DRAWN:
        flat = np.arange(number)
    else:
        # Multiples of the golden ratio keep to no rhythm that a rollout may have.
        flat = np.unique((np.arange(NUM_DRAWN) * _GOLDEN % 1 * number).astype(np.int64))
    return np.stack(np.divmod(flat, num_envs))


def acted(rollout: Rollout, reward: NDArray[np.floating] | None) -> Acted:
    """Cut a rollout down.

    Args:
        rollout: what happened.
        reward: [T, N] as the learner got it, or None.
    """
    t, n = drawn(*rollout.terminated.shape)
    # What follows an episode's end is the next one's beginning.
    going = ~rollout.ended[t, n]
    t, n = t[going], n[going]
    observation, executed = rollout.observation, rollout.executed[t, n]
    same = [_same(rollout, lag) for lag in LAGS]
    return Acted(
        observation_KO=observation[t, n].astype(np.float64),
        executed_KA=executed.reshape(len(t), -1).astype(np.float64),
        next_KO=observation[t + 1, n].astype(np.float64),
        reward_K=np.full(len(t), np.nan) if reward is None else np.asarray(reward[t, n], np.float64),
        same_LO=np.stack([share for share, _ in same]),
        num_compared=min(number for _, number in same),
        num_steps=rollout.terminated.size,
        costly_C=(rollout.cost > 0).mean((0, 1)),
        is_discrete=executed.dtype.kind == "i",
    )


@cache
def _compared(num_envs: int) -> NDArray[np.int64]:
    """Environments that are looked at whole."""
    return np.unique(np.linspace(0, num_envs - 1, min(num_envs, _NUM_COMPARED)).astype(np.int64))


def _same(rollout: Rollout, lag: int) -> tuple[Floats, int]:
    """[O] share of steps at which a number is what it was `lag` steps before, in the same episode, and of how many.

    Of four environments: what is stuck is so in all of them, and the whole would take longer than all else here.
    """
    num_steps, num_envs = rollout.terminated.shape
    columns = _compared(num_envs)
    seen, episode = rollout.observation[:num_steps, columns], rollout.episode_index[:, columns]
    within = episode[lag:] == episode[:-lag]
    same: Floats = ((seen[lag:] == seen[:-lag]) & within[..., None]).sum((0, 1)).astype(np.float64)
    number = int(within.sum())
    return same / max(number, 1), number
