"""Sampling completions: many at a time, each with the log-probabilities that its tokens had.

Rows that have ended are dropped as soon as that saves more than it costs. Each completion has random numbers of its
own, so that what is sampled does not depend on which rows are still there.

Shapes: B rows still going, P prompts, N completions, S steps, V tokens there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch
from heeler.ops.token_choice import choose_tokens
from heeler.rollouts.text_stream import TextStream

if TYPE_CHECKING:
    from heeler.models.language.decoding import Decoder

# Of the rows: with fewer left it pays to copy them together.
_WORTH_KEEPING = 0.75


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are sampled for learning: from the model's whole distribution, so that ratios are right."""

    max_new_tokens: int = 128
    """Where a completion is cut; the model's context may cut it before, each one behind its own prompt."""
    temperature: float = 1.0
    """Logits are divided by it."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion, beside its end-of-text token; their tokens stay part of it, as sampled."""
    stop_ids: tuple[int, ...] = ()
    """Tokens that do."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be >= 1, got {self.max_new_tokens}")
        if not 0 < self.temperature < float("inf"):
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")
        if "" in self.stop:
            raise ConfigError("stop must hold no empty string, which every text ends with")


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

    Raises:
        ConfigError: a prompt leaves no room in the model's context, or there is nothing to sample.
    """
    # It needs transformers, which the settings above do not.
    from heeler.models.language.decoding import decoder_for

    if not prompts or num_each < 1:
        raise ConfigError(f"prompts and num_each must be at least one, got {len(prompts)} and {num_each}")
    most_P = [min(config.max_new_tokens, model.max_length - len(ids)) for ids in prompts]
    if min(most_P) < 1:
        row = most_P.index(min(most_P))
        raise ConfigError(
            f"prompts, row {row}: {len(prompts[row])} tokens leave no room in the model's context of "
            f"{model.max_length}; shorten it, or take a model with a longer context"
        )
    uniform_SN = torch.rand(max(most_P), len(prompts) * num_each, generator=generator, device=model.device)
    writing = _Writing(model, uniform_SN, torch.tensor(most_P).repeat_interleave(num_each), config)
    for members in _together(model, prompts):
        decoder = decoder_for(model)
        logits_BV = decoder.start([prompts[member] for member in members], num_each)
        first_P = torch.tensor(members, device=model.device) * num_each
        row_B = (first_P[:, None] + torch.arange(num_each, device=model.device)).flatten()
        writing.write(decoder, logits_BV, row_B)
    return writing.batch(prompts, num_each)


def _together(model: LanguageModel, prompts: Sequence[Tensor]) -> list[list[int]]:
    """Prompts that can be gone through in one pass: all, or those of one length."""
    if model.support.cache:
        return [list(range(len(prompts)))]
    by_length: dict[int, list[int]] = {}
    for member, ids in enumerate(prompts):
        by_length.setdefault(len(ids), []).append(member)
    return list(by_length.values())


class _Writing:
    """All completions, while they are written.

    Args:
        model: writes them.
        uniform_SN: their random numbers.
        most_N: tokens that each has room for.
        config: how they are sampled.
    """

    def __init__(
        self,
        model: LanguageModel,
        uniform_SN: Float[Tensor, "S N"],
        most_N: Int[Tensor, " N"],
        config: SamplingConfig,
    ) -> None:
        self._model, self._uniform_SN, self._config = model, uniform_SN, config
        num_steps, size = uniform_SN.shape
        device = model.device
        self._most_N = most_N.to(device)
        self._ends_of_room = frozenset(most_N.tolist())
        self._token_NS = torch.full((size, num_steps), model.eos_id, device=device)
        self._logprob_NS = torch.zeros(size, num_steps, device=device)
        self._length_N = self._most_N.clone()
        self._truncated_N = torch.ones(size, dtype=torch.bool, device=device)
        self._end_ids = torch.tensor([*model.end_ids, *config.stop_ids], device=device)
        self._streams = [TextStream(model, config.stop) for _ in range(size)] if config.stop else []

    def write(self, decoder: "Decoder", logits_BV: Float[Tensor, "B V"], row_B: Int[Tensor, " B"]) -> None:
        """Write the completions `row_B` to their ends."""
        is_going_B = torch.ones(len(row_B), dtype=torch.bool, device=row_B.device)
        for step in range(len(self._uniform_SN)):
            uniform_B = self._uniform_SN[step, row_B]
            token_B, logprob_B = choose_tokens(logits_BV, uniform_B, self._config.temperature)
            self._token_NS[row_B, step], self._logprob_NS[row_B, step] = token_B, logprob_B
            has_ended_B = is_going_B & self._ends(token_B, row_B)
            # Without picking out rows, which would have to wait for the device.
            self._length_N[row_B] = torch.where(has_ended_B, step + 1, self._length_N[row_B])
            self._truncated_N[row_B] &= ~has_ended_B
            is_going_B &= ~has_ended_B
            # Where the room of some ends, none of them may be stepped any further, ended or not.
            is_end_of_room = step + 1 in self._ends_of_room
            if is_end_of_room:
                is_going_B &= self._most_N[row_B] > step + 1
            num_going = int(is_going_B.sum())
            if num_going == 0:
                return
            is_worth_it = decoder.is_full or num_going < _WORTH_KEEPING * len(row_B)
            if num_going < len(row_B) and (is_end_of_room or is_worth_it):
                left_B = is_going_B.nonzero()[:, 0]
                decoder.keep(left_B)
                row_B, token_B, is_going_B = row_B[left_B], token_B[left_B], is_going_B[left_B]
            logits_BV = decoder.step(token_B)

    def _ends(self, token_B: Tensor, row_B: Tensor) -> Tensor:
        ends_B = torch.isin(token_B, self._end_ids) if len(self._end_ids) > 1 else token_B == self._end_ids
        if self._streams:
            stopped = [
                self._has_stopped(row, token) for row, token in zip(row_B.tolist(), token_B.tolist(), strict=True)
            ]
            ends_B = ends_B | torch.tensor(stopped, device=ends_B.device)
        return ends_B

    def _has_stopped(self, row: int, token: int) -> bool:
        stream = self._streams[row]
        stream.push(token)
        return stream.has_stopped

    def batch(self, prompts: Sequence[Tensor], num_each: int) -> TextBatch:
        """What was written."""
        lengths, token_NS = self._length_N.cpu(), self._token_NS.cpu()
        is_token_NS = torch.arange(token_NS.shape[1]) < lengths[:, None]
        return TextBatch(
            prompts=tuple(prompts),
            completions=tuple(row[:length].clone() for row, length in zip(token_NS, lengths.tolist(), strict=True)),
            prompt_of_N=torch.arange(len(prompts)).repeat_interleave(num_each),
            sampled_logprob_T=self._logprob_NS.cpu()[is_token_NS],
            truncated_N=self._truncated_N.cpu(),
            temperature=self._config.temperature,
        )
