"""What a rule finds in a text, and what is to become of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message

Action = Literal["replace", "resample", "block"]
"""Put a mark in its place; keep the text back and try another sample; or keep it back for good."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A part of a text that a rule objects to. It does not hold the words: findings are logged."""

    start: int
    end: int
    """Characters of the text, end excluded."""
    what: str
    """In a word or two, such as `e-mail`."""
    score: float | None = None
    """How sure the rule is, 0 to 1, where it can say."""


class Rule(Protocol):
    """One thing that a guard looks for."""

    @property
    def name(self) -> str:
        """By which its findings are logged."""
        ...

    @property
    def action(self) -> Action:
        """What becomes of what it finds."""
        ...

    def look(self, text: str, prompt: Sequence[Message]) -> Sequence[Finding]:
        """All findings; `prompt` is what the text answers, or what it is a part of."""
        ...


def check_action(action: Action) -> Action:
    """Raise a ConfigError unless it is one."""
    if action not in get_args(Action):
        raise ConfigError(f"action must be one of {', '.join(get_args(Action))}, got {action!r}")
    return action
