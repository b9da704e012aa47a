"""How soon a served chat obeys: a release that is taken back, and a stop, to the next request."""

import sys
from collections.abc import Sequence

from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.chat_stop")


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """The longest times of all seeds, and all answers that came too late."""
    lengths = ("--turns", "2") if quick else ()
    rows = [dict(run_job((*JOB, "--seed", str(seed), *lengths)).printed) for seed in seeds]
    figures: Figures = {name: max(row[name] for row in rows) for name in ("rollback_s", "stop_s")}
    return figures | {name: sum(row[name] for row in rows) for name in ("late_answers", "rollbacks", "stops")}


BENCHMARK = Benchmark(
    name="chat-stop",
    about="seconds until the next request is answered by the version before, or by nobody",
    targets={"rollback_s": "<= 1", "stop_s": "<= 1", "late_answers": "<= 0"},
    measure=measure,
)
