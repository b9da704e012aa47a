"""Preferences on Pendulum-v1 against the package `imitation`: its documented job, on equal comparisons and steps."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.comparison import TARGETS_OF_MEMORY, compare
from benchmarks.harness import Benchmark, Figures

NUM_COMPARISONS = 200
# About the fewest steps after which there is a learned reward at all.
NUM_STEPS_QUICK = 90_000


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds.

    Heeler's job is `python -m benchmarks.jobs.preferences_pendulum --seed S --steps N --comparisons C`, with N the
    environment steps that the peer really made.
    """
    comparisons = str(20 if quick else NUM_COMPARISONS)
    peer_options = ("--iterations", "1", "--learner-steps", "2048") if quick else ()

    def peer(seed: int) -> Sequence[str]:
        script = "benchmarks/peers/imitation_pendulum.py"
        return (peers.python("imitation"), script, "--comparisons", comparisons, "--seed", str(seed), *peer_options)

    def ours(seed: int, peer_printed: Mapping[str, Any]) -> Sequence[str]:
        steps = str(NUM_STEPS_QUICK if quick else peer_printed["steps"])
        job = (sys.executable, "-m", "benchmarks.jobs.preferences_pendulum")
        return (*job, "--comparisons", comparisons, "--steps", steps, "--seed", str(seed))

    return compare(seeds, peer, ours)


BENCHMARK = Benchmark(
    name="preferences-imitation",
    about="preferences on Pendulum-v1 against the package imitation",
    targets={"speed_ratio": ">= 5", "return": "> peer_return"} | TARGETS_OF_MEMORY,
    measure=measure,
)
