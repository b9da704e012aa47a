"""What scorers and guards of text are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heeler.core.nouns import Message


@dataclass(frozen=True, kw_only=True)
class TextSample:
    """A completion with its prompt, and what else its row of the data says."""

    prompt: tuple[Message, ...]
    """As in `TextSegment`."""
    completion: str
    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Other columns of its row, such as `reference` or `facts`."""
    num_tokens: int | None = None
    """Of the completion, where a model sampled it."""
    truncated: bool = False
    """Whether it was cut at the length limit."""
