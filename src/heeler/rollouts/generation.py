"""What a serving engine is asked for and what it gives: the protocol that all engines keep to."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from heeler.core.errors import DataError
from heeler.models.language.model import LanguageModel

FinishReason = Literal["stop", "length", "cancelled", "error"]
_MOST_TOP_LOGPROBS = 20


@dataclass(frozen=True, kw_only=True)
class GenerationParams:
    """How one completion is made for a person.

    Raises:
        DataError: one of them is out of range; it is named.
    """

    max_new_tokens: int = 256
    """Where it is cut; the model's context may cut it before."""
    temperature: float = 1.0
    """Logits are divided by it; 0 takes the likeliest token always."""
    top_p: float = 1.0
    """Only the likeliest tokens that have so much probability together."""
    top_k: int = 0
    """Only so many of the likeliest tokens; 0 is no limit."""
    stop: tuple[str, ...] = ()
    """Strings that end it; they are not shown."""
    seed: int = field(default_factory=lambda: secrets.randbits(63))
    """The same seed gives the same tokens, whatever else is going on."""
    top_logprobs: int = 0
    """So many of the likeliest tokens are told with each, at most 20."""

    def __post_init__(self) -> None:
        _check(self.max_new_tokens >= 1, "max_new_tokens", ">= 1", self.max_new_tokens)
        _check(0 <= self.temperature < float("inf"), "temperature", ">= 0 and finite", self.temperature)
        _check(0 < self.top_p <= 1, "top_p", "in (0, 1]", self.top_p)
        _check(self.top_k >= 0, "top_k", ">= 0", self.top_k)
        _check(all(self.stop), "stop", "strings that are not empty", self.stop)
        _check(-(2**63) <= self.seed < 2**63, "seed", "an integer of 64 bits", self.seed)
        in_range = 0 <= self.top_logprobs <= _MOST_TOP_LOGPROBS
        _check(in_range, "top_logprobs", f"in [0, {_MOST_TOP_LOGPROBS}]", self.top_logprobs)


def _check(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise DataError(f"{name} must be {expected}, got {got!r}")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What came of a completion since the piece before; together they are all of it."""

    token_ids: tuple[int, ...] = ()
    """As they were sampled, those included that end it."""
    text: str = ""
    """What they say, never half a character; a stop string is left out."""
    logprobs: tuple[float, ...] = ()
    """Of each token, from the whole distribution at the temperature (at 1 where it is 0)."""
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] = ()
    """The likeliest (token, log-probability) at each token, where they were asked for."""
    finish_reason: FinishReason | None = None
    """Set in the last piece alone."""
    version: int
    """Of the model that all of the completion is from."""
    error: str | None = None
    """What went wrong, where the reason is `error`."""


OnPiece = Callable[[Piece], None]
"""Called on the engine's thread, which waits for it: it should only put the piece somewhere."""


class Ticket(Protocol):
    """A completion that was asked for."""

    def cancel(self) -> None:
        """End it at the next token; may be called from any thread, and more than once."""
        ...


class TextEngine(Protocol):
    """Makes many completions at a time. All of it may be called from any thread."""

    @property
    def version(self) -> int:
        """Of the model that new completions come from."""
        ...

    @property
    def max_length(self) -> int:
        """Tokens of a prompt and its completion together, at most."""
        ...

    def submit(
        self, prompt_ids: Sequence[int], params: GenerationParams, on_piece: OnPiece, *, version: int | None = None
    ) -> Ticket:
        """Ask for a completion.

        Args:
            prompt_ids: tokens of the prompt.
            params: how it goes on.
            on_piece: is told.
            version: that of the model beside the newest one, to have it made by that, for as long as it is there.

        Raises:
            DataError: the prompt is empty, leaves no room in the context, or holds tokens that there are not.
            RunError: the engine was closed.
        """
        ...

    def swap(self, model: LanguageModel, version: int) -> None:
        """Have new completions come from another model; those that have begun end on theirs.

        Raises:
            ConfigError: this engine cannot exchange its model for that one.
            RunError: the engine was closed.
        """
        ...

    def put_beside(self, model: LanguageModel, version: int) -> None:
        """Have completions for which this version is asked come from another model than the newest.

        There is one such model at a time; errors are as of `swap`.
        """
        ...

    def take_aside(self) -> None:
        """Have no other model beside the newest; what it has begun ends on it."""
        ...

    def close(self) -> None:
        """Cancel everything, and end."""
        ...


def check_prompt(prompt_ids: Sequence[int], *, num_tokens: int, max_length: int) -> None:
    """Refuse a prompt that no engine can go on with.

    Args:
        prompt_ids: the prompt.
        num_tokens: that the model knows.
        max_length: tokens of a prompt and its completion together.

    Raises:
        DataError: it is empty, leaves no room, or holds tokens that there are not.
    """
    size = len(prompt_ids)
    if size == 0:
        raise DataError("prompt: empty; expected at least one token")
    if size >= max_length:
        raise DataError(f"prompt: {size} tokens, and the context holds {max_length}; shorten it")
    wrong = next((token for token in prompt_ids if not 0 <= token < num_tokens), None)
    if wrong is not None:
        raise DataError(f"prompt: token {wrong} is none of the model's {num_tokens}")
