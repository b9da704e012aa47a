"""What several prompts begin with, gone through once.

Conversations about the same thing have the same system message in front of them. What they share becomes the prompt,
and the rest of each prompt the beginning of its completion, which is read and not learned.
Shapes: N completions, T tokens of all of them together.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch


def shared_prompts(
    groups: Sequence[Sequence[tuple[Int[Tensor, " prompt"], Int[Tensor, " completion"]]]],
) -> tuple[TextBatch, Bool[Tensor, " T"]]:
    """Demonstrations whose prompts begin alike, as a batch that holds each beginning once.

    Each completion sees what it would see behind its own whole prompt, so that log-probabilities are the same.

    Args:
        groups: (prompt, completion) pairs of token ids; those of a group have a beginning in common.

    Returns:
        The batch, and which of its completions' tokens were completion before.
    """
    prompts: list[Tensor] = []
    completions: list[Tensor] = []
    learned: list[Tensor] = []
    prompt_of_N: list[int] = []
    for number, group in enumerate(groups):
        size = _num_shared([prompt for prompt, _ in group])
        prompts.append(group[0][0][:size])
        for prompt, completion in group:
            read = prompt[size:]
            completions.append(torch.cat([read, completion]))
            learned.append(torch.arange(len(read) + len(completion)) >= len(read))
            prompt_of_N.append(number)
    return stored(prompts, completions, torch.tensor(prompt_of_N)), torch.cat(learned)


def _num_shared(prompts: Sequence[Tensor]) -> int:
    """Tokens that all begin with."""
    size = min(len(ids) for ids in prompts)
    is_same_L = torch.stack([ids[:size] == prompts[0][:size] for ids in prompts]).all(0)
    return int(is_same_L.long().cumprod(0).sum())
