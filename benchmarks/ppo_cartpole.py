"""PPO on CartPole-v1 to 500,000 steps against Stable-Baselines3 with the settings of its zoo."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import peers
from benchmarks.comparison import TARGETS_OF_MEMORY, compare
from benchmarks.harness import Benchmark, Figures

NUM_STEPS = 500_000
NUM_STEPS_QUICK = 40_000
PEER_NUM_STEPS_QUICK = 4_000


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds; heeler's job is `python -m benchmarks.jobs.ppo_cartpole --seed S --steps N`."""
    steps = str(NUM_STEPS_QUICK if quick else NUM_STEPS)
    peer_steps = str(PEER_NUM_STEPS_QUICK if quick else NUM_STEPS)

    def peer(seed: int) -> Sequence[str]:
        script = "benchmarks/peers/sb3_ppo.py"
        return (peers.python("sb3"), script, "--task", "CartPole-v1", "--steps", peer_steps, "--seed", str(seed))

    def ours(seed: int, _: Mapping[str, Any]) -> Sequence[str]:
        return (sys.executable, "-m", "benchmarks.jobs.ppo_cartpole", "--steps", steps, "--seed", str(seed))

    return compare(seeds, peer, ours, peer_threads=1)


BENCHMARK = Benchmark(
    name="ppo-cartpole",
    about="PPO CartPole-v1 to 500 k steps against Stable-Baselines3",
    targets={"speed_ratio": ">= 15", "return": ">= 500"} | TARGETS_OF_MEMORY,
    measure=measure,
)
