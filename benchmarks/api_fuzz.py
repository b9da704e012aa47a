"""schemathesis against the running service, as every role: answers that are a fault, or that are not documented."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, run_job
from benchmarks.peers import python

JOB = (sys.executable, "-m", "benchmarks.jobs.api_fuzz")
EXAMPLES, EXAMPLES_QUICK = 100, 3


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Sums over the seeds."""
    fuzzer = python("schemathesis")
    shape = ("--examples", str(EXAMPLES_QUICK), "--quick") if quick else ("--examples", str(EXAMPLES))
    parts = [run_job((*JOB, "--python", fuzzer, "--seed", str(seed), *shape), live=True).printed for seed in seeds]
    return {name: sum(part[name] for part in parts) for name in parts[0]}


BENCHMARK = Benchmark(
    name="api-fuzz",
    about="faults and undocumented answers of the API under schema-based fuzzing",
    targets={"server_errors": "<= 0", "undocumented": "<= 0"},
    measure=measure,
)
