"""The figures of the benchmarks `kinds` and `asking`, from made-up jobs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import benchmarks.asking as asking
import benchmarks.kinds as kinds
from benchmarks.harness import Job, holds
from benchmarks.kinds import BUDGETS_S, COMPARISONS, STEPS, TOGETHER, Run, Way, summarize
from benchmarks.plan import KeptJobs, PlannedJob

ROOT = Path(__file__).parents[3]


def job(score: float, labels: float) -> Job:
    printed = {"scores": [score - 1, score + 1], "random_scores": [0.0], "labels": labels, "seconds": 1.0}
    return Job(printed=printed, wall_s=1.0, peak_mb=100.0)


def curve(way: Way, scores: Sequence[float], labels_a_second: float = 0.25, task: str = "A") -> dict[Run, Job]:
    return {
        (task, way, budget, seed): job(score, labels_a_second * budget)
        for budget, score in zip(BUDGETS_S, scores, strict=True)
        for seed in (0, 1)
    }


def test_the_ratio_is_of_seconds_to_nine_tenths_of_what_comparisons_reach() -> None:
    runs = {**curve(COMPARISONS, [0, 50, 90, 100]), **curve(TOGETHER, [50, 90, 95, 100], 0.5)}
    figures = summarize(runs, way=TOGETHER, baseline=COMPARISONS)
    assert (figures["seconds_A_baseline"], figures["seconds_A_asked"]) == (240, 120)
    assert figures["seconds_ratio"] == figures["seconds_ratio_low"] == figures["seconds_ratio_high"] == 0.5
    assert figures["labels_ratio"] == pytest.approx((0.5 * 120) / (0.25 * 240))
    assert holds(kinds.BENCHMARK.targets, figures)


def test_what_never_gets_there_counts_as_twice_the_largest_budget_and_misses_the_target() -> None:
    runs = {**curve(COMPARISONS, [0, 50, 90, 100]), **curve(TOGETHER, [0, 0, 0, 10])}
    figures = summarize(runs, way=TOGETHER, baseline=COMPARISONS)
    assert figures["seconds_ratio"] == 960 / 240
    assert not holds(kinds.BENCHMARK.targets, figures)


def test_tasks_are_joined_by_their_geometric_mean() -> None:
    halved = {**curve(COMPARISONS, [0, 0, 90, 100]), **curve(TOGETHER, [0, 90, 90, 100])}
    doubled = {**curve(COMPARISONS, [0, 0, 90, 100], task="B"), **curve(TOGETHER, [0, 0, 0, 90], task="B")}
    figures = summarize({**halved, **doubled}, way=TOGETHER, baseline=COMPARISONS)
    assert figures["seconds_ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize(("module", "num_ways"), [(kinds, 2), (asking, 2)])
def test_every_task_budget_and_seed_is_planned_and_finished_runs_are_shared(
    monkeypatch: pytest.MonkeyPatch, module: object, num_ways: int
) -> None:
    planned: list[PlannedJob] = []

    def run_plan(name: str, plan: Sequence[PlannedJob], *, kept: KeptJobs | None, at_once: int) -> list[Job]:
        assert kept is not None
        assert kept.path.name == "kinds.jsonl"
        planned.extend(plan)
        return [job(float(index), 10.0) for index in range(len(plan))]

    monkeypatch.setattr(kinds, "run_plan", run_plan)
    figures = module.BENCHMARK.measure((0, 1), False)  # type: ignore[attr-defined]
    assert len(planned) == len(STEPS) * len(BUDGETS_S) * 2 * num_ways
    assert len({tuple(one.command) for one in planned}) == len(planned)
    assert {"seconds_ratio", "seconds_ratio_low", "seconds_ratio_high", "labels_ratio"} <= set(figures)
    if module is asking:
        assert figures["labels_saved"] == 1 - figures["labels_ratio"]


def test_a_job_prints_what_the_benchmark_reads() -> None:
    options = ("--task", "CartPole-v1", "--steps", "73728", "--budget-s", "30", "--kinds", "preference,rating")
    command = [sys.executable, "-m", "benchmarks.jobs.kinds_task", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    assert len(printed["scores"]) == len(printed["random_scores"]) == 20
    assert all(score >= 8 for score in printed["scores"]), "of CartPole the steps until it fell"
    assert 20 < printed["seconds"] < 60
    assert printed["labels"] > 5
    assert "benchmarks/jobs/kinds_task.py" in printed["files"]
