"""Runs that learn from stored texts as small as they get."""

import dataclasses
from pathlib import Path

from heeler.loop.offline.config import OfflineRunConfig
from heeler.models.language.adapters import Lora
from tests.tiny_models import tiny_llama
from tests.unit.loop.offline.tiny import file_of, rows_for, tiny_offline_run

KINDS = ("sft", "dpo-lora")


def material_in(folder: Path, kind: str) -> None:
    """A model to begin with, and a file of texts."""
    file_of(folder, rows_for(kind.partition("-")[0]))
    tiny_llama().save(folder / "model")


def config(kind: str, folder: Path) -> OfflineRunConfig:
    """All weights, or an adapter."""
    plain = tiny_offline_run(
        kind.partition("-")[0], folder / "model", folder / "texts.jsonl", checkpoint_every=1, keep_checkpoints=2
    )
    lora = Lora(rank=2) if kind.endswith("lora") else None
    return dataclasses.replace(plain, model=dataclasses.replace(plain.model, lora=lora))
