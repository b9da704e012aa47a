"""The nouns that every room shares. Plain data: NumPy arrays and built-in types, no torch, no I/O."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

FeedbackKind = Literal["preference", "rating", "evaluation", "critique", "correction", "demonstration"]
FEEDBACK_KINDS: tuple[FeedbackKind, ...] = get_args(FeedbackKind)

CommandKind = Literal["pause", "resume", "stop", "roll_back", "set_budget"]
COMMAND_KINDS: tuple[CommandKind, ...] = get_args(CommandKind)

PreferenceChoice = Literal["left", "right", "equal", "cant_tell"]
PREFERENCE_CHOICES: tuple[PreferenceChoice, ...] = get_args(PreferenceChoice)

_NAMESPACE = uuid.UUID("6f1d1f43-8d38-5f0c-9a53-0c6c1e2f7b11")


def stable_id(*parts: object) -> str:
    """A UUID made from `parts` alone: the same parts give the same id in every process."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """A stretch of behaviour that a person can judge: a fragment of one trajectory, never across an episode's end.

    Shapes: T steps, O observation numbers, A action numbers (1 for Discrete), S numbers that drawing needs.
    """

    observation: np.ndarray
    """[T, O] float32: what the agent saw before each action."""
    action: np.ndarray
    """[T, A] what was executed: float32 within its bounds for Box, int64 for Discrete and MultiDiscrete."""
    next_observation: np.ndarray
    """[T, O] float32: what came of each action; at an episode's end the terminal observation, not the reset's."""
    true_reward: np.ndarray | None = None
    """[T] float32, or None where no true reward is known. Only simulated teachers and reports read it."""
    snapshot: np.ndarray | None = None
    """[T, S] float32 that `envs.draw` turns into frames, or None."""
    env_id: str
    policy_version: int
    trajectory_id: str
    """Names the episode that it was cut from; validation splits go by it."""
    start_step: int
    """Step within the episode at which it begins."""

    def __len__(self) -> int:
        return len(self.observation)

    @cached_property
    def id(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the content: equal content, equal id."""
        digest = hashlib.sha256()
        digest.update(f"{self.env_id}|{self.policy_version}|{self.trajectory_id}|{self.start_step}".encode())
        for array in (self.observation, self.action, self.next_observation, self.true_reward, self.snapshot):
            digest.update(b"|" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question about one or more segments, of one kind."""

    id: str
    kind: FeedbackKind
    segment_ids: tuple[str, ...]
    """Two, left then right, for a preference; one for every other kind."""
    policy_version: int
    asked_step: int
    """The learner's environment steps when it asked."""
    acquisition: str = ""
    """How it was chosen, for the report."""
    score: float = 0.0
    """What that acquisition gave it; what it means depends on the acquisition."""


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One immutable answer.

    `value` by kind:
        preference: {"choice": "left" | "right" | "equal" | "cant_tell"}
        rating: {"score": float, "low": float, "high": float}
        evaluation: {"marks": [{"time_s": float, "sign": -1 | 1}, ...]}
        critique: {"text": str, "start": int, "end": int}  (steps or characters, end excluded)
        correction: {"step": int, "action": [...]} or {"text": str}
        demonstration: {"segment_id": str}
    """

    key: str
    """Idempotency key, a UUID made by the client: the same key with the same body is the same answer."""
    query_id: str
    kind: FeedbackKind
    value: Mapping[str, Any] = field(hash=False)
    annotator: str
    time_taken_s: float | None = None
    confidence: float | None = None
    """0 to 1, as the annotator stated it."""
    answered_step: int | None = None
    """The learner's environment steps when a simulated teacher answered; None for people and outside programs."""


@dataclass(frozen=True, kw_only=True)
class PolicyVersion:
    """A policy that acted: its number, when it was made, and the checkpoint that holds it (if one does)."""

    version: int
    step: int
    checkpoint_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A query that was handed to one annotator to answer, and to as few others as its overlap allows."""

    query: Query
    annotator: str
    expires_unix_s: float
    """Until when nobody else is asked in their place."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What an operator told the learner to do; it obeys between two updates."""

    id: str
    """A UUID made by the client: the same command again is the same command."""
    kind: CommandKind
    value: int | None = None
    """Step of the checkpoint to roll back to; comparisons of the new budget; None for the other kinds."""
    person: str
    """Who said so."""
    asked_unix_s: float
    done_unix_s: float | None = None
    """When the learner had obeyed, or refused; None before."""
    outcome: str | None = None
    """What came of it, in words."""
