"""Small language models made from nothing: a tokenizer learned from the texts at hand, a Llama of random weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from heeler.core.errors import ConfigError

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("system", "user", "assistant")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class SmallModelConfig:
    """Size of a model that is made from nothing."""

    vocabulary_size: int = 4096
    """Tokens at most: 256 bytes, those of the template, and pairs that are common in the texts."""
    hidden_size: int = 128
    """Numbers of a hidden state."""
    num_layers: int = 3
    """Layers."""
    num_attention_heads: int = 4
    """Heads of each."""
    max_length: int = 1024
    """Tokens of its context."""
    initializer_range: float = 0.02
    """Standard deviation of the weights to begin with."""
    matching: float = 0.0
    """How much each head attends to tokens like its own to begin with, from which copying is learned in fewer steps.
    0 leaves it to chance; 1 makes it most of what a head does."""

    def __post_init__(self) -> None:
        least = 256 + 2 + len(ROLES)
        if self.vocabulary_size < least:
            raise ConfigError(f"vocabulary_size must be >= {least}, got {self.vocabulary_size}")
        if not 0 <= self.matching <= 1:
            raise ConfigError(f"matching must be between 0 and 1, got {self.matching}")
        for name in ("hidden_size", "num_layers", "num_attention_heads", "max_length"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        # Positions turn pairs of a head's numbers.
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ConfigError(
                f"hidden_size must be a multiple of twice num_attention_heads ({2 * self.num_attention_heads}), "
                f"got {self.hidden_size}"
            )


def new_language_model(config: SmallModelConfig, texts: Iterable[str], *, seed: int) -> "LanguageModel":
    """A Llama of random weights that reads a byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) of `texts`.

    Any text can be written in it, as bytes are tokens, and it has a chat template.

    Args:
        config: its size.
        texts: what common pairs of tokens are learned from.
        seed: of the weights.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    from heeler.models.language.model import LanguageModel

    tokenizer = _tokenizer(config, texts)
    architecture = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=3 * config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_attention_heads,
        max_position_embeddings=config.max_length,
        tie_word_embeddings=True,
        initializer_range=config.initializer_range,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = LlamaForCausalLM(architecture)
        if config.matching:
            _let_match(module, config.matching)
    return LanguageModel(module, tokenizer)


@torch.no_grad()
def _let_match(module: Any, matching: float) -> None:
    """Queries and keys of a head that look at a state in the same way, so that like meets like.

    The product of a head's query and key matrices is near a multiple of a projection then, as in trained models:
    mimetic initialization, Trockman and Kolter 2023, arXiv 2305.09828.
    """
    for layer in module.model.layers:
        attention = layer.self_attn
        size, hidden_size = attention.head_dim, attention.q_proj.weight.shape[1]
        for first in range(0, len(attention.q_proj.weight), size):
            shared = matching * torch.linalg.qr(torch.randn(hidden_size, size))[0].T
            for weight in (attention.q_proj.weight, attention.k_proj.weight):
                weight[first : first + size].mul_(1 - matching / 2).add_(shared)


def _tokenizer(config: SmallModelConfig, texts: Iterable[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        min_frequency=2,
        special_tokens=[PAD, END, *(f"<|{role}|>" for role in ROLES)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    fast.chat_template = TEMPLATE
    return fast
