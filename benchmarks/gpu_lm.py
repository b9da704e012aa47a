"""Sampling and learning with a Llama of half a billion random weights in bfloat16, on a GPU."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, BenchmarkError, Figures, medians, run_job

QUICK = ("--device", "cpu", "--hidden-size", "64", "--layers", "2", "--prompts", "2", "--each", "2", "--tokens", "8")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; the smoke test is of a tiny model on the CPU.

    Raises:
        BenchmarkError: there is no GPU here.
    """
    rows: list[Figures] = []
    for seed in seeds:
        command = (sys.executable, "-m", "benchmarks.jobs.gpu_lm", "--seed", str(seed), *(QUICK if quick else ()))
        printed = dict(run_job(command, live=True).printed)
        if printed.get("no_gpu"):
            raise BenchmarkError("gpu-lm needs a CUDA device, and torch finds none here")
        rows.append(printed)
    return medians(rows)


BENCHMARK = Benchmark(
    name="gpu-lm",
    about="tokens/s of sampling and learning, and shares of the chip's matrix peak, of half a billion weights",
    targets={"sampling_tokens_per_s": "> 0", "training_tokens_per_s": "> 0"},
    measure=measure,
)
"""No figure was asked for beforehand: what is measured says what a GPU is used for."""
