"""Runs that are held within budgets, through the whole loop."""

from dataclasses import replace
from pathlib import Path

import pytest

from heeler.algorithms import CONSTRAINED_ALGORITHMS
from heeler.cli import main
from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.stores import open_store
from heeler.loop.config import LimitsConfig, RunConfig, from_dict, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.running import run
from heeler.models.policy import PolicyConfig
from heeler.recipes import velocity
from heeler.safety.costs import CostConfig
from tests.faults.test_run_kill import final_weights, metric_trace

COSTS = (CostConfig(name="velocity", budget=5.0), CostConfig(name="energy", budget=0.2, per="step"))


def tiny_limits(learner: str = "ppo_lagrangian", **changes: object) -> RunConfig:
    """A few updates of short episodes."""
    config = velocity(env="HopperVelocity")
    return replace(
        config,
        env=EnvConfig(id="HopperVelocity", num_envs=16, kwargs={"max_episode_steps": 40}),
        total_steps=16 * 32 * 4,
        num_steps=32,
        algorithm=replace(config.algorithm, policy=PolicyConfig(hidden_sizes=(8,)), num_epochs=1, minibatch_size=256),
        limits=LimitsConfig.of(learner, COSTS),
        checkpoint_every=1,
        num_evaluation_episodes=2,
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("learner", CONSTRAINED_ALGORITHMS)
def test_a_run_tells_what_each_cost_came_to(tmp_path, learner):
    rows: list[dict[str, float]] = []
    result = run(tiny_limits(learner), tmp_path / "run", on_metrics=rows.append)
    assert len(rows) == 4
    last = rows[-1]
    assert last["cost_energy_budget"] == 0.2
    assert 0 < last["cost_energy_per_step"] < 1
    assert last["cost_velocity_mean"] >= 0
    # Violations while it learns: all that was spent so far, and the episodes that were above their budget.
    spent = sum(row["cost_energy_per_step"] for row in rows) * 16 * 32
    assert last["cost_energy_total"] == pytest.approx(spent)
    assert 0 <= last["cost_velocity_episodes_over"] <= last["episodes"] + 16
    assert last["episode_length_mean"] > 1
    assert last["cost_velocity_level"] == pytest.approx(
        last["cost_velocity_per_step"] * last["episode_length_mean"], rel=0.5
    )
    assert ("multiplier_velocity" in last) == (learner in ("ppo_lagrangian", "rcpo", "focops"))
    assert set(result.evaluation.figures) == {"cost_velocity", "cost_energy"}
    assert (result.evaluation.figures["cost_energy"] > 0).all()


def test_costs_without_a_budget_are_counted_and_change_nothing(tmp_path):
    plain = replace(tiny_limits(), limits=None)
    rows: list[dict[str, float]] = []
    run(plain, tmp_path / "run", on_metrics=rows.append)
    assert "cost_energy_mean" in rows[-1]
    without = replace(plain, env=replace(plain.env, id="Hopper-v5"))
    run(without, tmp_path / "without")
    assert learned(tmp_path / "run") == learned(tmp_path / "without")


def learned(path: Path) -> dict[str, str]:
    """What the learner came to; where the worlds stand is another matter, as one of them counts costs."""
    return {name: digest for name, digest in final_weights(path).items() if name.startswith("learner.")}


def test_a_resumed_run_is_the_same_run(tmp_path):
    config = tiny_limits()
    run(config, tmp_path / "whole")
    directory = RunDirectory.create(tmp_path / "cut", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        first = OnlineRun(directory, config, store)
        first.begin()
        for _ in range(2):
            first.iterate()
        first.world.close()
    run(config, tmp_path / "cut")
    assert metric_trace(tmp_path / "cut") == metric_trace(tmp_path / "whole")
    assert final_weights(tmp_path / "cut") == final_weights(tmp_path / "whole")


def test_the_configuration_goes_through_a_file():
    config = tiny_limits("cpo")
    assert from_dict(to_dict(config)) == config


def test_exactly_one_learner_keeps_the_budgets():
    with pytest.raises(ConfigError, match=r"exactly one learner of ppo_lagrangian, .*; got none"):
        LimitsConfig(costs=COSTS)
    both = LimitsConfig.of("cpo", COSTS)
    with pytest.raises(ConfigError, match="got cpo and p3o"):
        replace(both, p3o=LimitsConfig.of("p3o", COSTS).p3o)


def test_a_budget_for_an_unknown_cost_leaves_no_run(tmp_path):
    config = tiny_limits()
    wrong = LimitsConfig.of("cpo", (CostConfig(name="velocty", budget=1.0),))
    with pytest.raises(ConfigError, match="no cost 'velocty'; it has velocity, energy"):
        run(replace(config, limits=wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ("{name: velocity}", "setting limits.costs[0].budget is missing and has no default; add it"),
        ("{budget: 25}", "setting limits.costs[0].name is missing and has no default; add it"),
        ("{name: velocity, budget: -25}", "cost 'velocity': budget must be >= 0 and finite, got -25.0"),
        ("{name: velocity, budget: .nan}", "cost 'velocity': budget must be >= 0 and finite, got nan"),
        ("{name: velocity, budget: .inf}", "cost 'velocity': budget must be >= 0 and finite, got inf"),
        ("{name: velocity, budget: null}", "limits.costs[0].budget: Input should be a valid number, got None"),
        ("{name: velocity, buget: 25}", "there is no setting limits.costs[0].buget. Did you mean"),
        ("{name: velocty, budget: 25}", "the world has no cost 'velocty'; it has velocity, energy. Did you mean"),
        ("{name: velocity, budget: 1}, {name: velocity, budget: 2}", "cost 'velocity' has two budgets; give it one"),
        ("", "limits.costs must name at least one cost with its budget"),
    ],
)
def test_budgets_that_are_negative_missing_or_for_an_unknown_cost_leave_no_run(tmp_path, capsys, cost, message):
    place = tmp_path / "run"
    limits = ["--set", f"limits.costs=[{cost}]", "--total-steps", "8192"]
    assert main(["run", "velocity", "--env", "HopperVelocity", "--run-dir", str(place), *limits]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert not place.exists()
