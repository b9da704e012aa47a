"""Sampling completions: many at a time, each with the log-probabilities that its tokens had.

Prompts are gone through once, whatever is sampled after them. Rows are filled up on the right, where nothing sees it,
and each goes on at its own place. Rows that have ended are dropped as soon as that saves more than it costs.

Shapes: B rows still going, P prompts, N completions, L places, V tokens there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.models.language.cache import RowCache
from heeler.models.language.model import LanguageModel
from heeler.models.language.packing import padded
from heeler.ops.text_batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are sampled for learning: from the model's whole distribution, so that ratios are right."""

    max_new_tokens: int = 128
    """Where a completion is cut."""
    temperature: float = 1.0
    """Logits are divided by it."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be >= 1, got {self.max_new_tokens}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")


@torch.inference_mode()
def sample(
    model: LanguageModel,
    prompts: Sequence[Int[Tensor, " prompt"]],
    *,
    num_each: int,
    config: SamplingConfig,
    generator: torch.Generator,
) -> TextBatch:
    """Sample completions of prompts.

    Args:
        model: to sample from.
        prompts: P prompts' token ids.
        num_each: completions of each.
        config: how.
        generator: on the model's device.

    Returns:
        `num_each` completions of each prompt, in the order of the prompts.
    """
    longest = max(len(ids) for ids in prompts)
    most = min(config.max_new_tokens, model.max_length - longest)
    if most < 1:
        raise ConfigError(f"a prompt of {longest} tokens leaves no room in the model's context of {model.max_length}")
    device = model.device
    cache, logits_BV, place_B = _prefill(model, prompts, most, num_each)
    row_B = torch.arange(len(place_B), device=device)
    num_rows = len(row_B)
    token_NL = torch.full((num_rows, most), model.eos_id, device=device)
    logprob_NL = torch.zeros(num_rows, most, device=device)
    length_N = torch.full((num_rows,), most, device=device)
    truncated_N = torch.ones(num_rows, dtype=torch.bool, device=device)
    going_B = torch.ones(num_rows, dtype=torch.bool, device=device)
    for step in range(most):
        token_B, logprob_B = _choose(logits_BV / config.temperature, generator)
        token_NL[row_B, step], logprob_NL[row_B, step] = token_B, logprob_B
        has_ended_B = going_B & (token_B == model.eos_id)
        length_N[row_B[has_ended_B]], truncated_N[row_B[has_ended_B]] = step + 1, False
        going_B &= ~has_ended_B
        num_going = int(going_B.sum())
        if num_going == 0 or step == most - 1:
            break
        if num_going < 0.75 * len(going_B):
            left = going_B.nonzero()[:, 0]
            cache.keep_rows(left)
            row_B, place_B, token_B, going_B = row_B[left], place_B[left], token_B[left], going_B[left]
        logits_BV = _next(model, cache, token_B, place_B)
        place_B = place_B + 1
    return _batch(prompts, num_each, config, token_NL, logprob_NL, length_N, truncated_N)


def _prefill(
    model: LanguageModel, prompts: Sequence[Tensor], most: int, num_each: int
) -> tuple[RowCache, Float[Tensor, "B V"], Int[Tensor, " B"]]:
    """Go through the prompts; the cache, what may come next, and the place where it goes, of each completion."""
    token_PL, length_P = padded(prompts, model.pad_id)
    token_PL, length_P = token_PL.to(model.device), length_P.to(model.device)
    longest = token_PL.shape[1]
    place_PL = torch.arange(longest, device=model.device).expand_as(token_PL)
    cache = RowCache(longest + most)
    cache.place_BS, cache.num_seen = place_PL, longest
    mask = torch.ones(longest, longest, dtype=torch.bool, device=model.device).tril()[None, None]
    mask = mask.expand(len(prompts), 1, longest, longest)
    hidden_PLD = model.forward(token_PL, position_RL=place_PL, mask=mask, cache=cache)
    last_PD = hidden_PLD[torch.arange(len(prompts), device=model.device), length_P - 1]
    row_B = torch.arange(len(prompts), device=model.device).repeat_interleave(num_each)
    cache.keep_rows(row_B)
    return cache, model.head(last_PD)[row_B], length_P[row_B]


def _next(model: LanguageModel, cache: RowCache, token_B: Tensor, place_B: Tensor) -> Float[Tensor, "B V"]:
    """Logits after one more token in each row."""
    cache.place_BS, cache.num_seen = place_B[:, None], int(place_B.max()) + 1
    seen_B11L: Bool[Tensor, "B 1 1 L"] = (
        torch.arange(cache.num_seen, device=place_B.device) <= place_B[:, None, None, None]
    )
    hidden_B1D = model.forward(token_B[:, None], position_RL=place_B[:, None], mask=seen_B11L, cache=cache)
    return model.head(hidden_B1D[:, 0])


def _choose(logits_BV: Tensor, generator: torch.Generator) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """A token of each row, and its log-probability."""
    log_all_BV = torch.log_softmax(logits_BV.float(), -1)
    token_B = torch.multinomial(log_all_BV.exp(), 1, generator=generator)[:, 0]
    return token_B, log_all_BV.gather(1, token_B[:, None])[:, 0]


def _batch(
    prompts: Sequence[Tensor],
    num_each: int,
    config: SamplingConfig,
    token_NL: Tensor,
    logprob_NL: Tensor,
    length_N: Tensor,
    truncated_N: Tensor,
) -> TextBatch:
    lengths = length_N.tolist()
    is_token_NL = torch.arange(token_NL.shape[1]) < length_N.cpu()[:, None]
    return TextBatch(
        prompts=tuple(prompts),
        completions=tuple(row[:length] for row, length in zip(token_NL.cpu(), lengths, strict=True)),
        prompt_of_N=torch.arange(len(prompts)).repeat_interleave(num_each),
        sampled_logprob_T=logprob_NL.cpu()[is_token_NL],
        truncated_N=truncated_N.cpu(),
        temperature=config.temperature,
    )
