"""A reward model fitted to human preferences: hh-rlhf's harmless-base, cross-validated by prompt."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import ROOT, Benchmark, BenchmarkError, Figures, medians, run_job

DATA = "HEELER_HH_RLHF"
"""Environment variable that names the data where they are somewhere else."""
NUM_FOLDS, NUM_FOLDS_QUICK = 5, 2


def data_file() -> Path | None:
    """Where the pairs are; None where there are none."""
    named = os.environ.get(DATA)
    path = Path(named) if named else ROOT.parent / "shared" / "data" / "hh-rlhf" / "harmless-base.jsonl.gz"
    if named and not path.exists():
        raise BenchmarkError(f"{DATA} names {path}, and there is no such file")
    return path if path.exists() else None


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds, of which each gives other folds and another model.

    The job is `python -m benchmarks.jobs.hh_reward_model --data FILE --folds N --seed S`; the smoke test makes pairs of
    its own where there are no others.
    """
    path = data_file()
    if path is None and not quick:
        raise BenchmarkError(
            f"there are no pairs: fetch harmless-base/test.jsonl.gz of anthropics/hh-rlhf, and name it in {DATA}"
        )
    given = ("--made",) if path is None or quick else ("--data", str(path))
    folds = str(NUM_FOLDS_QUICK if quick else NUM_FOLDS)
    rows: list[Figures] = []
    for seed in seeds:
        job = (sys.executable, "-m", "benchmarks.jobs.hh_reward_model", *given, "--folds", folds, "--seed", str(seed))
        rows.append(dict(run_job(job, timeout_s=4 * 3600, live=True).printed))
        print(f"seed {seed}: {rows[-1]}", file=sys.stderr)
    return medians(rows)


BENCHMARK = Benchmark(
    name="hh-reward-model",
    about="a reward model on hh-rlhf's harmless-base, cross-validated by prompt, against a bag of words",
    targets={"accuracy": "> 0.602"},
    measure=measure,
)
