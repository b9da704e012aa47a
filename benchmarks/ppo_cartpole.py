"""PPO on CartPole-v1 to 500,000 steps against Stable-Baselines3 with the settings of its zoo."""

from collections.abc import Sequence

from benchmarks.comparison import TARGETS_OF_MEMORY
from benchmarks.harness import Benchmark, Figures
from benchmarks.sb3 import compare_with_sb3


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Medians over the seeds."""
    return compare_with_sb3("CartPole-v1", 500_000, seeds, quick=quick)


BENCHMARK = Benchmark(
    name="ppo-cartpole",
    about="PPO CartPole-v1 to 500 k steps against Stable-Baselines3",
    targets={"speed_ratio": ">= 15", "return": ">= 500"} | TARGETS_OF_MEMORY,
    measure=measure,
)
