"""Sampling and supervised learning with a Llama of random weights, and the device's matrix products beside them.

A token costs 2 operations a weight forward and 6 forward and backward, embeddings left out; attention comes on top and
is not counted, so that shares of the peak are low rather than high. Prints tokens/s, of completions where they are
sampled and of prompts and completions where they are learned, shares, and the peak itself, or {"no_gpu": true}.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from heeler.algorithms.sft import SFT, SFTConfig
from heeler.models.language.model import LanguageModel
from heeler.models.language.small import SmallModelConfig, new_language_model
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from heeler.rollouts.sampler import SamplingConfig, sample

_NUM_REPEATS = 3
_HEAD_SIZE = 64


def made(arguments: argparse.Namespace, device: torch.device) -> LanguageModel:
    """The model, with a tokenizer that nobody reads the words of."""
    tokenizer = new_language_model(SmallModelConfig(vocabulary_size=300), ["none"], seed=0).tokenizer
    torch.manual_seed(arguments.seed)
    config = LlamaConfig(
        vocab_size=arguments.vocabulary,
        hidden_size=arguments.hidden_size,
        intermediate_size=4 * arguments.hidden_size,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden_size // _HEAD_SIZE),
        num_key_value_heads=max(1, arguments.hidden_size // _HEAD_SIZE),
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.device(device):
        module: Any = LlamaForCausalLM(config)
        return LanguageModel(module.to(dtype), tokenizer)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of the fastest repeat, after one that nobody times."""
    work()
    found: list[float] = []
    for _ in range(_NUM_REPEATS):
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        found.append(time.perf_counter() - began)
    return min(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a large product of matrices."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    return 2 * size**3 / seconds(lambda: left @ right, device)


def measured(arguments: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """All figures."""
    model = made(arguments, device)
    embeddings = model.vocabulary_size * model.hidden_size
    num_weights = sum(weight.numel() for weight in model.trainable()) - embeddings
    generator = torch.Generator(device).manual_seed(arguments.seed)
    prompts = [torch.randint(10, model.vocabulary_size, (arguments.prompt_tokens,)) for _ in range(arguments.prompts)]
    config = SamplingConfig(max_new_tokens=arguments.tokens)

    def sampled() -> int:
        batch = sample(model, prompts, num_each=arguments.each, config=config, generator=generator)
        return int(batch.length_N.sum())

    num_sampled = sampled()
    sampling_s = seconds(sampled, device)
    completions = [torch.randint(10, model.vocabulary_size, (arguments.tokens,)) for _ in prompts]
    batch = stored(prompts, completions, torch.arange(len(prompts)))
    sft = SFT(SFTConfig(optimizer=OptimizerConfig(learning_rate=1e-6), max_tokens=arguments.max_tokens))
    state = sft.init(model, arguments.seed)
    learning_s = seconds(lambda: sft.update(state, batch), device)
    num_learned = len(prompts) * (arguments.prompt_tokens + arguments.tokens)
    ops = peak(model.dtype, device)
    # The layer that makes logits is gone through for completions alone.
    num_head = len(prompts) * arguments.tokens * embeddings
    return {
        "million_weights": (num_weights + embeddings) / 1e6,
        "matrix_peak_tflops": ops / 1e12,
        "sampling_tokens_per_s": num_sampled / sampling_s,
        "sampling_share": 2 * (num_weights + embeddings) * num_sampled / sampling_s / ops,
        "training_tokens_per_s": num_learned / learning_s,
        "training_share": 6 * (num_weights * num_learned + num_head) / learning_s / ops,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--hidden-size", type=int, default=1280)
    parser.add_argument("--layers", type=int, default=18)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=16_384)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"no_gpu": True}))
        return
    print(json.dumps(measured(arguments, torch.device(arguments.device))))


if __name__ == "__main__":
    main()
