"""Demonstrations: whole episodes in which somebody, or something, shows how it is done.

Shapes: T steps of an episode, E episodes, B steps of all episodes, O observation numbers, A action numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstration:
    """One episode, from its first observation to its last."""

    observation: np.ndarray
    """[T+1, O] float32; the last row is what was seen when the episode had ended."""
    action: np.ndarray
    """[T, A] what was executed: float32 within its bounds for Box, int64 for Discrete (A = 1) and MultiDiscrete."""
    terminated: bool
    """Whether it ended in a terminal state; else it was cut, and what came after has a value."""
    reward: np.ndarray | None = None
    """[T] float64 true reward, or None where it is not known. No learner sees it."""

    def __len__(self) -> int:
        return len(self.action)


class Steps(NamedTuple):
    """The steps of all episodes, one after the other."""

    observation: np.ndarray
    """[B, O] float32."""
    action: np.ndarray
    """[B, A]."""
    next_observation: np.ndarray
    """[B, O] float32: at an episode's end its last observation."""
    terminated: np.ndarray
    """[B] bool: the step ended its episode in a terminal state."""
    episode: np.ndarray
    """[B] int64: which episode the step is of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstrations:
    """Some episodes of one world."""

    episodes: tuple[Demonstration, ...]
    env_id: str = ""
    """The world's id; empty where nobody says."""
    source: str = "demonstrations"
    """Where they come from, for messages."""

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def num_steps(self) -> int:
        """B."""
        return sum(len(episode) for episode in self.episodes)

    @cached_property
    def steps(self) -> Steps:
        """All steps."""
        episodes = self.episodes
        last = [np.arange(len(one)) == len(one) - 1 for one in episodes]
        return Steps(
            observation=np.concatenate([one.observation[:-1] for one in episodes]),
            action=np.concatenate([one.action for one in episodes]),
            next_observation=np.concatenate([one.observation[1:] for one in episodes]),
            terminated=np.concatenate([ends & one.terminated for ends, one in zip(last, episodes, strict=True)]),
            episode=np.repeat(np.arange(len(episodes)), [len(one) for one in episodes]),
        )

    @property
    def returns(self) -> np.ndarray | None:
        """[E] sums of true reward; None where an episode's is not known."""
        rewards = [one.reward for one in self.episodes if one.reward is not None]
        return np.array([reward.sum() for reward in rewards]) if len(rewards) == len(self) else None

    @property
    def terminated_share(self) -> float:
        """Share of the episodes that ended in a terminal state."""
        return float(np.mean([one.terminated for one in self.episodes]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that a learner sees of them."""
        digest = hashlib.sha256()
        for one in self.episodes:
            digest.update(f"{one.observation.shape}{one.action.shape}{one.action.dtype}{one.terminated}|".encode())
            digest.update(np.ascontiguousarray(one.observation).tobytes())
            digest.update(np.ascontiguousarray(one.action).tobytes())
        return digest.hexdigest()

    def first(self, num: int) -> "Demonstrations":
        """The first `num` episodes."""
        return replace(self, episodes=self.episodes[:num])


def held_out(episode: np.ndarray | Sequence[int], share: float) -> np.ndarray:
    """Which steps are kept from fitting, by the number of their episode: all of an episode, or nothing of it.

    The numbers are spread by the golden ratio (Knuth's multiplicative hash), so that among any that follow one another
    about the right share is held out, and episode 0 always is.

    Args:
        episode: [B] number of each step's episode.
        share: of the episodes, 0 to 1; 0 holds nothing out.

    Returns:
        [B] bool.

    Example:
        >>> held_out([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0.2).tolist()
        [True, True, False, False, False, False, True, False, False, False, False]
    """
    spread = (np.asarray(episode, np.uint64) * np.uint64(2654435769) % np.uint64(2**32)).astype(np.float64) / 2**32
    return spread < share
