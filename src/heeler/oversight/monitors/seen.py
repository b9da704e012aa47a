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
    """[K] places among steps times environments, evenly over a rollout; always the same: watching needs no chance."""
    number = num_steps * num_envs
    if number <= NUM_DRAWN:
        return np.arange(number)
    # Multiples of the golden ratio keep to no rhythm that a rollout may have.
    return np.unique((np.arange(NUM_DRAWN) * _GOLDEN % 1 * number).astype(np.int64))


def acted(rollout: Rollout, reward: NDArray[np.floating] | None) -> Acted:
    """Cut a rollout down.

    Args:
        rollout: what happened.
        reward: [T, N] as the learner got it, or None.
    """
    num_steps, num_envs = rollout.terminated.shape
    flat_K = drawn(num_steps, num_envs)
    # What follows an episode's end is the next one's beginning.
    flat_K = flat_K[~rollout.ended.reshape(-1).take(flat_K)]
    observation_BO = rollout.observation.reshape((num_steps + 1) * num_envs, -1)
    executed = rollout.executed.reshape(num_steps * num_envs, -1).take(flat_K, 0)
    same_LO, num_compared = _same(rollout)
    return Acted(
        observation_KO=observation_BO.take(flat_K, 0).astype(np.float64),
        executed_KA=executed.astype(np.float64),
        next_KO=observation_BO.take(flat_K + num_envs, 0).astype(np.float64),
        reward_K=np.full(len(flat_K), np.nan) if reward is None else reward.reshape(-1).take(flat_K).astype(np.float64),
        same_LO=same_LO,
        num_compared=num_compared,
        num_steps=rollout.terminated.size,
        costly_C=(rollout.cost > 0).mean((0, 1)),
        is_discrete=executed.dtype.kind == "i",
    )


@cache
def _compared(num_envs: int) -> NDArray[np.int64]:
    """Environments that are looked at whole."""
    return np.unique(np.linspace(0, num_envs - 1, min(num_envs, _NUM_COMPARED)).astype(np.int64))


def _same(rollout: Rollout) -> tuple[Floats, int]:
    """[L, O] share of steps at which a number is what it was a lag before, in the same episode, and of how many.

    Of four environments: what is stuck is so in all of them, and the whole would take longer than all else here.
    """
    num_steps, num_envs = rollout.terminated.shape
    columns = _compared(num_envs)
    seen_TNO = rollout.observation[:num_steps].take(columns, 1)
    episode_TN = rollout.episode_index.take(columns, 1)
    same_LO, number_L = np.zeros((len(LAGS), seen_TNO.shape[2])), np.zeros(len(LAGS))
    for place, lag in enumerate(LAGS):
        within_B = (episode_TN[lag:] == episode_TN[:-lag]).reshape(-1).astype(np.float32)
        same_BO = (seen_TNO[lag:] == seen_TNO[:-lag]).reshape(len(within_B), -1).astype(np.float32)
        number_L[place] = within_B.sum()
        # As a product, which is exact for counts like these and many times as fast as a sum of booleans.
        same_LO[place] = within_B @ same_BO / max(number_L[place], 1)
    return same_LO, int(number_L.min())
