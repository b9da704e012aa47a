"""A reward model fitted to human preferences: hh-rlhf's harmless-base, cross-validated by prompt."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, medians, run_job
from benchmarks.hh_rlhf import data_file

NUM_FOLDS, NUM_FOLDS_QUICK = 5, 2


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds, of which each gives other folds and another model.

    The job is `python -m benchmarks.jobs.hh_reward_model --data FILE --folds N --seed S`; the smoke test makes pairs of
    its own, and tries a tiny language model too.

    Raises:
        BenchmarkError: the data are not there.
    """
    given = ("--made", "--small") if quick else ("--data", str(data_file()))
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
