"""Tokens a second of supervised fine-tuning and of reward models against TRL's trainers, on the same batches."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import Benchmark, BenchmarkError, Figures, medians, run_job

NUM_ROWS, NUM_ROWS_QUICK, BATCH_SIZE = 320, 16, 16
THREADS = 2


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds.

    Heeler's jobs are `python -m benchmarks.jobs.text_learning make|sft|rm FOLDER`, the peer's
    `-m benchmarks.peers.trl_learning sft|rm FOLDER`. Seconds are of learning alone, from the first step to the last.
    """
    peer = peers.python("trl")
    return medians(_seed(peer, seed, NUM_ROWS_QUICK if quick else NUM_ROWS) for seed in seeds)


def _seed(peer: str, seed: int, num_rows: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as name:
        folder, ours = Path(name), (sys.executable, "-m", "benchmarks.jobs.text_learning")
        sizes = ("--rows", str(num_rows), "--batch-size", str(BATCH_SIZE), "--threads", str(THREADS))
        run_job((*ours, "make", name, "--seed", str(seed), *sizes))
        tokens = _tokens(json.loads((folder / "material.json").read_text())["rows"])
        figures: Figures = {}
        for kind in ("sft", "rm"):
            theirs = run_job((peer, "-m", "benchmarks.peers.trl_learning", kind, name), threads=THREADS)
            own = run_job((*ours, kind, name), threads=THREADS)
            figures |= _compared(kind, own.printed, theirs.printed, tokens[kind])
            figures[f"{kind}_memory_ratio"] = own.peak_mb / theirs.peak_mb
    print(f"seed {seed}: {figures}", file=sys.stderr)
    return figures


def _tokens(rows: Sequence[dict[str, list[int]]]) -> dict[str, int]:
    """What a user has given to learn from, however either side lays it out."""
    prompt, chosen, rejected = (sum(len(row[name]) for row in rows) for name in ("prompt", "chosen", "rejected"))
    return {"sft": prompt + chosen, "rm": 2 * prompt + chosen + rejected}


def _compared(kind: str, own: Any, peer: Any, num_tokens: int) -> Figures:
    if len(own["losses"]) != len(peer["losses"]):
        raise BenchmarkError(f"{kind}: {len(own['losses'])} steps of ours and {len(peer['losses'])} of the peer's")
    return {
        f"{kind}_speed_ratio": peer["seconds"] / own["seconds"],
        # Less shaken by whatever else the machine does, and blind to cores that stand idle.
        f"{kind}_cpu_ratio": peer["cpu_seconds"] / own["cpu_seconds"],
        f"{kind}_tokens_per_s": num_tokens / own["seconds"],
        f"peer_{kind}_tokens_per_s": num_tokens / peer["seconds"],
        # Of the first step: from there on, differences of rounding grow with the weights.
        f"{kind}_loss_difference": abs(own["losses"][0] - peer["losses"][0]),
        f"{kind}_last_loss_difference": abs(own["losses"][-1] - peer["losses"][-1]),
    }


BENCHMARK = Benchmark(
    name="sft-rm-trl",
    about="tokens a second of supervised fine-tuning and reward models against TRL, on the same batches",
    targets={
        "sft_speed_ratio": ">= 1.5",
        "rm_speed_ratio": ">= 1.5",
        "sft_loss_difference": "<= 0.00001",
        "rm_loss_difference": "<= 0.00001",
    },
    measure=measure,
)
