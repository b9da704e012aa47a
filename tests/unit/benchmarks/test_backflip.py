"""The figures of the backflip benchmark, from made-up jobs."""

from benchmarks.backflip import BENCHMARK, summarize
from benchmarks.harness import Job, holds


def job(landed: list[float], *, comparisons: int = 700, wall_s: float = 400.0, peak_mb: float = 300.0) -> Job:
    printed = {"landed_backflips": landed, "comparisons": comparisons, "steps": 1000, "train_wall_s": wall_s}
    printed |= {"time": {"share_learning": wall_s / 1000}}
    return Job(printed=printed, wall_s=wall_s, peak_mb=peak_mb)


def test_the_median_over_seeds_of_the_means_over_episodes() -> None:
    jobs = [
        job([6.0, 8.0], wall_s=100.0, peak_mb=1.0),
        job([0.0, 2.0], comparisons=699, wall_s=200.0, peak_mb=3.0),
        job([5.0, 5.0], wall_s=600.0, peak_mb=2.0),
    ]
    figures = summarize([0, 1, 2], jobs)
    assert figures["landed_backflips"] == 5.0
    assert figures["landed_backflips_worst_seed"] == 1.0
    assert [figures[f"landed_backflips_seed_{seed}"] for seed in (0, 1, 2)] == [7.0, 1.0, 5.0]
    assert (figures["comparisons"], figures["peak_mb"]) == (700, 3.0)
    assert (figures["wall_s"], figures["wall_s_worst_seed"]) == (200.0, 600.0)
    assert figures["share_learning"] == 0.2
    assert holds(BENCHMARK.targets, figures)


def test_each_target_can_be_missed() -> None:
    assert holds(BENCHMARK.targets, summarize([0], [job([4.0])]))
    for missed in (job([3.9]), job([4.0], comparisons=701), job([4.0], wall_s=481.0)):
        assert not holds(BENCHMARK.targets, summarize([0], [missed]))
