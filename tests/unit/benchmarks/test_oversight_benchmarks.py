"""The figures of the watch's, the gate's and the monitors' benchmarks, from made-up jobs, and simulations in small."""

import math
from typing import Any

import numpy as np
import pytest

from benchmarks import faults, over_optimisation, release_gate
from benchmarks.harness import holds
from benchmarks.jobs import faults as faults_job
from benchmarks.jobs import over_optimisation as watch_job
from benchmarks.jobs import release_gate as gate_job
from benchmarks.jobs.planted import FAULTS
from heeler.loop.language.config import LanguageRunConfig
from heeler.oversight.monitors import MONITOR_NAMES


def watched(alarms: int, caught: list[bool], delays: list[int]) -> dict[str, Any]:
    bad = {
        "caught": caught,
        "early": [False for _ in caught],
        "delays": delays,
        "lost": [0.1 for _ in delays],
        "lost_without": [0.4 for _ in caught],
    }
    alarms_of = {"rising": alarms, "settled": 0, "wavering": 0}
    return {"runs": len(caught), "alarms": alarms_of, "planted": bad, "collapsing": bad}


def test_the_watch_s_figures_are_of_all_seeds_together_and_of_the_worse_recipe() -> None:
    good = [watched(0, [True], [10])]
    worse = [watched(1, [True, True], [10, 20]), watched(0, [True, False], [60])]
    figures = over_optimisation.summarize({"helpdesk": good, "chat": worse})
    assert figures["false_alarms_per_20_runs"] == pytest.approx(20 * 1 / 12)
    assert figures["chat_false_alarms_per_20_runs_rising"] == 5.0
    assert figures["helpdesk_false_alarms_per_20_runs"] == 0.0
    assert (figures["chat_planted_caught_share"], figures["chat_planted_delay_updates"]) == (0.75, 20)
    assert (figures["collapsing_caught_share"], figures["collapsing_delay_updates"]) == (0.75, 20)
    assert not holds(over_optimisation.BENCHMARK.targets, figures)
    assert holds(over_optimisation.BENCHMARK.targets, over_optimisation.summarize({"helpdesk": good, "chat": good}))


def test_a_watch_that_catches_nothing_has_no_delay_and_misses_its_target() -> None:
    figures = over_optimisation.summarize({"chat": [watched(0, [False], [])]})
    assert math.isnan(figures["collapsing_delay_updates"])
    assert not holds(over_optimisation.BENCHMARK.targets, figures)


@pytest.mark.parametrize("recipe", watch_job.RECIPES.values(), ids=watch_job.RECIPES)
def test_simulated_runs_are_what_they_are_called_and_as_the_recipe_makes_them(recipe: LanguageRunConfig) -> None:
    assert recipe.asking is not None and recipe.learned is not None
    rng = np.random.default_rng(0)
    for kind in (*watch_job.SOUND, *watch_job.BAD):
        rows, true = watch_job.simulate(kind, recipe, rng)
        assert len(rows) == len(true) == recipe.num_updates
        learned = np.array([row["reward"] for row in rows])
        assert learned[-20:].mean() > learned[:20].mean()
        falls = bool(true[-1] < true.max() - 1e-9)
        assert falls == (kind in watch_job.BAD)
        measured = [row["step"] for row in rows if row["held_out"] is not None]
        assert (measured[0] + 1) * recipe.asking.per_update >= recipe.learned.first_fit
        assert set(np.diff(measured)) == {recipe.asking.held_out_every}


def test_a_simulated_collapse_is_halted() -> None:
    (at,) = watch_job.of_bad("collapsing", watch_job.RECIPES["helpdesk"], 1, np.random.default_rng(0))["delays"]
    assert at > 0


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


def caught(delay: int | None, **by: int) -> dict[str, Any]:
    return {"caught": delay is not None, "by": by, "delay": delay}


def clean(runs: int, *alarms: str) -> dict[str, Any]:
    found = {"cartpole-1000": list(alarms)}
    return {"clean": runs, "false_alarms": len(alarms), "alarms": found, "monitors": MONITOR_NAMES}


def test_the_monitors_figures_are_of_all_seeds_together() -> None:
    first = {"faults": {"a": caught(1, kl_spike=1), "b": caught(None, stall=9)}} | clean(10, "kl_spike at 5: it leapt")
    second = {"faults": {"a": caught(5, kl_spike=5), "b": caught(3)}} | clean(30, "stall at 7: no update")
    figures = faults.summarize([first, second])
    assert (figures["caught_share"], figures["false_alarms_per_20_runs"]) == (0.75, 1.0)
    assert (figures["delay_updates"], figures["slowest_delay_updates"]) == (3.0, 5.0)
    assert (figures["faults"], figures["clean_runs"]) == (2.0, 40.0)
    assert not holds(faults.BENCHMARK.targets, figures)
    assert holds(faults.BENCHMARK.targets, faults.summarize([second]))
    assert (figures["caught_a"], figures["delay_updates_a"]) == (1.0, 3.0)
    assert (figures["caught_b"], figures["delay_updates_b"]) == (0.5, 3.0)
    assert (figures["told_by_kl_spike"], figures["delay_updates_by_kl_spike"]) == (2.0, 3.0)
    assert (figures["told_by_gradients"], figures["false_alarms_by_gradients"]) == (0.0, 0.0)
    assert (figures["false_alarms_by_kl_spike"], figures["false_alarms_by_stall"]) == (1.0, 1.0)


def test_at_least_thirty_faults_are_planted_each_in_a_run_and_for_monitors_that_there_are() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 30
    for fault in FAULTS:
        assert fault.run in faults_job.RUNS
        assert set(fault.monitors) <= set(MONITOR_NAMES)
    assert set(faults.QUICK[faults.QUICK.index("--faults") + 1 :]) <= set(names)


@pytest.mark.parametrize("kind", faults_job.RUNS)
def test_runs_for_faults_are_short_and_have_faults_begin_within_them(kind: str) -> None:
    config = faults_job.RUNS[kind](3)
    assert config.num_updates == faults_job.UPDATES
    assert config.monitors is not None
    assert faults_job.AT + 4 < faults_job.UPDATES
