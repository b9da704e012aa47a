"""Runs behind a shield, through the whole loop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, NothingSafe
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.stores import open_store
from heeler.loop.clips import record
from heeler.loop.config import LimitsConfig, RunConfig, from_dict, to_dict
from heeler.loop.evaluations import evaluate_run
from heeler.loop.exporting import export_run
from heeler.loop.online import OnlineRun
from heeler.loop.running import resume, run
from heeler.loop.shield_files import read_shield
from heeler.models.policy import PolicyConfig
from heeler.recipes import ppo
from heeler.safety.costs import CostConfig
from heeler.safety.shields.config import (
    CheckConfig,
    CriticConfig,
    FallbackConfig,
    MaskConfig,
    ProjectionConfig,
    ShieldConfig,
)
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.loop.test_clips import untrained
from tests.unit.loop.tiny import tiny_preferences

STILL = FallbackConfig(kind="action", action=(0.0, 0.0, 0.0))
ALL_PARTS = ShieldConfig(
    fallback=STILL,
    projection=ProjectionConfig(matrix=((1.0, 1.0, 1.0),), limit=(1.0,)),
    critic=CriticConfig(threshold=0.9, costs=("velocity",), hidden_sizes=(8,), num_epochs=1, num_warmup_updates=2),
    check=CheckConfig(steps=2, costs=("velocity",), foresight=6),
    num_candidates=8,
    learn_from="executed",
)
CHECKED = ShieldConfig(fallback=STILL, check=CheckConfig(costs=("velocity",)))


def tiny(shield: ShieldConfig | None, **changes: Any) -> RunConfig:
    """A few updates of short episodes."""
    config = ppo(env="HopperVelocity", num_envs=8)
    small = replace(config.algorithm, policy=PolicyConfig(hidden_sizes=(8,)), num_epochs=1, minibatch_size=128)
    changes = {"total_steps": 8 * 32 * 4, "checkpoint_every": 1, "num_evaluation_episodes": 3} | changes
    env = EnvConfig(id="HopperVelocity", num_envs=8, kwargs={"max_episode_steps": 40, "speed_limit": 0.01})
    return replace(config, env=env, num_steps=32, algorithm=small, shield=shield, **changes)


def test_a_run_tells_what_its_shield_did(tmp_path: Path):
    rows: list[dict[str, float]] = []
    result = run(tiny(CHECKED), tmp_path / "run", on_metrics=rows.append)
    assert any(row["shielded_share"] > 0 for row in rows)
    assert all(0 <= row["nothing_safe_share"] <= row["shielded_share"] <= 1 for row in rows)
    assert {"shielded_steps", "nothing_safe_steps", "cost_velocity"} <= set(result.evaluation.figures)
    bare: list[dict[str, float]] = []
    run(tiny(None), tmp_path / "bare", on_metrics=bare.append)
    assert not any("shield" in name for name in bare[-1])
    assert sum(row["cost_velocity_mean"] for row in rows[1:]) < sum(row["cost_velocity_mean"] for row in bare[1:])


def test_both_actions_are_logged_where_the_shield_steps_in(tmp_path: Path):
    rows: list[dict[str, float]] = []
    config = tiny(CHECKED)
    run(config, tmp_path / "run", on_metrics=rows.append)
    logs = {int(path.stem): np.load(path) for path in (tmp_path / "run" / "shielded").iterdir()}
    for row in rows:
        share = row["shielded_share"]
        log = logs.pop(int(row["step"]), None)
        assert (log is None) == (share == 0)
        if log is None:
            continue
        assert len(log["environment"]) == round(share * config.steps_per_update)
        assert (np.clip(log["proposed"], -1, 1) != log["executed"]).any(1).all()
        assert log["nothing_safe"].sum() == round(row["nothing_safe_share"] * config.steps_per_update)
        assert (log["executed"][log["nothing_safe"]] == 0).all(), "the declared fallback is to stand still"
        assert log["environment"].max() < 8 and log["episode_step"].max() < 40
    assert not logs, "nothing else is there"


def test_a_run_within_limits_may_have_a_shield_too(tmp_path: Path):
    limits = LimitsConfig.of("ppo_lagrangian", (CostConfig(name="energy", budget=0.2, per="step"),))
    rows: list[dict[str, float]] = []
    run(tiny(CHECKED, limits=limits), tmp_path / "run", on_metrics=rows.append)
    assert {"multiplier_energy", "shielded_share"} <= set(rows[-1])


def test_a_resumed_run_is_the_same_run(tmp_path: Path):
    """With every part that Box actions can have, the critic's learning among them."""
    config = tiny(ALL_PARTS)
    run(config, tmp_path / "whole")
    directory = RunDirectory.create(tmp_path / "cut", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        first = OnlineRun(directory, config, store)
        first.begin()
        for _ in range(2):
            first.iterate()
        first.world.close()
    resume(tmp_path / "cut")
    assert metric_trace(tmp_path / "cut") == metric_trace(tmp_path / "whole")
    assert final_weights(tmp_path / "cut") == final_weights(tmp_path / "whole")
    assert any(name.startswith("shield.critic.") for name in final_weights(tmp_path / "whole"))
    assert "shield.held.left" in final_weights(tmp_path / "whole")
    assert "shield_critic_loss" in metric_trace(tmp_path / "whole")[-1]


def test_a_shield_is_switched_on_over_a_trained_policy_and_off(tmp_path: Path):
    run(tiny(None), tmp_path / "run")
    bare = evaluate_run(tmp_path / "run", num_episodes=6)
    shielded = evaluate_run(tmp_path / "run", num_episodes=6, shield=CHECKED)
    assert "shielded_steps" not in bare.figures
    assert shielded.figures["shielded_steps"].mean > 0
    assert shielded.figures["cost_velocity"].mean < bare.figures["cost_velocity"].mean
    run(tiny(CHECKED), tmp_path / "behind")
    own = evaluate_run(tmp_path / "behind", num_episodes=3)
    assert own.figures["shielded_steps"].mean > 0
    assert "shielded_steps" not in evaluate_run(tmp_path / "behind", num_episodes=3, shield=None).figures


def test_a_critic_is_taken_from_the_run(tmp_path: Path):
    watching = CriticConfig(
        threshold=np.inf, costs=("velocity",), hidden_sizes=(8,), num_epochs=1, num_warmup_updates=1
    )
    config = tiny(ShieldConfig(fallback=FallbackConfig(kind="least_cost"), critic=watching))
    assert from_dict(to_dict(config)) == config
    run(config, tmp_path / "run")
    strict = ShieldConfig(fallback=STILL, critic=replace(watching, threshold=0.0))
    figures = evaluate_run(tmp_path / "run", num_episodes=3, shield=strict).figures
    assert figures["nothing_safe_steps"].mean > 0
    run(tiny(None), tmp_path / "without")
    with pytest.raises(ConfigError, match=r"shield.critic has learned nothing in this run"):
        evaluate_run(tmp_path / "without", num_episodes=3, shield=strict)


def test_a_run_that_halts_keeps_what_it_learned(tmp_path: Path):
    """The limit is below what any hopper keeps to, so that at some step nothing is safe."""
    config = tiny(ShieldConfig(fallback=FallbackConfig(kind="halt"), check=CheckConfig(costs=("velocity",))))
    config = replace(config, env=replace(config.env, kwargs={"speed_limit": 1e-9}))
    with pytest.raises(NothingSafe, match=r"HopperVelocity: environment .* no action is safe"):
        run(config, tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").checkpoint_steps() == [0]


def test_a_film_is_of_what_is_done_behind_the_shield():
    """One that halts at once ends the film at once, and without it there is one."""
    config = tiny(ShieldConfig(fallback=FallbackConfig(kind="halt"), check=CheckConfig(costs=("velocity",))))
    config = replace(config, env=replace(config.env, kwargs={"speed_limit": 1e-9}))
    with pytest.raises(NothingSafe):
        record(untrained(config), config, seed=0, max_s=0.3, size=40)
    assert record(untrained(config), replace(config, shield=None), seed=0, max_s=0.3, size=40).num_steps > 0


def test_foresight_is_refused_where_the_reward_is_learned():
    """It looks at the world's own, which such a run must not see."""
    looking_on = ShieldConfig(fallback=STILL, check=CheckConfig(foresight=5))
    with pytest.raises(ConfigError, match=r"shield.check.foresight looks at the world's own reward"):
        tiny_preferences(shield=looking_on)
    assert tiny_preferences(shield=replace(looking_on, check=CheckConfig())).shield is not None


def test_the_configuration_goes_through_a_file():
    for shield in (ALL_PARTS, CHECKED, ShieldConfig(fallback=STILL, mask=MaskConfig(source="a:b"))):
        assert from_dict(to_dict(tiny(shield))) == tiny(shield)


def test_a_shield_that_does_not_fit_leaves_no_run(tmp_path: Path):
    wrong = replace(CHECKED, check=CheckConfig(costs=("velocty",)))
    with pytest.raises(ConfigError, match="HopperVelocity has no cost 'velocty'"):
        run(tiny(wrong), tmp_path / "run")
    with pytest.raises(ConfigError, match="must be 3 finite numbers for each action of HopperVelocity"):
        run(tiny(replace(CHECKED, fallback=FallbackConfig(kind="action", action=(0.0,)))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_export_says_that_it_has_no_shield(tmp_path: Path):
    from heeler.models.numpy_policy import NumpyPolicy

    run(tiny(CHECKED), tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    assert NumpyPolicy.load(tmp_path / "out").description["origin"]["left_out"] == ["shield"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("check: {steps: 1}", r"shield.yaml: setting fallback is missing"),
        ("chek: {steps: 1}\nfallback: {kind: halt}", r"shield.yaml: there is no setting chek. Did you mean 'check'"),
        ("check: {steps: 0}\nfallback: {kind: halt}", r"shield.yaml: check: shield.check.steps must be >= 1"),
        ("fallback: {kind: halt}", "needs at least one of mask"),
        ("- 1", "must be a mapping of settings"),
        ("a: [", "is no YAML"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, message: str):
    path = tmp_path / "shield.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_shield(path)


def test_a_file_holds_what_a_run_does(tmp_path: Path):
    import yaml

    path = tmp_path / "shield.yaml"
    path.write_text(yaml.safe_dump(to_dict(ALL_PARTS)))
    assert read_shield(path) == ALL_PARTS
    with pytest.raises(ConfigError, match=r"nowhere.yaml cannot be read: No such file"):
        read_shield(tmp_path / "nowhere.yaml")
