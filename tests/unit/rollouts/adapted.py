"""A tiny model with adapters on it, each of which says something else."""

from pathlib import Path

import torch

from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from tests.tiny_models import tiny_llama


def saved_base(folder: Path) -> Path:
    """The model without any."""
    tiny_llama(max_length=128).save(folder)
    return folder


def adapted(base: Path, seed: int, rank: int = 2) -> LanguageModel:
    """The model with an adapter that changes much."""
    model = load_language_model(base, lora=Lora(rank=rank), device="cpu", trainable=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if ".lora_" in name:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model
