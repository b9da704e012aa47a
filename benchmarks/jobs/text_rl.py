"""Heeler's GRPO and RLOO steps on questions to the help desk, and the material that TRL's job learns from too.

`make FOLDER --model M` writes questions, what the model M answered to some of them, and a policy and a reference that
are a little way from M. `grpo FOLDER` and `rloo FOLDER` make steps from M on: sample, score, learn. They print one JSON
object: the seconds of each step but the first, how long prompts and answers were, and the share of answers that were
cut. `check FOLDER` prints how far loss and gradient at the policy are from those that the peer's job has left in the
folder, on the same answers, and how many operations a second products of large matrices come to on this machine.
"""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.word_overlap import word_overlap
from heeler.algorithms.grpo import GRPO, GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.rloo import RLOO, RLOOConfig
from heeler.algorithms.text_learning import Sums
from heeler.core.nouns import Message
from heeler.envs.helpdesk import items
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.text_batch import TextBatch
from heeler.rollouts.sampler import SamplingConfig, sample

SETTINGS = {"learning_rate": 1e-6, "beta": 0.05, "clip": 0.2, "max_new_tokens": 128}
"""Of both sides. Steps so small leave answers as long as they were, so that both sides' stay alike."""
# Of each weight tensor's own spread: enough for ratios on both sides of where they are clipped.
DISTANCE = 0.05


def main() -> None:
    """Do one of them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "grpo", "rloo", "check"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.what == "make":
        sizes = {"num_steps": options.steps, "num_prompts": options.prompts, "num_each": options.each}
        make(options.folder, SETTINGS | sizes | {"model": str(options.model), "threads": options.threads}, options.seed)
        print(json.dumps({"made": str(options.folder)}))
        return
    material = json.loads((options.folder / "material.json").read_text())
    torch.set_num_threads(material["threads"])
    if options.what == "check":
        print(json.dumps(compare(options.folder, material) | {"flops_per_s": product_peak()}))
    else:
        print(json.dumps(steps(options.what, material)))


def make(folder: Path, material: dict[str, Any], seed: int) -> None:
    """Write questions, answers and the policy."""
    torch.set_num_threads(material["threads"])
    num_prompts = material["num_prompts"]
    rows = [
        {
            "prompt": [{"role": message.role, "content": message.content} for message in item.prompt],
            "wanted": item.reference,
        }
        for item in islice(items("train", seed), material["num_steps"] * num_prompts)
    ]
    model = load_language_model(material["model"], dtype="float32", device="cpu")
    batch = sampled(model, rows[:num_prompts], material, torch.Generator().manual_seed(seed))
    answers = [
        {"prompt": batch.prompts[prompt].tolist(), "completion": ids.tolist(), "logprobs": logprobs.tolist()}
        for prompt, ids, logprobs in zip(
            batch.prompt_of_N.tolist(),
            batch.completions,
            batch.sampled_logprob_T.split(batch.length_N.tolist()),
            strict=True,
        )
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("policy", "reference")):
        beside = load_language_model(material["model"], dtype="float32", device="cpu")
        move(beside, torch.Generator().manual_seed(seed + number))
        beside.save(folder / name)
    (folder / "material.json").write_text(json.dumps(material | {"rows": rows, "answers": answers}))


@torch.no_grad()
def move(model: LanguageModel, generator: torch.Generator) -> None:
    """Change all weights a little."""
    for weight in model.trainable():
        # Of one dimension are the norms' weights, which are alike.
        size = weight.std() if weight.ndim > 1 else weight.abs().mean()
        weight += DISTANCE * size * torch.randn(weight.shape, generator=generator)


def steps(kind: str, material: dict[str, Any]) -> dict[str, Any]:
    """Sample, score, learn."""
    model = load_language_model(material["model"], dtype="float32", device="cpu")
    reference = model.frozen_copy()
    learner = learner_of(kind, material)
    state = learner.init(model, 0)
    generator, size = torch.Generator().manual_seed(0), material["num_prompts"]
    spent: list[dict[str, Any]] = []
    for begin in range(0, len(material["rows"]), size):
        rows = material["rows"][begin : begin + size]
        began, began_cpu = time.perf_counter(), time.process_time()
        batch = sampled(model, rows, material, generator)
        rewards = [
            word_overlap(model.text(ids), rows[prompt]["wanted"])
            for prompt, ids in zip(batch.prompt_of_N.tolist(), batch.completions, strict=True)
        ]
        state, metrics = learner.update(state, batch, rewards, reference=reference)
        if begin == 0:
            # What is only done once is done.
            continue
        spent.append(
            {
                "seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - began_cpu,
                "prompts": [len(ids) for ids in batch.prompts],
                "completions": batch.length_N.tolist(),
                "cut": metrics["completions/clipped_ratio"],
            }
        )
    return {"steps": spent}


def sampled(
    model: LanguageModel, rows: Sequence[dict[str, Any]], material: dict[str, Any], generator: torch.Generator
) -> TextBatch:
    """Answers to some of the questions."""
    prompts = [model.prompt_ids([Message(**message) for message in row["prompt"]]) for row in rows]
    config = SamplingConfig(max_new_tokens=material["max_new_tokens"])
    return sample(model, prompts, num_each=material["num_each"], config=config, generator=generator)


def learner_of(kind: str, material: dict[str, Any]) -> GRPO | RLOO:
    """The learner, set as the peer's trainer is."""
    optimizer = OptimizerConfig(learning_rate=material["learning_rate"])
    clips = {"clip_low": material["clip"], "clip_high": material["clip"]}
    beta = material["beta"]
    if kind == "grpo":
        kl = KLConfig(coefficient=beta, place="loss", estimator="k3", importance_weighted=True)
        return GRPO(GRPOConfig(optimizer=optimizer, kl=kl, **clips))
    return RLOO(RLOOConfig(optimizer=optimizer, kl=KLConfig(coefficient=beta), **clips))


