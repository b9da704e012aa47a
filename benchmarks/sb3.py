"""PPO on the true reward against Stable-Baselines3 with the settings of its zoo."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.comparison import compare
from benchmarks.harness import Figures

NUM_STEPS_QUICK = 40_000
PEER_NUM_STEPS_QUICK = 4_000


def compare_with_sb3(task: str, num_steps: int, seeds: Sequence[int], *, quick: bool) -> Figures:
    """Medians over the seeds; heeler's job is `python -m benchmarks.jobs.ppo --task TASK --seed S --steps N`."""

    def options(steps: int, seed: int) -> tuple[str, ...]:
        return ("--task", task, "--steps", str(steps), "--seed", str(seed))

    def peer(seed: int) -> Sequence[str]:
        steps = PEER_NUM_STEPS_QUICK if quick else num_steps
        return (peers.python("sb3"), "benchmarks/peers/sb3_ppo.py", *options(steps, seed))

    def ours(seed: int, _: Mapping[str, Any]) -> Sequence[str]:
        return (sys.executable, "-m", "benchmarks.jobs.ppo", *options(NUM_STEPS_QUICK if quick else num_steps, seed))

    return compare(seeds, peer, ours)
