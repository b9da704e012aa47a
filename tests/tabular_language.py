"""A language model that can be enumerated: two tokens, at most three of them a completion, probabilities in a table.

Token 0 ends a completion, token 1 goes on, so that a completion is one of four: 0, 10, 110, and 111, which is cut.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from heeler.models.language.model import CompletionOutputs, LanguageModel
from heeler.ops.text_batch import TextBatch

COMPLETIONS = ((0,), (1, 0), (1, 1, 0), (1, 1, 1))
NUM_STEPS = 3


class Table(nn.Module):
    """Logits by prompt, place and token."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)


class TabularModel:
    """What learners ask of a `LanguageModel`, from a table; prompt `[k]` reads row k."""

    vocabulary_size = 2
    has_adapter = False

    def __init__(self, logits: Tensor) -> None:
        self.module = Table(logits)
        self.hidden_size = logits.shape[0] * NUM_STEPS
        self.device = torch.device("cpu")

    def trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def outputs(self, batch: TextBatch, *, shared_prefix: bool = True) -> CompletionOutputs:
        row_T = torch.cat(
            [
                batch.prompts[int(prompt)].expand(len(ids))
                for prompt, ids in zip(batch.prompt_of_N, batch.completions, strict=True)
            ]
        )
        place_T = torch.cat([torch.arange(len(ids)) for ids in batch.completions])
        log_all_TV = torch.log_softmax(self.module.logits[row_T, place_T] / batch.temperature, -1)
        return CompletionOutputs(
            logprob_T=log_all_TV.gather(1, batch.token_T[:, None])[:, 0],
            entropy_T=-(log_all_TV.exp() * log_all_TV).sum(-1).detach(),
            hidden_TD=torch.nn.functional.one_hot(row_T * NUM_STEPS + place_T, self.hidden_size).to(log_all_TV),
        )


def tabular(seed: int = 0, *, num_prompts: int = 1) -> LanguageModel:
    """A random table, of 64 bits."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_prompts, NUM_STEPS, 2, generator=generator, dtype=torch.float64)
    return cast(LanguageModel, TabularModel(logits))


def table(model: LanguageModel) -> Tensor:
    """[prompts, places, tokens] the model's logits."""
    return cast(Table, model.module).logits


def log_probability(logits: Tensor, completion: int, prompt: int = 0) -> Tensor:
    """Of a completion, by hand: the sum of its tokens' log-probabilities."""
    log_all = torch.log_softmax(logits[prompt], -1)
    return torch.stack([log_all[place, token] for place, token in enumerate(COMPLETIONS[completion])]).sum()


def batch_of(model: LanguageModel, chosen: Sequence[Sequence[int]]) -> TextBatch:
    """Completions, by number, of each prompt, with the log-probabilities that the model gives them."""
    log_all = torch.log_softmax(table(model).detach(), -1)
    completions = [(prompt, COMPLETIONS[number]) for prompt, numbers in enumerate(chosen) for number in numbers]
    return TextBatch(
        prompts=tuple(torch.tensor([prompt]) for prompt in range(len(chosen))),
        completions=tuple(torch.tensor(tokens) for _, tokens in completions),
        prompt_of_N=torch.tensor([prompt for prompt, _ in completions]),
        sampled_logprob_T=torch.stack(
            [log_all[prompt, place, token] for prompt, tokens in completions for place, token in enumerate(tokens)]
        ),
        truncated_N=torch.tensor([tokens[-1] != 0 for _, tokens in completions]),
        temperature=1.0,
    )
