"""TRL's GRPOTrainer and RLOOTrainer on questions and a model that heeler's job has made. Runs in `.peers/trl`.

`grpo FOLDER` and `rloo FOLDER` train, and print one JSON object: the seconds of each step but the first, and how long
answers were. `gradients FOLDER` has either trainer take the answers of the material for its own, score them and work
out what it knows of them; then its weights become the policy's, and `grpo.safetensors` and `rloo.safetensors` in the
folder take the loss and the gradient.
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
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from benchmarks.peers.trl_settings import settings
from benchmarks.word_overlap import word_overlap

# Completions gone through at a time in learning: what takes the peer the least time here.
MICRO_BATCH = 64


class StepClock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Sampling, scoring and learning of one step are over."""
        self.ends.append((time.perf_counter(), time.process_time()))


class Reward:
    """The reward, which keeps how long the answers were that it saw, and the share of them that were cut."""

    __name__ = "word_overlap"

    def __init__(self, eos_id: int) -> None:
        self.eos_id = eos_id
        self.lengths: list[list[int]] = []
        self.cut: list[float] = []

    def __call__(self, completions: Any, completion_ids: Any, wanted: list[str], **_: Any) -> list[float]:
        """As the trainers call it."""
        self.lengths.append([len(ids) for ids in completion_ids])
        self.cut.append(sum(ids[-1] != self.eos_id for ids in completion_ids) / len(completion_ids))
        return [word_overlap(said[0]["content"], right) for said, right in zip(completions, wanted, strict=True)]


def main() -> None:
    """Train or differentiate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grpo", "rloo", "gradients"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--micro-batch", type=int, default=MICRO_BATCH)
    options = parser.parse_args()
    material = json.loads((options.folder / "material.json").read_text())
    torch.set_num_threads(material["threads"])
    size = material["num_prompts"] * material["num_each"]
    with tempfile.TemporaryDirectory(prefix="trl-") as output:
        if options.what == "gradients":
            for kind in ("grpo", "rloo"):
                # More than one iteration: only then does GRPOTrainer keep how likely the answers were when sampled.
                trainer, _ = make(kind, material, output, size, num_iterations=2)
                save_file(gradient(trainer, options.folder, material), options.folder / f"{kind}.safetensors")
            print(json.dumps({"made": str(options.folder)}))
        else:
            print(json.dumps(trained(*make(options.what, material, output, min(size, options.micro_batch)))))


def make(
    kind: str, material: dict[str, Any], output: str, micro_batch: int, *, num_iterations: int = 1
) -> tuple[Any, Reward]:
    """The trainer; what it begins with is its reference, too."""
    trainer, config = (GRPOTrainer, GRPOConfig) if kind == "grpo" else (RLOOTrainer, RLOOConfig)
    tokenizer = AutoTokenizer.from_pretrained(material["model"])
    reward = Reward(tokenizer.eos_token_id)
    model = AutoModelForCausalLM.from_pretrained(material["model"], dtype=torch.float32)
    arguments = config(
        **settings(material | {"batch_size": micro_batch}, output),
        gradient_accumulation_steps=material["num_prompts"] * material["num_each"] // micro_batch,
        num_generations=material["num_each"],
        num_iterations=num_iterations,
        max_completion_length=material["max_new_tokens"],
        beta=material["beta"],
        epsilon=material["clip"],
        shuffle_dataset=False,
    )
    made = trainer(
        model=model,
        args=arguments,
        reward_funcs=[reward],
        train_dataset=Dataset.from_list(material["rows"]),
        processing_class=tokenizer,
    )
    return made, reward


def trained(trainer: Any, reward: Reward) -> dict[str, Any]:
    """Steps as the trainer makes them."""
    clock = StepClock()
    trainer.add_callback(clock)
    trainer.train()
    spent = [
        {"seconds": end[0] - begin[0], "cpu_seconds": end[1] - begin[1], "completions": lengths, "cut": cut}
        for begin, end, lengths, cut in zip(
            clock.ends, clock.ends[1:], reward.lengths[1:], reward.cut[1:], strict=False
        )
    ]
    return {"steps": spent}


def gradient(trainer: Any, folder: Path, material: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The loss at the policy, and its gradient, on the answers of the material."""
    answers, each = material["answers"], material["num_each"]
    kept = [answer["completion"] for answer in answers]
    is_grpo = isinstance(trainer, GRPOTrainer)
    trainer._generate_single_turn = lambda *_: (kept, None) if is_grpo else kept
    trainer.ref_model.load_state_dict(load_file(folder / "reference" / "model.safetensors"), strict=False)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    rows = [row for row in material["rows"][: material["num_prompts"]] for _ in range(each)]
    inputs = trainer._generate_and_score_completions(rows)
    trainer.model.load_state_dict(load_file(folder / "policy" / "model.safetensors"), strict=False)
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    found = {name: weight.grad for name, weight in trainer.model.named_parameters()}
    return found | {"loss": loss.detach().reshape(1)}


if __name__ == "__main__":
    main()