def compare(folder: Path, material: dict[str, Any]) -> dict[str, float]:
    """Differences of the loss, and of the gradient as a share of its length."""
    found: dict[str, float] = {}
    for kind in ("grpo", "rloo"):
        peer = load_file(folder / f"{kind}.safetensors")
        loss, gradient, weights = at_policy(kind, folder, material)
        theirs = torch.cat([peer[name].flatten() for name, _ in weights])
        found[f"{kind}_loss_difference"] = abs(loss - float(peer["loss"]))
        found[f"{kind}_gradient_difference"] = float((gradient - theirs).norm() / theirs.norm())
    return found


def at_policy(kind: str, folder: Path, material: dict[str, Any]) -> tuple[float, Tensor, list[tuple[str, Tensor]]]:
    """Loss and gradient on the answers that were kept, and the weights with their names, in their order."""
    model = load_language_model(folder / "policy", dtype="float32", device="cpu")
    reference = load_language_model(folder / "reference", dtype="float32", device="cpu", trainable=False)
    learner = learner_of(kind, material)
    state = learner.init(model, 0)
    answers, each = material["answers"], material["num_each"]
    completions = tuple(torch.tensor(answer["completion"]) for answer in answers)
    batch = TextBatch(
        prompts=tuple(torch.tensor(answer["prompt"]) for answer in answers[::each]),
        completions=completions,
        prompt_of_N=torch.arange(len(answers) // each).repeat_interleave(each),
        sampled_logprob_T=torch.cat([torch.tensor(answer["logprobs"]) for answer in answers]),
        truncated_N=torch.tensor([int(ids[-1]) not in model.end_ids for ids in completions]),
        temperature=1.0,
    )
    wanted = [material["rows"][prompt]["wanted"] for prompt in batch.prompt_of_N.tolist()]
    rewards = [word_overlap(model.text(ids), right) for ids, right in zip(completions, wanted, strict=True)]
    experience, _ = learner.prepare(state, batch, rewards, reference)
    sums = Sums()
    learner.differentiate(state, experience, sums)
    return sums.means()["loss"], state.weights.gradient, list(model.module.named_parameters())


def product_peak(size: int = 2048, num_tries: int = 8) -> float:
    """Operations a second of the best of some products of large float32 matrices; a multiply-add is two."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    best = float("inf")
    for _ in range(num_tries):
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
