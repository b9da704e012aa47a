"""GRPO and RLOO steps against TRL's trainers, on the help desk's small Llama and answers that end by themselves.

A step samples `NUM_EACH` answers to each of `NUM_PROMPTS` questions, scores them by the words that they share with the
right one, and learns from them with a KL to the model that learning began with. Both sides have the same questions,
model, settings and threads.

How near each side comes to what the machine can do is told by the operations that its steps need over what products of
large float32 matrices reach in the same run. Operations are those of the products of the model's matrices, two for
each weight and token (2 N), and of attention, four for each number of a head and each pair of places of which one sees
the other; embeddings, norms and filling count for nothing. A text is gone through to sample it, with the reference, and
to learn from it, which is once forward and twice as much backward: 2 + 2 + 6 = 10 N for each token. Heeler goes through
a prompt once, whatever follows it; TRL does so for each answer, and with RLOO goes through all texts once more to find
out how likely they were. Each side is counted for what it goes through, and `flops_ratio` is how much more that is of
TRL's.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.harness import ROOT, Benchmark, BenchmarkError, Figures, medians, run_job

MODEL = ROOT / "src" / "heeler" / "recipes" / "data" / "helpdesk"
NUM_PROMPTS, NUM_EACH = 8, 8
NUM_STEPS = 12
"""The first is not counted."""
SIZES = ("--prompts", str(NUM_PROMPTS), "--each", str(NUM_EACH), "--steps", str(NUM_STEPS))
SIZES_QUICK = ("--prompts", "2", "--each", "4", "--steps", "2")
THREADS = 2
KINDS, DIFFERENCES = ("grpo", "rloo"), ("loss", "gradient")
PASSES, PEER_PASSES = {"grpo": 5, "rloo": 5}, {"grpo": 5, "rloo": 6}
"""How often each token's products are worked out in a step, learning counted three times."""


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds.

    Heeler's jobs are `python -m benchmarks.jobs.text_rl make|check|grpo|rloo FOLDER`, the peer's
    `-m benchmarks.peers.trl_rl gradients|grpo|rloo FOLDER`.

    Raises:
        BenchmarkError: there is no model.
    """
    if not (MODEL / "config.json").is_file():
        raise BenchmarkError(f"{MODEL} holds no model; `python -m heeler.recipes.helpdesk_model {MODEL}` makes one")
    peer = peers.python("trl")
    return medians(_seed(peer, seed, SIZES_QUICK if quick else SIZES) for seed in seeds)


def _seed(peer: str, seed: int, sizes: Sequence[str]) -> Figures:
    with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as name:
        ours, theirs = (sys.executable, "-m", "benchmarks.jobs.text_rl"), (peer, "-m", "benchmarks.peers.trl_rl")
        options = ("--model", str(MODEL), "--seed", str(seed), "--threads", str(THREADS))
        run_job((*ours, "make", name, *sizes, *options))
        run_job((*theirs, "gradients", name), threads=THREADS)
        checked = run_job((*ours, "check", name), threads=THREADS).printed
        figures = _differences(checked) | {"product_gflops_per_s": checked["flops_per_s"] / 1e9}
        for kind in KINDS:
            peer_job = run_job((*theirs, kind, name), threads=THREADS)
            own_job = run_job((*ours, kind, name), threads=THREADS)
            figures |= _compared(kind, own_job.printed["steps"], peer_job.printed["steps"], checked["flops_per_s"])
            figures[f"{kind}_memory_ratio"] = own_job.peak_mb / peer_job.peak_mb
            figures |= {f"{kind}_peak_mb": own_job.peak_mb, f"peer_{kind}_peak_mb": peer_job.peak_mb}
    print(f"seed {seed}: {figures}", file=sys.stderr)
    return figures


def _differences(checked: Mapping[str, float]) -> Figures:
    """The larger ones of both algorithms'."""
    return {f"{what}_difference": max(checked[f"{kind}_{what}_difference"] for kind in KINDS) for what in DIFFERENCES}


def _compared(kind: str, own: Sequence[Any], peer: Sequence[Any], flops_per_s: float) -> Figures:
    if len(own) != len(peer):
        raise BenchmarkError(f"{kind}: {len(own)} steps of ours and {len(peer)} of the peer's")
    model = json.loads((MODEL / "config.json").read_text())
    own_flops = [PASSES[kind] * flops(model, step["prompts"], step["completions"], once=True) for step in own]
    # Its questions are the same.
    peer_flops = [
        PEER_PASSES[kind] * flops(model, ours["prompts"], step["completions"], once=False)
        for ours, step in zip(own, peer, strict=True)
    ]
    figures: Figures = {
        f"{kind}_speed_ratio": _median(peer, "seconds") / _median(own, "seconds"),
        # Less shaken by whatever else the machine does, and blind to cores that stand idle.
        f"{kind}_cpu_ratio": _median(peer, "cpu_seconds") / _median(own, "cpu_seconds"),
        f"{kind}_flops_ratio": sum(peer_flops) / sum(own_flops),
    }
    for side, steps, done in (("", own, own_flops), ("peer_", peer, peer_flops)):
        shares = [flops / step["seconds"] / flops_per_s for flops, step in zip(done, steps, strict=True)]
        lengths = [length for step in steps for length in step["completions"]]
        figures |= {
            f"{side}{kind}_steps_per_s": 1 / _median(steps, "seconds"),
            f"{side}{kind}_product_share": statistics.median(shares),
            f"{side}{kind}_mean_length": statistics.fmean(lengths),
            f"{side}{kind}_cut_share": statistics.fmean(step["cut"] for step in steps),
        }
    return figures


def _median(steps: Sequence[Any], name: str) -> float:
    return statistics.median(step[name] for step in steps)


def flops(model: Mapping[str, Any], prompts: Sequence[int], completions: Sequence[int], *, once: bool) -> float:
    """Operations of going through texts, forward.

    Args:
        model: a Llama's configuration.
        prompts: tokens of each.
        completions: tokens of each, as many to each prompt, in the order of the prompts.
        once: whether each prompt is gone through once, and not for each of its completions.
    """
    hidden, layers, heads = model["hidden_size"], model["num_hidden_layers"], model["num_attention_heads"]
    attended = heads * (model.get("head_dim") or hidden // heads)
    queries_and_output = 2 * hidden * attended
    keys_and_values = queries_and_output * model["num_key_value_heads"] // heads
    weights = layers * (queries_and_output + keys_and_values + 3 * hidden * model["intermediate_size"])
    each = len(completions) // len(prompts)
    behind = [prompts[i // each] for i in range(len(completions))]
    starts = prompts if once else behind
    num_tokens = sum(starts) + sum(completions)
    num_pairs = sum(n * (n + 1) // 2 for n in (*starts, *completions))
    num_pairs += sum(before * n for before, n in zip(behind, completions, strict=True))
    logits = 2 * hidden * model["vocab_size"] * sum(completions)
    return 2 * weights * num_tokens + 4 * layers * attended * num_pairs + logits


BENCHMARK = Benchmark(
    name="rl-trl",
    about="GRPO and RLOO steps against TRL: speed, memory, and loss and gradient on the same samples",
    targets={
        "grpo_speed_ratio": ">= 2",
        "rloo_speed_ratio": ">= 2",
        "grpo_memory_ratio": "<= 1",
        "rloo_memory_ratio": "<= 1",
        "loss_difference": "<= 0.00001",
        "gradient_difference": "<= 0.00001",
    },
    measure=measure,
)
