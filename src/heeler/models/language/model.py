"""A causal language model with its tokenizer, and the log-probabilities of completions.

Shapes: R rows, L places of a row, N completions, T tokens of all completions together, V tokens there are, D hidden.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from heeler.core.errors import DataError
from heeler.core.nouns import Message
from heeler.models.language.packing import Packed, RowLimits, pack
from heeler.models.language.probe import Support, probe
from heeler.models.language.saving import causal_of, save_model
from heeler.models.language.sight import Sight
from heeler.models.language.tokens import TokenReader
from heeler.ops.text_batch import TextBatch
from heeler.ops.token_logprobs import token_logprobs

if TYPE_CHECKING:
    from heeler.models.language.cache import RowCache

# Numbers of T x V that are there at once while logits are gone through; beyond, they are made again for the gradient.
_LOGITS_AT_ONCE = 2**25


@dataclass(frozen=True, kw_only=True)
class CompletionOutputs:
    """What a model makes of the completions of a batch, token after token."""

    logprob_T: Float[Tensor, " T"]
    """Of each token, at the batch's temperature, float32."""
    entropy_T: Float[Tensor, " T"]
    """Of the distribution from which it was sampled, in nats; not differentiated."""
    hidden_TD: Float[Tensor, "T D"]
    """Last hidden states from which each token was predicted: what value heads read, since a value must not see the
    token that it is compared with."""


