"""What the benchmark of maximum causal entropy makes of what its jobs print, and heeler's job itself."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import holds
from benchmarks.jobs.mce_irl import large, small
from benchmarks.mce_irl import BENCHMARK, summarize
from heeler.rewards.inverse.planning import flow, plan
from heeler.rewards.inverse.world import to_dense
from tests.unit.rewards.inverse.worlds import random_world

WORLD = {
    "difference": 4e-4,
    "gap": 3e-4,
    "peer_gap": 5e-4,
    "visits_difference": 0.0,
    "seconds": 0.1,
    "peer_seconds": 5.0,
}
GRID = {"seconds": 20.0, "gap": 5e-4, "states": 10_000.0, "evaluations": 100.0}


def test_the_worst_world_and_the_worst_grid_count() -> None:
    figures = summarize([WORLD, WORLD | {"peer_seconds": 0.5}, WORLD], [GRID, GRID | {"seconds": 30.0}])
    assert figures["speed_ratio"] == pytest.approx(50) and figures["speed_ratio_min"] == pytest.approx(5)
    assert figures["large_s"] == 30.0
    assert holds(BENCHMARK.targets, figures)
    assert not holds(BENCHMARK.targets, summarize([WORLD, WORLD | {"difference": 2e-3}], [GRID]))
    assert not holds(BENCHMARK.targets, summarize([WORLD], [GRID | {"seconds": 61.0}]))
    assert not holds(BENCHMARK.targets, summarize([WORLD | {"seconds": 1.0}], [GRID]))


def test_the_job_matches_what_a_world_s_demonstrators_visit(tmp_path: Path) -> None:
    world = random_world(0, horizon=6, discount=1.0)
    reward = np.random.default_rng(1).normal(size=6)
    visits = flow(world, plan(world, np.repeat(reward[:, None], 3, 1), reward).policy_TSA).state_S
    fields = {"transitions": to_dense(world), "start": world.start_S, "horizon": 6}
    np.savez(tmp_path / "world.npz", **fields, demonstrated=visits, reached=visits + 1e-4)
    printed = small(str(tmp_path / "world.npz"), 5e-4)
    assert printed["gap"] <= 5e-4 and printed["visits"] == pytest.approx(7.0)
    assert printed["difference"] == pytest.approx(1e-4, abs=5e-4)


def test_the_job_matches_visits_on_a_grid() -> None:
    printed = large(6, 0, 5e-4)
    assert printed["gap"] <= 5e-4 and printed["states"] == 36
