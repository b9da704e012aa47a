"""Maximum causal entropy IRL against the package `imitation`, on its random worlds, and on a grid of 10,000 states.

`occupancy_difference`: the largest difference of a state's visits between what heeler and the peer reach, of all
worlds; both stop once no state's visits are further than half of the target from the demonstrators', so that two that
have learned agree. `speed_ratio`: the peer's seconds of learning over heeler's, the median over worlds; start-up does
not count. `large_s`: seconds on the grid, the worst seed, and `large_gap` how near it comes.
"""

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import Benchmark, Figures, run_job

JOB = (sys.executable, "-m", "benchmarks.jobs.mce_irl")
PEER = "benchmarks/peers/imitation_mce.py"
NUM_WORLDS = 5
SIDE, SIDE_QUICK = 100, 20
QUICK = ("--states", "16", "--actions", "3", "--horizon", "10")
_THREADS = 1


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """One grid for each seed, and as many random worlds as there are seeds, five at least."""
    worlds = list(seeds) if quick else list(range(max(NUM_WORLDS, len(seeds))))
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as folder:
        for seed in worlds:
            rows.append(_pair(Path(folder) / f"{seed}.npz", seed, quick=quick))
            print(f"world {seed}: {rows[-1]}", file=sys.stderr)
    side = str(SIDE_QUICK if quick else SIDE)
    grids = [run_job((*JOB, "--grid", side, "--seed", str(seed)), threads=_THREADS).printed for seed in seeds]
    return summarize(rows, grids)


def _pair(path: Path, seed: int, *, quick: bool) -> Figures:
    options = QUICK if quick else ()
    command = (peers.python("imitation"), PEER, "--out", str(path), "--seed", str(seed), *options)
    peer = run_job(command, threads=_THREADS).printed
    ours = run_job((*JOB, "--world", str(path)), threads=_THREADS).printed
    return {
        "difference": ours["difference"],
        "gap": ours["gap"],
        "peer_gap": peer["gap"],
        "visits_difference": abs(ours["visits"] - peer["visits"]),
        "seconds": ours["seconds"],
        "peer_seconds": peer["seconds"],
    }


def summarize(worlds: Sequence[Figures], grids: Sequence[Mapping[str, Any]]) -> Figures:
    """Figures of what the jobs printed."""
    return {
        "occupancy_difference": max(row["difference"] for row in worlds),
        "speed_ratio": statistics.median(row["peer_seconds"] / row["seconds"] for row in worlds),
        "speed_ratio_min": min(row["peer_seconds"] / row["seconds"] for row in worlds),
        "gap": max(row["gap"] for row in worlds),
        "peer_gap": max(row["peer_gap"] for row in worlds),
        "visits_difference": max(row["visits_difference"] for row in worlds),
        "seconds": statistics.median(row["seconds"] for row in worlds),
        "peer_seconds": statistics.median(row["peer_seconds"] for row in worlds),
        "worlds": float(len(worlds)),
        "large_s": max(grid["seconds"] for grid in grids),
        "large_gap": max(grid["gap"] for grid in grids),
        "large_states": min(grid["states"] for grid in grids),
    }


BENCHMARK = Benchmark(
    name="mce-irl",
    about="maximum causal entropy IRL against the package imitation on its random worlds, and on 10,000 states",
    targets={
        "occupancy_difference": "<= 0.001",
        "speed_ratio": ">= 10",
        "large_s": "<= 60",
        "large_gap": "<= 0.001",
    },
    measure=measure,
)
