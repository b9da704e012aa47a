"""The nouns that every room shares. Plain data: NumPy arrays and built-in types, no torch, no I/O."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

FeedbackKind = Literal["preference", "rating", "evaluation", "critique", "correction", "demonstration"]
FEEDBACK_KINDS: tuple[FeedbackKind, ...] = get_args(FeedbackKind)

CommandKind = Literal[
    "pause",
    "resume",
    "stop",
    "roll_back",
    "set_budget",
    "slow",
    "freeze",
    "fall_back",
    "thaw",
    "safe_stop",
    "hard_stop",
]
COMMAND_KINDS: tuple[CommandKind, ...] = get_args(CommandKind)
URGENT_KINDS: frozenset[CommandKind] = frozenset({"stop", "safe_stop", "freeze", "fall_back"})
"""Those that a learner obeys at its next step in the world; it breaks off what it was collecting for them."""

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


TEXT = "text"
"""What stands for the world where segments are of text; no world may be named so."""

PLAIN = "text"
"""Role of a prompt that is plain text, which the completion continues letter by letter; other roles are a chat's."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a prompt."""

    role: str
    """Such as `system`, `user` or `assistant`; `PLAIN` for text that is no chat."""
    content: str


@dataclass(frozen=True, kw_only=True)
class TextSegment:
    """A prompt with its completion: what a language model made of it, for a person to judge.

    A position in the completion counts Unicode code points, as Python does: 0 is before the first one, and a part from
    `start` to `end` is `completion[start:end]`. JavaScript's strings count UTF-16 units, of which a character beyond
    U+FFFF (most emoji) is two: there position p of a string s is `[...s.slice(0, p)].length` here.
    """

    prompt: tuple[Message, ...]
    """A chat's messages, the oldest first; or one message of the role `PLAIN`; or none.

    Plain text is kept apart from a chat of one message, as a model is given the one as it stands and the other through
    its chat template: neither may turn into the other on its way through a store.
    """
    completion: str
    """What came of it: the next message of a chat, by the assistant, or how the plain text goes on."""
    policy_version: int

    def __len__(self) -> int:
        return len(self.completion)

    @property
    def env_id(self) -> str:
        """`TEXT`, where a segment of control names its world."""
        return TEXT

    @cached_property
    def trajectory_id(self) -> str:
        """Names the prompt, as `FIRST/WHOLE`: hashes of its first message and of all of it.

        Completions of one prompt share it. Prompts that begin alike share what stands before the slash; a validation
        split that goes by that keeps dialogues apart from their own continuations.
        """
        messages = [[message.role, message.content] for message in self.prompt]
        return f"{_text_sha256(messages[:1])[:32]}/{_text_sha256(messages)[:32]}"

    @property
    def is_chat(self) -> bool:
        """Whether the prompt is a chat's messages, not plain text."""
        return bool(self.prompt) and self.prompt[0].role != PLAIN

    @cached_property
    def id(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the content: equal content, equal id."""
        messages = [[message.role, message.content] for message in self.prompt]
        return _text_sha256([TEXT, self.policy_version, messages, self.completion])


def _text_sha256(value: list[Any]) -> str:
    """Of a value as JSON in ASCII, which holds any text there is."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode("ascii")).hexdigest()


def plain_prompt(text: str) -> tuple[Message, ...]:
    """A prompt that is plain text; the empty text is no prompt.

    >>> plain_prompt("The sky is")
    (Message(role='text', content='The sky is'),)
    """
    return (Message(role=PLAIN, content=text),) if text else ()


AnySegment = Segment | TextSegment


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question about one or more segments, of one kind."""

    id: str
    kind: FeedbackKind
    segment_ids: tuple[str, ...]
    """Two, left then right, for a preference; one for every other kind. Texts in one query share their prompt."""
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
        critique: {"text": str, "start": int, "end": int}  (steps or characters, end excluded), perhaps "sign": -1 | 1
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
    view: Mapping[str, Any] | None = field(default=None, hash=False)
    """What a model thought of the question, where that was offered with it, and whether the annotator opened it before
    answering; None where nothing was offered, or whoever answered does not say.

    {"opened": bool, "first_better": float | None, "best": [[start, end], ...], "worst": [[start, end], ...]}: the
    chance that the first of two segments is preferred, and of each segment a part in steps, end excluded.
    """


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
    """What an operator told the learner to do; it obeys between two updates, or at its next step where it is urgent."""

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
