"""Tiny random models of many architectures, all of which read bytes."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from heeler.models.language.model import LanguageModel
from tests.tiny_models import tiny_tokenizer

_TOKENIZER = tiny_tokenizer()
_PLAIN: dict[str, Any] = {"vocab_size": len(_TOKENIZER), "bos_token_id": 1, "eos_token_id": 1}
_USUAL: dict[str, Any] = _PLAIN | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
_GPT: dict[str, Any] = _PLAIN | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
_MIXED = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}


def _config(name: str, **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(transformers, f"{name}Config")(**settings)


FAST: dict[str, Callable[[], Any]] = {
    "llama": _config("Llama", **_USUAL),
    "qwen3": _config("Qwen3", **_USUAL, head_dim=8),
    "qwen3-window": _config("Qwen3", **_USUAL, head_dim=8, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "mistral-window": _config("Mistral", **_USUAL, head_dim=8, sliding_window=8),
    "gemma2-softcap": _config("Gemma2", **_USUAL, head_dim=8, query_pre_attn_scalar=8, **_MIXED),
    "gemma3-window": _config("Gemma3Text", **_USUAL, head_dim=8, query_pre_attn_scalar=8, **_MIXED),
    "gpt2": _config("GPT2", **_GPT),
    "gpt-neox": _config(
        "GPTNeoX", **{name: value for name, value in _USUAL.items() if name != "num_key_value_heads"}
    ),
    "phi": _config("Phi", **_USUAL),
    "olmo2": _config("Olmo2", **_USUAL),
    "granite-scaled": _config("Granite", **_USUAL, logits_scaling=3.0),
}
"""Architectures for which the fast ways are right."""
PLAIN: dict[str, Callable[[], Any]] = {
    "bloom-alibi": _config("Bloom", **_PLAIN, hidden_size=32, n_layer=2, n_head=4),
    "gpt-neo-local": _config(
        "GPTNeo",
        **_PLAIN,
        hidden_size=32,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=4,
        window_size=8,
        max_position_embeddings=128,
    ),
    "mamba": _config("Mamba", **_PLAIN, hidden_size=32, num_hidden_layers=2, state_size=8),
}
"""Architectures that take no mask with four dimensions, have a local attention of their own, or have none."""


def model_of(config: Any) -> LanguageModel:
    """A model of random weights that are large enough for attention to matter."""
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    return LanguageModel(module, _TOKENIZER)
