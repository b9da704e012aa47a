"""A tiny run of a reward model that kills itself at each of some writes to the disk, in a process of its own each time.

Arguments: FOLDER KIND [N ...]; makes FOLDER/whole where no N is given, and says how often it wrote; else FOLDER/run-N.
"""

import json
import os
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

from heeler.core import rundir
from heeler.loop.reward_config import RewardRunConfig, TrunkConfig
from heeler.loop.reward_running import run_reward_model
from heeler.models.language.small import SmallModelConfig
from heeler.models.ngrams import NgramConfig
from heeler.recipes import reward_model
from heeler.rewards.reward_settings import RewardModelConfig
from tests.faults.tiny_run import Writes
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


def learn(path: Path, kind: str, kill_at: int | None) -> int:
    """Make the run or go on with it; returns how often it wrote."""
    writes = Writes(kill_at)
    for name in ("fsync", "replace", "truncate", "unlink", "rmdir"):
        writes.watch(os, name)
    writes.watch(rundir.RunDirectory, "append_metrics")
    run_reward_model(config(kind, path.parent / "pairs.jsonl"), path)
    return writes.count


def main() -> None:
    folder, kind, *places = sys.argv[1:]
    data_in(Path(folder))
    if not places:
        print(learn(Path(folder) / "whole", kind, None))
        return
    for at in map(int, places):
        child = os.fork()
        if child == 0:
            learn(Path(folder) / f"run-{at}", kind, at)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, at


if __name__ == "__main__":
    main()
