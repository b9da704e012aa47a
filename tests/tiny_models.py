"""Tiny language models that tests make for themselves."""

from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, with a chat template; `<|end|>` ends a text."""
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    vocabulary = {
        token: number for number, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>")
    fast.chat_template = TEMPLATE
    return fast


def tiny_llama(seed: int = 0, *, hidden_size: int = 32, num_layers: int = 2, max_length: int = 256) -> LanguageModel:
    """A Llama of random weights that reads bytes."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=max_length,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LanguageModel(LlamaForCausalLM(config).eval(), tokenizer)


def adapter_on(base: Path, folder: Path) -> Path:
    """An adapter that says something else than the model in the folder `base`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = load_language_model(base, lora=Lora(rank=2, alpha=8.0), device="cpu")
    with torch.no_grad():
        for parameter in model.trainable():
            parameter.add_(0.1)
    model.save(folder)
    return folder


def save_tiny_embeddings(folder: Path) -> dict[str, np.ndarray]:
    """A sentence-transformers model of random weights that reads bytes: the mean of its letters' embeddings.

    Returns:
        The embedding of each letter.
    """
    sentence_transformers = import_module("sentence_transformers")
    modules = import_module("sentence_transformers.sentence_transformer.modules")
    tokenizer = tiny_tokenizer()
    weight = np.random.default_rng(0).normal(size=(len(tokenizer), 8)).astype(np.float32)
    embedding = modules.StaticEmbedding(tokenizer.backend_tokenizer, embedding_weights=weight)
    sentence_transformers.SentenceTransformer(modules=[embedding], device="cpu").save(str(folder))
    return {letter: weight[tokenizer.convert_tokens_to_ids(letter)] for letter in "abc"}
