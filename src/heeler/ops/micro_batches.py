"""Splitting a batch of texts into parts that are computed one after the other.

Shapes: N completions, T tokens of all of them together; M and S of one part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heeler.ops.text_batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """A part of a batch, and where in the batch it comes from."""

    batch: TextBatch
    completion_M: Int[Tensor, " M"]
    """Its completions among those of the whole."""
    token_S: Int[Tensor, " S"]
    """Its tokens among those of the whole."""


def select(batch: TextBatch, completions: Sequence[int]) -> MicroBatch:
    """Some completions of a batch, with their prompts.

    Args:
        batch: to take from.
        completions: which, those of one prompt side by side.
    """
    completion_M = torch.tensor(completions)
    end_N = torch.cumsum(batch.length_N, 0)
    spans = [torch.arange(int(end_N[i]) - len(batch.completions[i]), int(end_N[i])) for i in completions]
    token_S = torch.cat(spans)
    prompt_M = batch.prompt_of_N[completion_M]
    is_new_M = torch.ones_like(prompt_M, dtype=torch.bool)
    is_new_M[1:] = prompt_M[1:] != prompt_M[:-1]
    part = TextBatch(
        prompts=tuple(batch.prompts[i] for i in prompt_M[is_new_M].tolist()),
        completions=tuple(batch.completions[i] for i in completions),
        prompt_of_N=torch.cumsum(is_new_M, 0) - 1,
        sampled_logprob_T=batch.sampled_logprob_T[token_S],
        truncated_N=batch.truncated_N[completion_M],
        temperature=batch.temperature,
    )
    return MicroBatch(batch=part, completion_M=completion_M, token_S=token_S)


def micro_batches(batch: TextBatch, *, max_tokens: int, split_prompts: bool = True) -> list[MicroBatch]:
    """Parts of a batch, each of at most `max_tokens` places when it is laid out in rows of the length of its longest.

    Prompts of like length come together, so that little is filled up.

    Args:
        batch: to split.
        max_tokens: places of one part; one completion alone may be longer.
        split_prompts: whether a prompt whose completions are too many for one part is split; pairs must not be.
    """
    rows = [row for chosen in _by_prompt(batch) for row in _rows(batch, chosen, max_tokens if split_prompts else None)]
    rows.sort(key=lambda row: row[0], reverse=True)
    parts: list[list[int]] = []
    longest, num_rows = 0, 0
    for length, chosen in rows:
        # Rows come longest first, so that the first row of a part gives the length of all.
        if not parts or (num_rows + 1) * longest > max_tokens:
            parts.append([])
            longest, num_rows = length, 0
        parts[-1] += chosen
        num_rows += 1
    return [select(batch, chosen) for chosen in parts]


def _by_prompt(batch: TextBatch) -> list[list[int]]:
    chosen: dict[int, list[int]] = {}
    for i, prompt in enumerate(batch.prompt_of_N.tolist()):
        chosen.setdefault(prompt, []).append(i)
    return list(chosen.values())


def _rows(batch: TextBatch, chosen: list[int], max_tokens: int | None) -> list[tuple[int, list[int]]]:
    """A prompt's completions in one row, or in several where they are too many for one: (length, completions)."""
    prompt_length = len(batch.prompts[int(batch.prompt_of_N[chosen[0]])])
    rows: list[tuple[int, list[int]]] = []
    for i in chosen:
        length = len(batch.completions[i])
        if rows and (max_tokens is None or rows[-1][0] + length <= max_tokens):
            rows[-1] = (rows[-1][0] + length, [*rows[-1][1], i])
        else:
            rows.append((prompt_length + length, [i]))
    return rows


def by_prompts(batch: TextBatch, num_parts: int, order_P: Int[Tensor, " P"]) -> list[MicroBatch]:
    """As many parts as asked for, each with as many prompts (one more or less) and all their completions.

    Args:
        batch: to split.
        num_parts: at most the number of prompts.
        order_P: prompts in the order in which they are dealt out.
    """
    by_prompt = _by_prompt(batch)
    parts = torch.tensor_split(order_P, num_parts)
    return [select(batch, [i for prompt in part.tolist() for i in by_prompt[prompt]]) for part in parts]


def stored(
    prompts: Sequence[Int[Tensor, " prompt"]],
    completions: Sequence[Int[Tensor, " completion"]],
    prompt_of_N: Int[Tensor, " N"],
) -> TextBatch:
    """Completions that no model sampled here: demonstrations, labelled answers, and pairs.

    Of a pair the chosen one comes first. Both follow the same prompt, token for token, as they stand in one place.

    Args:
        prompts: P prompts' token ids.
        completions: N completions' token ids, with the token that ends them.
        prompt_of_N: as in `TextBatch`.
    """
    return TextBatch(
        prompts=tuple(prompts),
        completions=tuple(completions),
        prompt_of_N=prompt_of_N,
        # There is none; whoever takes it for one gets no number from it.
        sampled_logprob_T=torch.full((sum(len(ids) for ids in completions),), torch.nan),
        truncated_N=torch.zeros(len(completions), dtype=torch.bool),
        temperature=1.0,
    )


def joined(parts: Sequence[Float[Tensor, " S"]], micro: Sequence[MicroBatch]) -> Float[Tensor, " T"]:
    """Numbers of the tokens of all parts, in the order of the whole batch."""
    token_T = torch.cat([part.token_S for part in micro]).to(parts[0].device)
    value_T = torch.cat(list(parts))
    return torch.empty_like(value_T).index_copy(0, token_T, value_T)
