"""The figures of the preferences benchmark, from made-up jobs."""

import statistics
from collections.abc import Mapping, Sequence

import pytest

import benchmarks.preferences as preferences
from benchmarks.harness import Job
from benchmarks.plan import KeptJobs, PlannedJob
from benchmarks.preferences import STEPS, TaskReturns, summarize


def job(returns: Sequence[float], random_returns: Sequence[float] = (0.0,), comparisons: int = 0) -> Job:
    printed = {"returns": list(returns), "random_returns": list(random_returns), "comparisons": comparisons}
    return Job(printed=printed, wall_s=10.0, peak_mb=100.0)


def jobs_of(task: str, learned: Sequence[float], true: Sequence[float], zero: float) -> Mapping[preferences.Run, Job]:
    pairs = enumerate(zip(learned, true, strict=True))
    runs: dict[preferences.Run, Job] = {}
    for seed, (learned_return, true_return) in pairs:
        runs[task, "true", seed] = job([true_return - 1, true_return + 1], [zero - 5, zero + 5])
        runs[task, "learned", seed] = job([learned_return], [zero], comparisons=700)
    return runs


def test_scores_are_0_at_random_and_1_at_the_true_reward() -> None:
    of = TaskReturns(learned=[-10.0, 40.0, 90.0], true=[30.0, 40.0, 50.0], random_actions=[-20.0, -10.0, 0.0])
    assert of.scores() == [0.0, 1.0, 2.0]


def test_nothing_is_shown_where_the_true_reward_teaches_nothing() -> None:
    assert TaskReturns(learned=[5.0], true=[1.0], random_actions=[1.0]).scores() == [0.0]
    assert TaskReturns(learned=[-5.0], true=[0.0], random_actions=[1.0]).scores() == [0.0]


def test_figures_by_hand() -> None:
    runs = {
        **jobs_of("A", learned=[0.0, 50.0, 100.0], true=[90.0, 100.0, 110.0], zero=0.0),
        **jobs_of("B", learned=[-80.0, -80.0, 100.0], true=[-100.0, -100.0, -100.0], zero=-200.0),
    }
    figures = summarize(runs)
    # Scores: 0, .5, 1 and 1.2, 1.2, 3; of six one goes at either end.
    assert figures["normalised_iqm"] == pytest.approx((0.5 + 1.0 + 1.2 + 1.2) / 4)
    assert figures["normalised_A"] == pytest.approx(0.5)
    assert figures["normalised_B"] == pytest.approx(1.8)
    assert (figures["normalised_worst_seed_A"], figures["normalised_worst_seed_B"]) == (0.0, pytest.approx(1.2))
    assert (figures["return_A"], figures["true_reward_return_A"], figures["random_return_B"]) == (50.0, 100.0, -200.0)
    assert (figures["comparisons"], figures["jobs_wall_s"]) == (700, 120.0)
    assert figures["normalised_iqm_low"] < figures["normalised_iqm"] < figures["normalised_iqm_high"]


def test_the_interval_knows_that_the_true_rewards_return_is_uncertain_too() -> None:
    exact = summarize(jobs_of("A", learned=[100.0] * 3, true=[100.0] * 3, zero=0.0))
    assert exact["normalised_iqm_low"] == exact["normalised_iqm_high"] == 1.0
    unsure = summarize(jobs_of("A", learned=[100.0] * 3, true=[50.0, 100.0, 150.0], zero=0.0))
    assert unsure["normalised_iqm"] == 1.0
    # The true runs drawn anew are all 150 or all 50 once in 27 times, which is above 2.5 %.
    assert (unsure["normalised_iqm_low"], unsure["normalised_iqm_high"]) == (pytest.approx(100 / 150), 2.0)


@pytest.mark.parametrize("quick", [False, True])
def test_every_task_and_seed_is_run_with_both_rewards(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PlannedJob] = []

    def note(name: str, plan: Sequence[PlannedJob], *, kept: KeptJobs | None) -> list[Job]:
        assert (kept is None) is quick, "a smoke test is always run, and leaves nothing behind"
        seen.extend(plan)
        return [job([statistics.fmean([index])]) for index in range(len(plan))]

    monkeypatch.setattr(preferences, "run_plan", note)
    preferences.measure([0] if quick else [0, 1, 2], quick)
    assert len(seen) == (4 if quick else 36)
    assert len({tuple(each.command) for each in seen}) == len(seen)
    if not quick:
        for task, steps in STEPS.items():
            of_task = [each for each in seen if task in each.command]
            assert len(of_task) == 6
            assert all(str(steps) in each.command and "700" in each.command for each in of_task)