class LanguageModel:
    """A model of `AutoModelForCausalLM` with its tokenizer. Use `load_language_model` to read one.

    It is put into its evaluating mode and stays there, for learning too: with dropout the log-probabilities of an
    update would not be those that were sampled.

    Args:
        module: transformers' model, or peft's around it.
        tokenizer: transformers' fast tokenizer, with an end-of-text token.

    Raises:
        ConfigError: the tokenizer has no end-of-text token, or more tokens than the model.
    """

    def __init__(self, module: nn.Module, tokenizer: Any) -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        causal = causal_of(module)
        self._causal = causal
        self._config = causal.config.get_text_config()
        self._sight = Sight(self._config)
        self.max_length: int = int(getattr(self._config, "max_position_embeddings", None) or 2**31)
        """Tokens of a prompt and its completion together, at most."""
        self._reader = TokenReader(tokenizer, max_length=self.max_length, num_embeddings=self.vocabulary_size)
        self.eos_id: int = self._reader.eos_id
        self.pad_id: int = self._reader.pad_id
        self.end_ids: tuple[int, ...] = self._reader.end_ids(getattr(causal, "generation_config", None))
        """Tokens that end a completion; the first is `eos_id`."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What its layers compute in."""
        return self._causal.get_input_embeddings().weight.dtype

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self._config.hidden_size)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self._causal.get_input_embeddings().weight.shape[0])

    @cached_property
    def support(self) -> Support:
        """What this architecture can do, found out by trying: see `probe`."""
        return probe(self)

    @property
    def sight(self) -> Sight:
        """How far its layers look back."""
        return self._sight

    def trainable(self) -> list[nn.Parameter]:
        """What learning changes: all of it, or the adapter."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def frozen_copy(self) -> "LanguageModel":
        """The same weights, which nothing changes any more: a reference, or what is served while this one learns."""
        other = LanguageModel(copy.deepcopy(self.module).requires_grad_(False), self.tokenizer)
        if "support" in self.__dict__:
            other.__dict__["support"] = self.support
        return other

    @property
    def has_adapter(self) -> bool:
        """Whether it learns beside weights that stay as they are (LoRA)."""
        return hasattr(self.module, "peft_config")

    @property
    def _adapted(self) -> Any:
        """peft's model, of whose methods `nn.Module` says nothing."""
        assert self.has_adapter
        return self.module

    @property
    def adapter_rank(self) -> int:
        """Largest rank of its adapter's products; 0 without one."""
        if not self.has_adapter:
            return 0
        configs = self._adapted.peft_config.values()
        return max(rank for config in configs for rank in (config.r, *config.rank_pattern.values()))

    def merged(self) -> "LanguageModel":
        """The model with its adapter added to its weights, which this one then is no more; itself where it has none."""
        if not self.has_adapter:
            return self
        return LanguageModel(_alone(self._adapted.merge_and_unload()), self.tokenizer)

    def without_adapter(self) -> "LanguageModel":
        """The model that its adapter was made for, which this one then is no more."""
        return LanguageModel(_alone(self._adapted.unload()), self.tokenizer)

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """Be the model without its adapter: the reference, at no further memory."""
        with self._adapted.disable_adapter():
            yield

    # Tokens and text

    def prompt_ids(self, prompt: Sequence[Message]) -> Int[Tensor, " prompt"]:
        """Tokens of a prompt: a chat through its template, up to where the assistant begins; plain text as it stands.

        Raises:
            DataError: it is longer than the model's context, or is a chat and the tokenizer has no template.
        """
        return torch.tensor(self._reader.prompt_ids(prompt))

    def untruncated_ids(self, prompt: Sequence[Message]) -> Int[Tensor, " prompt"]:
        """The same of any length, for those who cut prompts themselves.

        Raises:
            DataError: it is a chat, and the tokenizer has no template or its template refuses it.
        """
        return torch.tensor(self._reader.untruncated_ids(prompt))

    def completion_ids(self, completion: str) -> Int[Tensor, " completion"]:
        """Tokens of a completion, with the one that ends it.

        Special tokens that are spelled out in it are text: nobody begins another turn by writing so.
        """
        ids = self.tokenizer(completion, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return torch.tensor([*ids, self.eos_id])

    def text(self, ids: Int[Tensor, " completion"]) -> str:
        """What tokens say, without those that say nothing themselves."""
        return self.text_of(ids.tolist())

    def text_of(self, ids: Sequence[int]) -> str:
        """The same from a list."""
        return self._reader.text(ids)

    # Computing

    def outputs(self, batch: TextBatch, *, shared_prefix: bool = True) -> CompletionOutputs:
        """Log-probabilities of the completions' tokens, and what goes with them.

        Args:
            batch: to look at.
            shared_prefix: whether the completions of a prompt stand in one row, which is the same and takes less time.

        Raises:
            DataError: a completion does not fit into the model's context behind its prompt.
        """
        packed = self._pack(batch, shared_prefix=shared_prefix)
        token_T = batch.token_T.to(self.device)
        if self.support.rows:
            hidden_TD = self._rows_hidden(packed)[packed.source_T]
            logprob_T, entropy_T = self.logprobs(hidden_TD, token_T, batch.temperature)
        else:
            logits_XV, hidden_XD = self._own_outputs(packed)
            hidden_TD = hidden_XD[packed.source_T]
            logprob_T, entropy_T = token_logprobs(logits_XV[packed.source_T], token_T, batch.temperature)
        return CompletionOutputs(logprob_T=logprob_T, entropy_T=entropy_T, hidden_TD=hidden_TD)

    def last_hidden(self, batch: TextBatch) -> Float[Tensor, "N D"]:
        """Last hidden state at the last token of each completion: what a reward head reads."""
        packed = self._pack(batch, shared_prefix=True)
        last_N = packed.place_T[(torch.cumsum(batch.length_N, 0) - 1).to(self.device)]
        hidden_XD = self._rows_hidden(packed) if self.support.rows else self._own_outputs(packed)[1]
        return hidden_XD[last_N]

    def logprobs(
        self, source_TD: Float[Tensor, "T D"], token_T: Int[Tensor, " T"], temperature: float
    ) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """Log-probabilities of tokens, and entropies, from the hidden states that predict them.

        T x V logits are never there at once where that would be much.
        """
        step = max(1, _LOGITS_AT_ONCE // self.vocabulary_size)
        if len(token_T) <= step:
            return token_logprobs(self.head(source_TD), token_T, temperature)
        parts = [
            checkpoint(
                self._logprobs_of, source_SD, token_S, temperature, use_reentrant=False, preserve_rng_state=False
            )
            for source_SD, token_S in zip(source_TD.split(step), token_T.split(step), strict=True)
        ]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _logprobs_of(self, source_SD: Tensor, token_S: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        return token_logprobs(self.head(source_SD), token_S, temperature)

    def forward(
        self,
        token_RL: Int[Tensor, "R L"],
        *,
        position_RL: Int[Tensor, "R L"],
        mask: Bool[Tensor, "R 1 L seen"],
        cache: "RowCache | None" = None,
    ) -> Float[Tensor, "R L D"]:
        """Last hidden states of rows, each token seeing what the mask says, as far as its layer looks back.

        Args:
            token_RL: tokens.
            position_RL: their positions.
            mask: whom each may see: the row itself, or what is in the cache, where a place is a position.
            cache: holds what came before, and takes what comes now.
        """
        seen = torch.arange(cache.num_seen, device=token_RL.device)[None] if cache is not None else position_RL
        masks = self._sight.masks(mask, seeing_RS=position_RL, seen_RL=seen, dtype=self.dtype)
        with_cache = {"use_cache": False} if cache is None else {"past_key_values": cache, "use_cache": True}
        trunk = self._causal.base_model
        return trunk(input_ids=token_RL, attention_mask=masks, position_ids=position_RL, **with_cache).last_hidden_state

    def head(self, hidden_XD: Float[Tensor, "X D"]) -> Float[Tensor, "X V"]:
        """Logits of what comes next."""
        return self._after_head(self._causal.get_output_embeddings()(hidden_XD))

    def own_logits(
        self, token_RL: Int[Tensor, "R L"], is_token_RL: Bool[Tensor, "R L"] | None = None, **options: Any
    ) -> Any:
        """What transformers' own forward pass says, filling on the right."""
        mask = None if is_token_RL is None else is_token_RL.long()
        return self._causal(input_ids=token_RL, attention_mask=mask, **options)

    @cached_property
    def _after_head(self) -> Any:
        """What some architectures do to the logits of their output layer; `probe` finds out those that do more."""
        cap, scale = getattr(self._config, "final_logit_softcapping", None), getattr(self._config, "logit_scale", None)
        divisor = getattr(self._config, "logits_scaling", None)
        if cap is not None:
            return lambda logits: torch.tanh(logits / cap) * cap
        if scale is not None:
            return lambda logits: logits * scale
        if divisor is not None:
            return lambda logits: logits / divisor
        return lambda logits: logits

    def _pack(self, batch: TextBatch, *, shared_prefix: bool) -> Packed:
        # A place looks at another by two products of the size of D, forward, and costs 24 D² itself.
        limits = RowLimits(pair_cost=1 / (6 * self.hidden_size))
        shares = shared_prefix and self.support.rows
        self._refuse_too_long(batch)
        return pack(batch, shared_prefix=shares, pad_id=self.pad_id, limits=limits).to(self.device)

    def _refuse_too_long(self, batch: TextBatch) -> None:
        sizes = [len(prompt) for prompt in batch.prompts]
        for number, (ids, of) in enumerate(zip(batch.completions, batch.prompt_of_N.tolist(), strict=True)):
            if sizes[of] + len(ids) > self.max_length:
                raise DataError(
                    f"completion {number}: {sizes[of]:,} tokens of its prompt and {len(ids):,} of its own, and the "
                    f"model's context holds {self.max_length:,}; shorten one of the two"
                )

    def _rows_hidden(self, packed: Packed) -> Float[Tensor, "X D"]:
        """Of all places of all rows, one after the other."""
        return self.forward(packed.token_RL, position_RL=packed.position_RL, mask=packed.mask_R1LL).flatten(0, 1)

    def _own_outputs(self, packed: Packed) -> tuple[Float[Tensor, "X V"], Float[Tensor, "X D"]]:
        """The same by transformers' own forward pass, for rows of one completion each."""
        outputs = self.own_logits(packed.token_RL, packed.is_token_RL, use_cache=False, output_hidden_states=True)
        return outputs.logits.flatten(0, 1), outputs.hidden_states[-1].flatten(0, 1)

    def save(self, folder: Path, origin: Mapping[str, Any] | None = None) -> None:
        """Write it with its tokenizer as transformers does, in safetensors; an adapter alone where there is one.

        The folder appears whole or not at all, and holds a manifest with the SHA-256 of each file.

        Args:
            folder: where it goes.
            origin: what the manifest says of where it comes from, JSON-ready.

        Raises:
            RunError: it cannot be written, or the folder holds something else.
        """
        save_model(self.module, self.tokenizer, folder, origin)


def _alone(module: nn.Module) -> nn.Module:
    """A model that is no longer peft's; some versions leave the settings of the adapter on it."""
    vars(module).pop("peft_config", None)
    return module
