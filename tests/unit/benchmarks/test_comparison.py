"""Comparisons with a peer: ratios are ours over theirs, and a job that does not say what it did is refused."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.comparison import compare, pair_figures, training_job
from benchmarks.harness import BenchmarkError, Job


def printed(steps: int = 1000, train_wall_s: float = 1.0, returns: Sequence[float] = (1.0, 3.0)) -> dict[str, Any]:
    mean = sum(returns) / len(returns)
    return {"steps": steps, "train_wall_s": train_wall_s, "return_mean": mean, "returns": list(returns)}


def echo(result: Mapping[str, Any]) -> list[str]:
    return [sys.executable, "-c", "import sys; print(sys.argv[1])", json.dumps(result)]


def test_figures_of_a_pair_by_hand() -> None:
    ours = Job(printed=printed(steps=6000, train_wall_s=1.5), wall_s=2.0, peak_mb=100.0)
    peer = Job(printed=printed(steps=4000, train_wall_s=7.0, returns=(1.0, 1.0)), wall_s=8.0, peak_mb=400.0)
    figures = pair_figures(ours, peer)
    assert figures["speed_ratio"] == 6.0  # 3000 steps/s against 500
    assert figures["memory_ratio"] == 0.25
    assert (figures["return"], figures["peer_return"]) == (2.0, 1.0)
    assert (figures["steps_per_s"], figures["peer_steps_per_s"]) == (3000.0, 500.0)
    assert (figures["train_steps_per_s"], figures["peer_train_steps_per_s"]) == (4000.0, pytest.approx(4000 / 7))


def test_our_job_learns_how_many_steps_the_peer_made() -> None:
    def peer(seed: int) -> Sequence[str]:
        return echo(printed(steps=1000 + seed))

    def ours(seed: int, peer_printed: Mapping[str, Any]) -> Sequence[str]:
        return echo(printed(steps=peer_printed["steps"], returns=[float(seed)]))

    figures = compare([0, 7, 2], peer, ours)
    assert figures["steps"] == figures["peer_steps"] == 1002
    assert figures["return"] == 2.0
    assert figures["return_worst_seed"] == 0.0


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"steps": 10, "train_wall_s": 1.0}, "lacks return_mean, returns"),
        (printed(steps=0), "steps must be > 0"),
        (printed() | {"return_mean": 500.0}, "return_mean the mean of returns"),
        (printed() | {"returns": []}, "return_mean the mean of returns"),
    ],
)
def test_a_job_that_says_too_little_or_nonsense_is_refused(result: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        training_job(echo(result))
