"""Completions of prompts as learners see them: tokens end to end, without padding.

Shapes: P prompts, N completions, T tokens of all completions together.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Prompts, and what was sampled after each, token for token as it was sampled.

    A completion that ended by itself holds its end-of-text token; one that was cut does not.
    """

    prompts: tuple[Int[Tensor, " prompt"], ...]
    """P prompts' token ids."""
    completions: tuple[Int[Tensor, " completion"], ...]
    """N completions' token ids, none of them empty."""
    prompt_of_N: Int[Tensor, " N"]
    """Which prompt each completion follows; never falls from one to the next."""
    sampled_logprob_T: Float[Tensor, " T"]
    """Log-probability of each token when it was sampled, at `temperature`."""
    truncated_N: Bool[Tensor, " N"]
    """Whether a completion was cut at the length limit."""
    temperature: float
    """Logits were divided by it."""

    @cached_property
    def length_N(self) -> Int[Tensor, " N"]:
        """Tokens of each completion."""
        return torch.tensor([len(ids) for ids in self.completions])

    @cached_property
    def token_T(self) -> Int[Tensor, " T"]:
        """All completions' tokens, one after the other."""
        return torch.cat(self.completions)

    def __len__(self) -> int:
        return len(self.completions)

    def part(self, start: int, stop: int) -> "TextBatch":
        """Completions `start` to `stop`, with the prompts that they follow."""
        chosen = self.prompt_of_N[start:stop]
        first, last = int(chosen[0]), int(chosen[-1]) + 1
        ends = torch.cumsum(self.length_N, 0)
        begin = int(ends[start - 1]) if start else 0
        return TextBatch(
            prompts=self.prompts[first:last],
            completions=self.completions[start:stop],
            prompt_of_N=chosen - first,
            sampled_logprob_T=self.sampled_logprob_T[begin : int(ends[stop - 1])],
            truncated_N=self.truncated_N[start:stop],
            temperature=self.temperature,
        )


def sequence_sum(value_T: Float[Tensor, " T"], length_N: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Sum of the values of each completion's tokens.

    Args:
        value_T: one number a token, completions one after the other.
        length_N: tokens of each.
    """
    owner_T = per_token(torch.arange(len(length_N), device=value_T.device), length_N)
    return value_T.new_zeros(len(length_N)).index_add(0, owner_T, value_T)


def per_token(value_N: Tensor, length_N: Int[Tensor, " N"]) -> Tensor:
    """Each completion's value at each of its tokens."""
    return torch.repeat_interleave(value_N, length_N.to(value_N.device))
