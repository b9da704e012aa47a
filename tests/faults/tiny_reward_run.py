"""Runs of a reward model as small as they get."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from heeler.loop.reward_config import RewardRunConfig, TrunkConfig
from heeler.models.language.small import SmallModelConfig
from heeler.models.ngrams import NgramConfig
from heeler.recipes import reward_model
from heeler.rewards.reward_settings import RewardModelConfig
from tests.unit.rewards.text_pairs import made_pairs

KINDS = ("ngrams", "heads", "trunk")


def data_in(folder: Path) -> Path:
    """Pairs in a file."""
    path = folder / "pairs.jsonl"
    rows = [
        {"prompt": [asdict(m) for m in pair.prompt], "chosen": pair.chosen, "rejected": pair.rejected}
        for pair in made_pairs(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config(kind: str, data: Path) -> RewardRunConfig:
    """N-grams alone; a trunk that learns what comes next and is then weighed; one that learns what is better, too."""
    ngrams = NgramConfig(log2_buckets=8, letter_lengths=())
    model = RewardModelConfig(ngrams=ngrams, num_heads=2, num_ridge_folds=2, ridges=(1.0, 10.0), batch_pairs=8)
    plain = replace(
        reward_model(data=str(data)), model=model, held_out_share=0.3, checkpoint_every=1, keep_checkpoints=2
    )
    if kind == "ngrams":
        return plain
    size = SmallModelConfig(vocabulary_size=270, hidden_size=8, num_layers=1, num_attention_heads=2, max_length=256)
    trunk = TrunkConfig(made=size, num_pretraining_epochs=1, pretraining_pairs=10)
    return replace(plain, trunk=trunk, model=replace(model, learning=kind, validation_share=0.2))
