"""Batches of random tokens, and what a model says of them one text after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch


def random_batch(
    prompt_lengths: Sequence[int], completion_lengths: Sequence[Sequence[int]], *, seed: int = 0, temperature: float = 1.0
) -> TextBatch:
    generator = torch.Generator().manual_seed(seed)

    def ids(length: int) -> Tensor:
        return torch.randint(1, 200, (length,), generator=generator)

    lengths = [length for group in completion_lengths for length in group]
    return TextBatch(
        prompts=tuple(ids(length) for length in prompt_lengths),
        completions=tuple(ids(length) for length in lengths),
        prompt_of_N=torch.repeat_interleave(
            torch.arange(len(prompt_lengths)), torch.tensor([len(group) for group in completion_lengths])
        ),
        sampled_logprob_T=torch.zeros(sum(lengths)),
        truncated_N=torch.zeros(len(lengths), dtype=torch.bool),
        temperature=temperature,
    )


def own_logprobs(model: LanguageModel, batch: TextBatch) -> Tensor:
    """By transformers' forward pass alone, for one text after the other."""
    logprobs: list[Tensor] = []
    for prompt, ids in zip(batch.prompt_of_N.tolist(), batch.completions, strict=True):
        text = torch.cat((batch.prompts[prompt], ids))
        with torch.no_grad():
            logits = model.module(input_ids=text[None], use_cache=False).logits[0]
        log_all = torch.log_softmax(logits / batch.temperature, -1)
        start = len(batch.prompts[prompt])
        logprobs += [log_all[start + at - 1, token] for at, token in enumerate(ids.tolist())]
    return torch.stack(logprobs)
