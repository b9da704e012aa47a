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
from heeler.models.language.fitting import LongPrompts, fitted
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch

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
        long_prompts: what becomes of a pair that does not fit into the context.

    Raises:
        DataError: a pair does not fit, or its prompt is a chat and the tokenizer has no template; names its place.
    """
    kept: list[tuple[Tensor, Tensor, Tensor, int]] = []
    num_dropped = num_truncated = 0
    for number, pair in enumerate(pairs):
        texts = {"chosen": pair.chosen, "rejected": pair.rejected}
        found = fitted(model, pair.prompt, texts, place=pair.place, long_prompts=long_prompts)
        if found is None:
            num_dropped += 1
            continue
        num_truncated += found.is_truncated
        chosen, rejected = found.completions
        kept.append((found.prompt, chosen, rejected, number))
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
