"""The figures of the acquisition benchmark, from made-up jobs."""

from collections.abc import Sequence

import pytest

import benchmarks.acquisition as acquisition
from benchmarks.acquisition import ACTIVE, BASELINE, BUDGETS, STEPS, labels_needed, summarize
from benchmarks.harness import Job, holds
from benchmarks.plan import KeptJobs, PlannedJob
from heeler.feedback.acquisition import ACQUISITIONS

# One more than the benchmark has, so that a level may be reached between any two of them.
MADE_UP_BUDGETS = (20, 40, 80, 160)


def job(value: float, zero: float = 0.0) -> Job:
    printed = {"returns": [value - 1, value + 1], "random_returns": [zero], "comparisons": 20}
    return Job(printed=printed, wall_s=1.0, peak_mb=100.0)


def curve(method: str, values: Sequence[float], task: str = "A") -> dict[acquisition.Run, Job]:
    return {
        (task, method, budget, seed): job(value)
        for budget, value in zip(MADE_UP_BUDGETS, values, strict=True)
        for seed in (0, 1)
    }


def test_all_of_heelers_acquisitions_are_compared() -> None:
    assert {BASELINE, *ACTIVE} == set(ACQUISITIONS)


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        (-5.0, 20.0),  # reached by the smallest budget already
        (0.0, 20.0),
        (0.5, 20 * 2**0.5),  # half the way on a logarithmic scale
        (1.0, 40.0),
        (5.5, 80 * 2**0.5),  # the dip in between is passed over: the level was not reached before
        (10.0, 160.0),
        (10.1, 320.0),  # never reached
    ],
)
def test_labels_needed_by_hand(level: float, labels: float) -> None:
    assert labels_needed({20: 0.0, 40: 1.0, 80: 1.0, 160: 10.0}, level) == pytest.approx(labels)


def test_ratios_are_against_random_and_the_best_is_named() -> None:
    runs = {
        **curve(BASELINE, [0, 0, 80, 100]),  # 80 % of its last level at 80 labels
        **curve("disagreement", [0, 80, 100, 100]),  # at 40
        **curve("entropy", [0, 0, 0, 0]),  # never: 320
        **curve("information_gain", [80, 80, 80, 80]),  # at 20
        **curve("coverage", [0, 0, 80, 100]),
    }
    figures = summarize(runs)
    assert figures["labels_ratio_disagreement"] == pytest.approx(0.5)
    assert figures["labels_ratio_entropy"] == pytest.approx(4.0)
    assert figures["labels_ratio"] == figures["labels_ratio_information_gain"] == pytest.approx(0.25)
    assert figures["labels_A_random"] == pytest.approx(80)
    assert figures["return_A_coverage_80"] == 80.0
    assert figures["labels_ratio_low"] == figures["labels_ratio_high"] == pytest.approx(0.25)


def test_tasks_are_joined_by_their_geometric_mean() -> None:
    halved = {**curve(BASELINE, [0, 0, 80, 100]), **curve("entropy", [0, 80, 100, 100])}
    doubled = {**curve(BASELINE, [0, 0, 80, 100], "B"), **curve("entropy", [0, 0, 0, 80], "B")}
    assert summarize({**halved, **doubled})["labels_ratio_entropy"] == pytest.approx(1.0)


def test_no_gain_is_a_target_missed() -> None:
    runs = {run: done for method in (BASELINE, *ACTIVE) for run, done in curve(method, [0, 0, 80, 100]).items()}
    figures = summarize(runs)
    assert figures["labels_ratio"] == 1.0
    assert not holds(acquisition.BENCHMARK.targets, figures)


@pytest.mark.parametrize("quick", [False, True])
def test_every_method_is_run_with_every_budget(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PlannedJob] = []

    def note(name: str, plan: Sequence[PlannedJob], *, kept: KeptJobs | None) -> list[Job]:
        assert (kept is None) is quick, "a smoke test is always run, and leaves nothing behind"
        seen.extend(plan)
        return [job(0.0) for _ in plan]

    monkeypatch.setattr(acquisition, "run_plan", note)
    acquisition.measure([0] if quick else [0, 1, 2], quick)
    assert len(seen) == (5 if quick else 5 * 3 * len(BUDGETS) * len(STEPS))
    assert len({tuple(each.command) for each in seen}) == len(seen)
