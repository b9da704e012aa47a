"""Heeler's SFT and reward model on texts of the help desk, and the material that TRL's job learns from too.

`make FOLDER` writes a small Llama of random weights, a head, and tokens of prompts with two answers each, all of
natural lengths. `sft FOLDER` and `rm FOLDER` learn from them once, batch by batch in their order, and print one JSON
object: the loss of each step, before it, and the seconds from the first step's beginning to the end.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from heeler.algorithms.sft import SFT, SFTConfig
from heeler.core.nouns import Message
from heeler.core.text_data import TextPair
from heeler.envs.helpdesk.corpus import Faults, conversations
from heeler.models.language.loading import load_language_model
from heeler.models.language.small import SmallModelConfig, new_language_model
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from heeler.rewards.pair_tokens import pair_tokens
from heeler.rewards.reward_learner import RewardData, RewardLearner
from heeler.rewards.reward_settings import RewardModelConfig

SIZE = SmallModelConfig(vocabulary_size=2048, hidden_size=256, num_layers=4, num_attention_heads=4, max_length=1024)
LEARNING_RATE = 3e-4
NUM_TURNS = (1, 2, 3, 4)
# Rows of like length in parts that stay in a processor's cache.
MAX_TOKENS = 1024
STEPS = OptimizerConfig(learning_rate=LEARNING_RATE)


def main() -> None:
    """Make, or learn and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("make", "sft", "rm"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.kind == "make":
        make(arguments.folder, arguments.rows, arguments.batch_size, arguments.seed, arguments.threads)
        print(json.dumps({"made": str(arguments.folder)}))
        return
    material = json.loads((arguments.folder / "material.json").read_text())
    torch.set_num_threads(material["threads"])
    learn = supervised if arguments.kind == "sft" else reward
    print(json.dumps(learn(arguments.folder, material)))


def make(folder: Path, num_rows: int, batch_size: int, seed: int, threads: int) -> None:
    """Write model, head and tokens."""
    pairs = help_desk_pairs(num_rows, seed)
    texts = [message.content for pair in pairs for message in pair.prompt]
    texts += [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    model = new_language_model(SIZE, texts, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model")
    head = torch.randn(1, SIZE.hidden_size, generator=torch.Generator().manual_seed(seed)) / SIZE.hidden_size**0.5
    save_file({"head": head}, folder / "head.safetensors")
    tokens = pair_tokens(model, pairs, "refuse")
    rows = [
        {"prompt": prompt.tolist(), "chosen": chosen.tolist(), "rejected": rejected.tolist()}
        for prompt, chosen, rejected in zip(tokens.prompts, tokens.chosen, tokens.rejected, strict=True)
    ]
    material = {"rows": rows, "batch_size": batch_size, "learning_rate": LEARNING_RATE, "threads": threads}
    (folder / "material.json").write_text(json.dumps(material))


def help_desk_pairs(num: int, seed: int) -> list[TextPair]:
    """Last answers of conversations of one to four questions, and others to the same, mostly longer and ruder."""
    talks = [conversations(Faults(invented=0.0, rude=0.0, long=0.3), num_turns=n, seed=seed) for n in NUM_TURNS]
    others = conversations(Faults(invented=0.0, rude=1.0, long=0.6), num_turns=1, seed=seed + 1)
    random = Random(seed)
    pairs: list[TextPair] = []
    for number in range(num):
        talk, other = next(random.choice(talks)), next(others)
        prompt = tuple(Message(role=message.role, content=message.content) for message in talk[:-1])
        place = f"corpus, row {number + 1}"
        pairs.append(TextPair(prompt=prompt, chosen=talk[-1].content, rejected=other[-1].content, place=place))
    return pairs


def supervised(folder: Path, material: dict[str, Any]) -> dict[str, Any]:
    """One pass of supervised fine-tuning on the chosen answers."""
    model = load_language_model(folder / "model", dtype="float32", device="cpu")
    learner = SFT(SFTConfig(optimizer=STEPS, max_tokens=MAX_TOKENS))
    state = learner.init(model, 0)
    rows, size = material["rows"], material["batch_size"]
    losses: list[float] = []
    began = _clocks()
    for begin in range(0, len(rows), size):
        some = rows[begin : begin + size]
        prompts = [torch.tensor(row["prompt"]) for row in some]
        batch = stored(prompts, [torch.tensor(row["chosen"]) for row in some], torch.arange(len(some)))
        state, metrics = learner.update(state, batch)
        losses.append(metrics["loss"])
    return {"losses": losses} | _since(began)


def reward(folder: Path, material: dict[str, Any]) -> dict[str, Any]:
    """One pass of a reward model on its trunk."""
    model = load_language_model(folder / "model", dtype="float32", device="cpu")
    config = RewardModelConfig(
        num_heads=1, ngrams=None, optimizer=STEPS, centring=0.0, validation_share=0.0, max_tokens=MAX_TOKENS
    )
    learner = RewardLearner(config)
    state = learner.init(model, 0)
    assert state.reward.head_MD is not None and state.weights is not None
    state.reward.head_MD.data.copy_(load_file(folder / "head.safetensors")["head"])
    data, size = reward_data(learner, state, material), material["batch_size"]
    losses: list[float] = []
    began = _clocks()
    for number, begin in enumerate(range(0, len(data), size)):
        # The batches that the peer has, in its order; heeler's own come by chance.
        metrics = learner.differentiate(state, data, range(begin, min(begin + size, len(data))))
        state.weights.step(number, 0.0)
        losses.append(metrics["loss"])
    return {"losses": losses} | _since(began)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> dict[str, float]:
    now = _clocks()
    return {"seconds": now[0] - began[0], "cpu_seconds": now[1] - began[1]}


def reward_data(learner: RewardLearner, state: Any, material: dict[str, Any]) -> RewardData:
    """The material's own tokens, which are not made from text again."""
    rows = material["rows"]
    pairs = [TextPair(prompt=(), chosen="a", rejected="b", place=f"row {number + 1}") for number in range(len(rows))]
    data = learner.prepare(state, pairs)
    assert data.tokens is not None
    prompts, chosen, rejected = (
        tuple(torch.tensor(row[name]) for row in rows) for name in ("prompt", "chosen", "rejected")
    )
    return replace(data, tokens=replace(data.tokens, prompts=prompts, chosen=chosen, rejected=rejected))


if __name__ == "__main__":
    main()
