"""A causal language model with its tokenizer: loading, saving, and the log-probabilities of completions.

Shapes: R rows, L places of a row, N completions, T tokens of all completions together, V tokens there are, D hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import PLAIN, Message
from heeler.models.language.packing import Packed, pack
from heeler.ops.text_batch import TextBatch

_MAX_SHARED_ROW = 2048


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

    Args:
        module: transformers' model, or peft's around it.
        tokenizer: transformers' fast tokenizer, with an end-of-text token.
    """

    def __init__(self, module: nn.Module, tokenizer: Any) -> None:
        self.module = module
        self.tokenizer = tokenizer
        causal: Any = module.get_base_model() if hasattr(module, "peft_config") else module  # type: ignore[operator]
        self._causal = causal
        self.eos_id: int = tokenizer.eos_token_id
        # Filling is never looked at, so that any token will do where there is none for it.
        self.pad_id: int = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.max_length: int = int(getattr(causal.config, "max_position_embeddings", None) or 2**31)
        """Tokens of a prompt and its completion together, at most."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self._causal.config.hidden_size)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self._causal.get_input_embeddings().weight.shape[0])

    def trainable(self) -> list[nn.Parameter]:
        """What learning changes: all of it, or the adapter."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def prompt_ids(self, prompt: Sequence[Message]) -> Int[Tensor, " prompt"]:
        """Tokens of a prompt: a chat through its template, up to where the assistant begins; plain text as it stands.

        Raises:
            DataError: it is longer than the model's context.
        """
        if prompt and prompt[0].role != PLAIN:
            messages = [{"role": message.role, "content": message.content} for message in prompt]
            ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        else:
            ids = self.tokenizer("".join(message.content for message in prompt))["input_ids"]
        # Something must come before the first token of a completion.
        ids = list(ids) or [self.eos_id]
        if len(ids) >= self.max_length:
            raise DataError(f"prompt: {len(ids)} tokens, and the model's context holds {self.max_length}; shorten it")
        return torch.tensor(ids)

    def completion_ids(self, completion: str) -> Int[Tensor, " completion"]:
        """Tokens of a completion, with the one that ends it."""
        return torch.tensor([*self.tokenizer(completion, add_special_tokens=False)["input_ids"], self.eos_id])

    def text(self, ids: Int[Tensor, " completion"]) -> str:
        """What tokens say, without those that say nothing themselves."""
        return self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)

    def outputs(self, batch: TextBatch, *, shared_prefix: bool = True) -> CompletionOutputs:
        """Log-probabilities of the completions' tokens, and what goes with them.

        Args:
            batch: to look at.
            shared_prefix: whether the completions of a prompt stand in one row, which is the same and takes less time.
        """
        packed = self._pack(batch, shared_prefix=shared_prefix)
        hidden_XD = self._hidden(packed)
        hidden_TD = hidden_XD[packed.source_T.to(self.device)]
        logits_TV = self.head(hidden_TD) / batch.temperature
        log_all_TV = torch.log_softmax(logits_TV.float(), -1)
        token_T = batch.token_T.to(self.device)
        with torch.no_grad():
            entropy_T = -(log_all_TV.exp() * log_all_TV).sum(-1)
        return CompletionOutputs(
            logprob_T=log_all_TV.gather(1, token_T[:, None])[:, 0],
            entropy_T=entropy_T,
            hidden_TD=hidden_TD,
        )

    def last_hidden(self, batch: TextBatch) -> Float[Tensor, "N D"]:
        """Last hidden state at the last token of each completion: what a reward head reads."""
        packed = self._pack(batch, shared_prefix=True)
        last_N = packed.place_T[torch.cumsum(batch.length_N, 0) - 1]
        return self._hidden(packed)[last_N.to(self.device)]

    def forward(
        self, token_RL: Tensor, *, position_RL: Tensor, mask: Tensor, cache: Any = None
    ) -> Float[Tensor, "R L D"]:
        """Last hidden states of rows, each token seeing what the mask says."""
        with_cache: dict[str, Any] = {} if cache is None else {"past_key_values": cache, "use_cache": True}
        mine = {"attention_mask": mask, "position_ids": position_RL, **with_cache}
        if cache is None:
            mine["use_cache"] = False
        return self._causal.base_model(input_ids=token_RL, **mine).last_hidden_state

    def head(self, hidden_XD: Float[Tensor, "X D"]) -> Float[Tensor, "X V"]:
        """Logits of what comes next."""
        logits_XV = self._causal.get_output_embeddings()(hidden_XD)
        return self._after_head(logits_XV)

    @cached_property
    def _after_head(self) -> Any:
        """What some architectures do to the logits of their output layer."""
        config = self._causal.config
        cap, scale = getattr(config, "final_logit_softcapping", None), getattr(config, "logit_scale", None)
        divisor = getattr(config, "logits_scaling", None)
        if cap is not None:
            return lambda logits: torch.tanh(logits / cap) * cap
        if scale is not None:
            return lambda logits: logits * scale
        if divisor is not None:
            return lambda logits: logits / divisor
        return lambda logits: logits

    def _pack(self, batch: TextBatch, *, shared_prefix: bool) -> Packed:
        return pack(batch, shared_prefix=shared_prefix, pad_id=self.pad_id, max_row=_MAX_SHARED_ROW)

    def _hidden(self, packed: Packed) -> Float[Tensor, "X D"]:
        """Of all places of all rows, one after the other."""
        device = self.device
        hidden_RLD = self.forward(
            packed.token_RL.to(device), position_RL=packed.position_RL.to(device), mask=packed.mask_R1LL.to(device)
        )
        return hidden_RLD.flatten(0, 1)

    def save(self, folder: Path) -> None:
        """Write it as safetensors with its tokenizer, as transformers does; an adapter alone where there is one."""
        try:
            self.module.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]
            self.tokenizer.save_pretrained(folder)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from error
