"""The figures of the watch's and the gate's benchmarks, from made-up jobs, and both simulations in small."""

import math
from typing import Any

import numpy as np
import pytest

from benchmarks import over_optimisation, release_gate
from benchmarks.harness import holds
from benchmarks.jobs import over_optimisation as watch_job
from benchmarks.jobs import release_gate as gate_job


def watched(alarms: int, caught: list[bool], delays: list[int]) -> dict[str, Any]:
    return {
        "runs": len(caught),
        "alarms": {"rising": alarms, "settled": 0, "wavering": 0},
        "caught": caught,
        "early": [False for _ in caught],
        "delays": delays,
        "lost": [0.1 for _ in delays],
        "lost_without": [0.4 for _ in caught],
    }


def test_the_watch_s_figures_are_of_all_seeds_together() -> None:
    figures = over_optimisation.summarize([watched(1, [True, True], [10, 20]), watched(0, [True, False], [60])])
    assert figures["false_alarms_per_20_runs"] == pytest.approx(20 * 1 / 12)
    assert figures["false_alarms_per_20_runs_rising"] == 5.0
    assert (figures["caught_share"], figures["delay_updates"]) == (0.75, 20)
    assert not holds(over_optimisation.BENCHMARK.targets, figures)
    sound = over_optimisation.summarize([watched(0, [True], [10])])
    assert holds(over_optimisation.BENCHMARK.targets, sound)


def test_a_watch_that_catches_nothing_has_no_delay_and_misses_its_target() -> None:
    figures = over_optimisation.summarize([watched(0, [False], [])])
    assert math.isnan(figures["delay_updates"])
    assert not holds(over_optimisation.BENCHMARK.targets, figures)


def test_simulated_runs_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    for kind in (*watch_job.SOUND, "planted"):
        rows, true = watch_job.simulate(kind, rng)
        assert len(rows) == len(true) == watch_job.NUM_UPDATES
        learned = np.array([row["reward"] for row in rows])
        assert learned[-20:].mean() > learned[:20].mean()
        falls = bool(true[-1] < true.max() - 1e-9)
        assert falls == (kind == "planted")


def test_the_gate_s_figures_are_of_all_seeds_together() -> None:
    def gates(released: int) -> dict[str, Any]:
        found = {name: {"released": 0, "items": 100} for name in gate_job.CANDIDATES}
        found["equal"]["released"] = released
        found["better_by_20_points"] = {"released": 9, "items": 500}
        return {"gates": 10, "candidates": found}

    figures = release_gate.summarize([gates(0), gates(1)])
    assert (figures["false_release_share"], figures["power"]) == (0.05, 0.9)
    assert figures["items_better_by_20_points"] == 500
    assert holds(release_gate.BENCHMARK.targets, figures)
    assert not holds(release_gate.BENCHMARK.targets, release_gate.summarize([gates(2), gates(1)]))


def test_simulated_candidates_gain_what_they_are_said_to() -> None:
    rng = np.random.default_rng(0)
    for check in gate_job.CONFIG.checks:
        answers = np.concatenate([gate_job._answers(check, 0.05, rng) for _ in range(40)])
        sign = 1 if check.better == "higher" else -1
        assert sign * (answers[:, 0] - answers[:, 1]).mean() == pytest.approx(0.05, abs=0.01)
        assert answers[:, 1].mean() == pytest.approx(gate_job.IN_USE[check.suite], abs=0.01)


def test_a_simulated_gate_releases_what_is_much_better() -> None:
    released, items = gate_job.one("better_by_20_points", np.random.default_rng(0))
    assert released
    assert items < 7 * gate_job.NUM_ITEMS
