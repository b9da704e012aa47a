"""Texts that people bring to learn from: pairs, judged answers and demonstrations."""

from dataclasses import dataclass
from functools import cached_property

from heeler.core.nouns import Message, TextSegment


@dataclass(frozen=True, kw_only=True)
class PromptedText:
    """What all of them have: a prompt, and where in a file they stand."""

    prompt: tuple[Message, ...]
    """As in `TextSegment`."""
    place: str
    """Such as `pairs.jsonl, line 3`; every message about it begins so."""

    @cached_property
    def prompt_key(self) -> str:
        """Names how the prompt opens: whatever opens alike stands on one side of every split.

        Dialogues go on from each other, so that the whole prompt would part a dialogue from its own continuation.
        """
        return TextSegment(prompt=self.opening, completion="", policy_version=0).trajectory_id.partition("/")[2]

    @property
    def opening(self) -> tuple[Message, ...]:
        """Its first message that is not the system's, with the system's before it, which may be the same for all."""
        others = (place for place, message in enumerate(self.prompt) if message.role != "system")
        return self.prompt[: next(others, len(self.prompt)) + 1]


@dataclass(frozen=True, kw_only=True)
class TextPair(PromptedText):
    """Two completions of one prompt, one of which was found better, or neither."""

    chosen: str
    rejected: str
    margin: float = 0.0
    """By how much the chosen one is better, where its file says so; at least 0, in the units of that file."""
    is_equal: bool = False
    """Whether neither was found better; `chosen` is then just the one that is named first."""
    group: str = ""
    """What kind of pair it is, where its file says so: agreement is told for each."""
    annotator: str = ""
    """Who judged, where its file says so; told by number alone."""


@dataclass(frozen=True, kw_only=True)
class JudgedText(PromptedText):
    """A completion that was called good or bad by itself."""

    completion: str
    is_good: bool


@dataclass(frozen=True, kw_only=True)
class Demonstration(PromptedText):
    """A completion to be imitated."""

    completion: str

    @property
    def opening(self) -> tuple[Message, ...]:
        """The same; a text without a prompt stands for itself."""
        return super().opening or (Message(role="", content=self.completion),)
