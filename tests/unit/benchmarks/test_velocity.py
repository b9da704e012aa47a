"""The figures of the benchmarks of limits, from made-up jobs."""

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks import two_costs, velocity, velocity_omnisafe
from benchmarks.harness import BenchmarkError, Job, holds
from benchmarks.plan import PlannedJob


def job(wall_s: float = 100.0, **changes: Any) -> Job:
    printed = {
        "return_mean": 3500.0, "cost_mean": 20.0, "energy_mean": 0.1, "steps": 1000, "reached_at": 500, "reached": True,
        "violations": 50.0, "training_return": 3000.0, "training_cost": 22.0,
    }  # fmt: skip
    return Job(printed=printed | changes, wall_s=wall_s, peak_mb=100.0)


def bodies(**changes: dict[str, Any]) -> dict[tuple[str, int], Job]:
    return {
        (task, seed): job(**({"return_mean": 0.95 * ceiling} | changes.get(task, {})))
        for task, ceiling in velocity.CEILINGS.items()
        for seed in (0, 1, 2)
    }


def test_the_worst_body_counts() -> None:
    figures = velocity.summarize(bodies(HopperVelocity={"cost_mean": 24.0}, AntVelocity={"return_mean": 0.91 * 3622}))
    assert figures["cost_max"] == 24.0
    assert figures["ceiling_share_min"] == pytest.approx(0.91)
    assert figures["ceiling_share_HopperVelocity"] == pytest.approx(0.95)
    assert (figures["steps_to_target_AntVelocity"], figures["reached_AntVelocity"]) == (500, 1.0)
    assert holds(velocity.BENCHMARK.targets, figures)


@pytest.mark.parametrize("missed", [{"cost_mean": 25.1}, {"return_mean": 0.89 * 3210}])
def test_each_target_can_be_missed_by_one_body(missed: dict[str, Any]) -> None:
    assert not holds(velocity.BENCHMARK.targets, velocity.summarize(bodies(HalfCheetahVelocity=missed)))


def test_one_seed_above_its_budget_is_too_many() -> None:
    jobs = bodies() | {("AntVelocity", 1): job(cost_mean=26.0, return_mean=0.95 * 3622)}
    assert velocity.summarize(jobs)["cost_max"] == 26.0
    two = [job(energy_mean=0.1), job(energy_mean=0.1), job(energy_mean=1.02 * two_costs.ENERGY_BUDGET)]
    assert two_costs.summarize(two)["budget_share_max"] == pytest.approx(1.02)


def test_the_ceilings_are_the_limits_and_the_healthy_pay() -> None:
    paid = {"HopperVelocity": (0.7402, 1), "HalfCheetahVelocity": (3.2096, 0), "Walker2dVelocity": (2.3415, 1),
            "AntVelocity": (2.6222, 1)}  # fmt: skip
    for task, (limit, healthy) in paid.items():
        assert velocity.CEILINGS[task] == pytest.approx(1000 * (limit + healthy), abs=1)


@pytest.mark.parametrize("quick", [False, True])
def test_every_body_is_run_with_every_seed(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PlannedJob] = []

    def note(name: str, plan: Sequence[PlannedJob], **_: Any) -> list[Job]:
        seen.extend(plan)
        return [job() for _ in plan]

    monkeypatch.setattr(velocity, "run_plan", note)
    figures = velocity.measure([0, 1], quick)
    assert len(seen) == (4 if quick else 8)
    assert set(velocity.BENCHMARK.targets) <= set(figures)
    for one in seen:
        task, steps = (one.command[one.command.index(name) + 1] for name in ("--task", "--steps"))
        assert int(steps) == (velocity.QUICK_STEPS if quick else velocity.STEPS[task])


def test_two_budgets_are_kept_only_together() -> None:
    within = [job(cost_mean=20.0, energy_mean=0.5 * two_costs.ENERGY_BUDGET)]
    figures = two_costs.summarize(within)
    assert figures["budget_share_max"] == figures["budget_share_velocity"] == pytest.approx(0.8)
    assert figures["return"] == 3500.0
    assert holds(two_costs.BENCHMARK.targets, figures)
    for above in ({"cost_mean": 26.0}, {"energy_mean": 1.01 * two_costs.ENERGY_BUDGET}):
        assert not holds(two_costs.BENCHMARK.targets, two_costs.summarize([job(**above)]))


def test_figures_of_a_pair_by_hand() -> None:
    ours = job(wall_s=10.0, steps=2000, violations=30.0)
    peer = job(wall_s=50.0, steps=1000, violations=20.0)
    figures = velocity_omnisafe.pair_figures(ours, peer)
    assert figures["speed_ratio"] == pytest.approx(10.0)
    assert (figures["violations_per_1000"], figures["peer_violations_per_1000"]) == (15.0, 20.0)
    assert figures["violation_ratio"] == 0.75
    assert holds(velocity_omnisafe.BENCHMARK.targets, figures)
    assert not holds(
        velocity_omnisafe.BENCHMARK.targets,
        velocity_omnisafe.pair_figures(job(wall_s=10.0, steps=2000, violations=40.0), peer),
    )


def test_a_side_that_says_too_little_is_refused() -> None:
    lacking = Job(printed={"steps": 1}, wall_s=1.0, peak_mb=1.0)
    with pytest.raises(BenchmarkError, match="the peer must print"):
        velocity_omnisafe.pair_figures(job(), lacking)
    faultless = velocity_omnisafe.pair_figures(job(), job(violations=0.0))
    assert not holds(velocity_omnisafe.BENCHMARK.targets, faultless)
