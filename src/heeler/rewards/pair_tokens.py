"""Pairs of texts as tokens. The prompt of a pair is tokenised once, and both completions follow those very tokens.

Shapes: Q pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from heeler.core.errors import DataError
from heeler.core.text_data import TextPair
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch
from heeler.rewards.reward_settings import LongPrompts

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class PairTokens:
    """Q pairs' tokens, and what became of those that are too long."""

    prompts: tuple[Int[Tensor, " prompt"], ...]
    chosen: tuple[Int[Tensor, " completion"], ...]
    """With the token that ends them."""
    rejected: tuple[Int[Tensor, " completion"], ...]
    kept: tuple[int, ...]
    """Places of the Q pairs among those that were given."""
    num_dropped: int
    num_truncated: int

    def __len__(self) -> int:
        return len(self.prompts)

    def length(self, pair: int) -> int:
        """Places of a row that holds the pair."""
        return len(self.prompts[pair]) + len(self.chosen[pair]) + len(self.rejected[pair])

    def batch(self, pairs: Sequence[int]) -> TextBatch:
        """Some of them, the chosen completion of each before the rejected one, behind one prompt."""
        completions = [ids for pair in pairs for ids in (self.chosen[pair], self.rejected[pair])]
        return stored(
            [self.prompts[pair] for pair in pairs], completions, torch.arange(len(pairs)).repeat_interleave(2)
        )


def pair_tokens(model: "LanguageModel", pairs: Sequence[TextPair], long_prompts: LongPrompts) -> PairTokens:
    """Tokenise pairs.

    Args:
        model: gives tokenizer and context.
        pairs: to tokenise.
        long_prompts: what becomes of a pair that does not fit into the context: `refuse` ends with the first, `drop`
            leaves it out and counts it, `truncate_left` cuts its prompt at the beginning and counts it. A completion is
            never cut, as what was judged is all of it: a pair with one that does not fit is left out then.

    Raises:
        DataError: a pair does not fit, or its prompt is a chat and the tokenizer has no template; names its place.
    """
    kept: list[tuple[Tensor, Tensor, Tensor, int]] = []
    num_dropped = num_truncated = 0
    for number, pair in enumerate(pairs):
        try:
            prompt = model.untruncated_ids(pair.prompt)
        except DataError as error:
            raise DataError(f"{pair.place}: {error}") from error
        chosen, rejected = model.completion_ids(pair.chosen), model.completion_ids(pair.rejected)
        room = model.max_length - max(len(chosen), len(rejected))
        if len(prompt) > room:
            if long_prompts == "refuse":
                raise DataError(_too_long(model, pair, len(prompt), len(chosen), len(rejected)))
            if long_prompts == "drop" or room < 1:
                num_dropped += 1
                continue
            prompt = prompt[-room:]
            num_truncated += 1
        kept.append((prompt, chosen, rejected, number))
    if not kept:
        raise DataError(
            f"{pairs[0].place if pairs else 'pairs'}: no pair fits into the model's context of {model.max_length} "
            "tokens; take a model with a longer one"
        )
    prompts, chosen_ids, rejected_ids, numbers = zip(*kept, strict=True)
    return PairTokens(
        prompts=prompts,
        chosen=chosen_ids,
        rejected=rejected_ids,
        kept=numbers,
        num_dropped=num_dropped,
        num_truncated=num_truncated,
    )


def _too_long(model: "LanguageModel", pair: TextPair, prompt: int, chosen: int, rejected: int) -> str:
    field, tokens = ("chosen", chosen) if chosen >= rejected else ("rejected", rejected)
    if tokens >= model.max_length:
        return (
            f"{pair.place}: {field}: {tokens} tokens, and the model's context holds {model.max_length}; completions "
            "are not cut: take a model with a longer context, or set long_prompts to drop"
        )
    return (
        f"{pair.place}: prompt: {prompt} tokens, with {tokens} of {field} more than the model's context of "
        f"{model.max_length}; set long_prompts to drop or truncate_left"
    )


def pair_batches(tokens: PairTokens, pairs: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Pairs in parts of at most `max_tokens` places each, filling included; those of like length together.

    Args:
        tokens: of all pairs.
        pairs: which of them.
        max_tokens: places of one part; a single pair may have more.
    """
    parts: list[list[int]] = []
    longest = 0
    for pair in sorted(pairs, key=lambda pair: (-tokens.length(pair), pair)):
        if not parts or (len(parts[-1]) + 1) * longest > max_tokens:
            parts.append([])
            longest = tokens.length(pair)
        parts[-1].append(pair)
    return parts
