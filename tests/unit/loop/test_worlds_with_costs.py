"""Courses, grids and worlds of several agents through the whole loop: runs, resumed runs, budgets, clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.envs import AgentsConfig, EnvConfig
from heeler.feedback.stores import open_store
from heeler.loop.clips import watch_run
from heeler.loop.config import LimitsConfig, RunConfig, from_dict, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.running import run
from heeler.loop.settings import assign
from heeler.models.policy import PolicyConfig
from heeler.recipes import course, ppo
from heeler.safety.costs import CostConfig
from tests.faults.test_run_kill import final_weights, metric_trace

AGENTS = EnvConfig(
    id="tests.unit.envs.toy_agents:Meeting",
    num_envs=4,
    costs=("heat",),
    agents=AgentsConfig(learning=("ann", "cid"), others={"bob": "random"}),
    kwargs={"length": 5},
)


def tiny(config: RunConfig, env: EnvConfig) -> RunConfig:
    """Four short rollouts."""
    return replace(
        config,
        env=env,
        num_steps=16,
        total_steps=4 * 16 * env.num_envs,
        algorithm=replace(config.algorithm, policy=PolicyConfig(hidden_sizes=(8,)), num_epochs=1, minibatch_size=64),
        checkpoint_every=1,
        num_evaluation_episodes=2,
    )


def on_course(env_id: str) -> RunConfig:
    return tiny(course(env=env_id), EnvConfig(id=env_id, num_envs=4, num_threads=1, kwargs={"max_episode_steps": 20}))


def on_lava() -> RunConfig:
    costs = (CostConfig(name="lava", budget=0.5), CostConfig(name="side_effects", budget=0.0))
    env = EnvConfig(id="LavaGrid", num_envs=4, kwargs={"max_episode_steps": 10, "layout": ["SL.G", ".V..", "...."]})
    return replace(tiny(ppo(env="LavaGrid"), env), limits=LimitsConfig.of("ppo_lagrangian", costs))


def of_agents() -> RunConfig:
    limits = LimitsConfig.of("ppo_lagrangian", (CostConfig(name="heat", budget=1.0),))
    return replace(tiny(ppo(env="CartPole-v1"), AGENTS), limits=limits)


CONFIGS = {
    "point": on_course("PointGoal"),
    "car": on_course("CarGoal"),
    "lava": on_lava(),
    "agents": of_agents(),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_run_counts_its_costs(tmp_path: Path, config: RunConfig):
    rows: list[dict[str, float]] = []
    result = run(config, tmp_path / "run", on_metrics=rows.append)
    assert len(rows) == 4 and rows[-1]["step"] == config.total_steps
    assert config.limits is not None
    for cost in config.limits.costs:
        assert rows[-1][f"cost_{cost.name}_budget"] == cost.budget
        assert rows[-1][f"cost_{cost.name}_per_step"] >= 0
        assert f"cost_{cost.name}" in result.evaluation.figures
    if config.env.id in ("PointGoal", "CarGoal"):
        assert "goals_reached" in result.evaluation.figures


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_resumed_run_is_the_same_run(tmp_path: Path, config: RunConfig):
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


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_configuration_goes_through_a_file(config: RunConfig):
    assert from_dict(to_dict(config)) == config


def test_who_learns_can_be_set_on_the_command_line():
    values = to_dict(ppo(env="tests.unit.envs.toy_agents:Meeting"))
    together = from_dict(assign(values, ["env.agents={}"])).env.agents
    assert together == AgentsConfig()
    alone = from_dict(assign(values, ["env.agents={learning: [bob], others: {ann: random, cid: random}}"])).env.agents
    assert alone == AgentsConfig(learning=("bob",), others={"ann": "random", "cid": "random"})
    with pytest.raises(
        ConfigError, match=r"there is no setting env\.agents\.lerning\. Did you mean 'env.agents.learning'"
    ):
        from_dict(assign(values, ["env.agents={lerning: [bob]}"]))


@pytest.mark.parametrize("name", ["point", "car", "lava"])
def test_a_run_can_be_filmed(tmp_path: Path, name: str):
    run(CONFIGS[name], tmp_path / "run")
    film = watch_run(tmp_path / "run", max_s=1.0)
    assert film.path.exists() and film.clip.frames.shape[1:] == (240, 240, 3)


def test_several_agents_that_learn_are_evaluated_each_by_itself(tmp_path: Path):
    result = run(of_agents(), tmp_path / "run")
    np.testing.assert_array_equal(result.evaluation.lengths, [5] * 4)  # two copies of two agents
    np.testing.assert_array_equal(result.evaluation.figures["cost_heat"], [0, 10, 0, 10])


def test_a_layout_that_cannot_be_leaves_no_run(tmp_path: Path):
    config = on_course("PointGoal")
    crowded = replace(config, env=replace(config.env, kwargs={"half_width": 0.4, "num_hazards": 16}))
    with pytest.raises(ConfigError, match=r"PointGoal cannot be run with .*: no room for 20 things"):
        run(crowded, tmp_path / "run")
    assert not (tmp_path / "run").exists()
