"""TRL's SFTTrainer and RewardTrainer on texts and a model that heeler's job has made. Runs in `.peers/trl`.

Prints one JSON object: the loss of each step, before it, and the seconds from the first step's beginning to the end.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from benchmarks.peers.trl_settings import settings


class Clock(TrainerCallback):
    """When training began and ended."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Nothing is learned before."""
        self.began_s, self.began_cpu_s = time.perf_counter(), time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Nothing is learned after."""
        self.ended_s, self.ended_cpu_s = time.perf_counter(), time.process_time()


def noting(trainer: type) -> type:
    """A trainer that keeps the loss of each step."""

    class Noting(trainer):
        losses: list[Any]

        def compute_loss(self, *arguments: Any, **named: Any) -> Any:
            found = super().compute_loss(*arguments, **named)
            self.losses.append((found[0] if isinstance(found, tuple) else found).detach())
            return found

    return Noting


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("sft", "rm"))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    material = json.loads((arguments.folder / "material.json").read_text())
    torch.set_num_threads(material["threads"])
    with tempfile.TemporaryDirectory(prefix="trl-") as output:
        make = supervised if arguments.kind == "sft" else reward
        trainer, clock = make(arguments.folder, material, output), Clock()
        trainer.losses = []
        trainer.add_callback(clock)
        trainer.train()
    losses = [float(loss) for loss in trainer.losses]
    spent = {"seconds": clock.ended_s - clock.began_s, "cpu_seconds": clock.ended_cpu_s - clock.began_cpu_s}
    print(json.dumps({"losses": losses} | spent))


def supervised(folder: Path, material: dict[str, Any], output: str) -> Any:
    """Only the tokens of completions are learned."""
    rows = {
        "input_ids": [row["prompt"] + row["chosen"] for row in material["rows"]],
        "completion_mask": [[0] * len(row["prompt"]) + [1] * len(row["chosen"]) for row in material["rows"]],
    }
    return noting(SFTTrainer)(
        model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32),
        args=SFTConfig(**settings(material, output), max_length=None, completion_only_loss=True, packing=False),
        train_dataset=Dataset.from_dict(rows),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )


def reward(folder: Path, material: dict[str, Any], output: str) -> Any:
    """The head is the one that heeler's begins with."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=1, dtype=torch.float32)
    model.score.weight.data.copy_(load_file(folder / "head.safetensors")["head"])
    rows = {f"{name}_ids": [row["prompt"] + row[name] for row in material["rows"]] for name in ("chosen", "rejected")}
    return noting(RewardTrainer)(
        model=model,
        args=RewardConfig(**settings(material, output), max_length=None, center_rewards_coefficient=None),
        train_dataset=Dataset.from_dict(rows),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )


if __name__ == "__main__":
    main()
