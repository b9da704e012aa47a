"""Prompts with their completions as tokens that fit into a model's context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jaxtyping import Int
from torch import Tensor

from heeler.core.errors import DataError
from heeler.core.nouns import Message

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel

LongPrompts = Literal["refuse", "drop", "truncate_left"]
"""What becomes of a text that does not fit into the context: `refuse` ends with the first, `drop` leaves it out and
counts it, `truncate_left` cuts its prompt at the beginning and counts it. A completion is never cut, as what was judged
is all of it: a text with one that does not fit is left out then."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Tokens of a prompt, and of completions each of which fits behind it."""

    prompt: Int[Tensor, " prompt"]
    completions: tuple[Int[Tensor, " completion"], ...]
    """Each with the token that ends it."""
    is_truncated: bool
    """Whether the prompt was cut."""


def fitted(
    model: "LanguageModel",
    prompt: Sequence[Message],
    completions: Mapping[str, str],
    *,
    place: str,
    long_prompts: LongPrompts,
) -> Fitted | None:
    """Tokens of a prompt and its completions; None where they are left out.

    Args:
        model: gives tokenizer and context.
        prompt: that all of them follow, token for token.
        completions: by the field that each stands in.
        place: where they stand, for messages.
        long_prompts: what becomes of what does not fit.

    Raises:
        DataError: it does not fit and is to be refused, or is a chat and the tokenizer has no template; names `place`.
    """
    try:
        prompt_ids = model.untruncated_ids(prompt)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    found = {name: model.completion_ids(text) for name, text in completions.items()}
    room = model.max_length - max(len(ids) for ids in found.values())
    is_long = len(prompt_ids) > room
    if is_long and long_prompts == "refuse":
        sizes = {name: len(ids) for name, ids in found.items()}
        raise DataError(f"{place}: {_too_long(model.max_length, len(prompt_ids), sizes)}")
    if is_long and (long_prompts == "drop" or room < 1):
        return None
    ids = prompt_ids[-room:] if is_long else prompt_ids
    return Fitted(prompt=ids, completions=tuple(found.values()), is_truncated=is_long)


def _too_long(max_length: int, num_prompt: int, sizes: Mapping[str, int]) -> str:
    field = max(sizes, key=lambda name: sizes[name])
    if sizes[field] >= max_length:
        return (
            f"{field}: {sizes[field]} tokens, and the model's context holds {max_length}; completions are not cut: "
            "take a model with a longer context, or set long_prompts to drop"
        )
    return (
        f"prompt: {num_prompt} tokens, with {sizes[field]} of {field} more than the model's context of {max_length}; "
        "set long_prompts to drop or truncate_left"
    )
