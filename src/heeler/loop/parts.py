"""What a run carries beside its learner: parts, each with as much of one small protocol as concerns it.

The loop knows in which order they come, and nothing else of most of them. Shapes: T steps, N environments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.models.policy import Policy

Arrays = dict[str, np.ndarray]
Metrics = dict[str, float]
Kept = tuple[Arrays, Any]
"""What a checkpoint keeps: arrays, and JSON-ready values."""
_IN_STATE = ("returns", "preferences", "overseers", "holding", "watch", "costs", "shaping")
"""Parts that a checkpoint's state tells of, None for one that the run does not have."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of the loop, from its rollout to what is learned from it."""

    rollout: Rollout
    """What was acted."""
    step: int
    """Environment steps of the run at its end."""
    progress: float
    """Share of the policy's updates that is over."""
    policy: Policy
    """The learner's; it acted, where `is_own`."""
    is_own: bool
    """Whether the learner's policy acted, and nothing that is trusted in its place."""
    reward: np.ndarray | None
    """[T, N] to learn from; None where there is none yet."""


class Part:
    """Something that a run carries. Each overrides what concerns it; the rest does nothing."""

    name: ClassVar[str] = ""
    """In a checkpoint."""

    @property
    def prefix(self) -> str:
        """Of its arrays' names in a checkpoint."""
        return f"{self.name}."

    def wants_snapshots(self) -> bool:
        """Asked before each rollout: whether what drawing needs of every state is to be recorded in it."""
        return False

    def after_rollout(self, turn: Turn) -> Turn:
        """Take in what was acted; returns the turn, with what this part makes of it."""
        return turn

    def metrics(self) -> Metrics:
        """For the row of the update."""
        return {}

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        return {}, None

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned; `state` is None in a checkpoint that is older than the part.

        Raises:
            HeelerError: what it goes by is not what it was.
        """

    def restart(self) -> None:
        """Every environment has begun a new episode."""

    def close(self) -> None:
        """The run has ended."""


def kept_of(parts: Iterable[Part]) -> tuple[Arrays, dict[str, Any]]:
    """What a checkpoint keeps of all parts: arrays under their prefixes, states under their names."""
    arrays: Arrays = {}
    states: dict[str, Any] = dict.fromkeys(_IN_STATE)
    for part in parts:
        own, state = part.kept()
        arrays |= {f"{part.prefix}{name}": array for name, array in own.items()}
        if state is not None:
            states[part.name] = state
    return arrays, states


def restore(parts: Iterable[Part], arrays: Arrays, states: Mapping[str, Any]) -> None:
    """Have all parts go on from what `kept_of` returned."""
    for part in parts:
        part.restore(under(part.prefix, arrays), states.get(part.name))
