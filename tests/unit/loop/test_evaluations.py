"""Intervals of fresh episodes, kept with the checkpoint that they were played with."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.cli.arguments import in_words
from heeler.core.errors import ConfigError, RunError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import LimitsConfig, from_dict
from heeler.loop.evaluations import (
    PolicyEvaluation,
    bootstrap_interval,
    budgets_in_words,
    evaluate_run,
    final_seed,
    save_evaluation,
    saved_evaluation,
)
from heeler.loop.reading import evaluate_policy, load_policy, newest_sound_checkpoint
from heeler.recipes import ppo
from heeler.safety.costs import CostConfig


def test_the_bootstrap_interval_is_that_of_the_normal_for_many_values() -> None:
    values = np.random.default_rng(1).normal(10, 3, 2000)
    interval = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert interval == bootstrap_interval(values)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    intervals = [bootstrap_interval(rng.exponential(1.0, 40)) for _ in range(100)]
    # A percentile bootstrap of 40 skewed values covers a little less than it says.
    assert 85 <= sum(interval.low <= 1 <= interval.high for interval in intervals) <= 99


def test_it_plays_what_the_run_was_judged_by(ppo_run: Path) -> None:
    evaluation = evaluate_run(ppo_run)
    policy, config = load_policy(ppo_run)
    episodes = evaluate_policy(policy, config, num_episodes=4, seed=final_seed(config))
    assert evaluation.episode_return.mean == pytest.approx(episodes.returns.mean())
    assert evaluation.num_episodes == 4
    assert evaluation.step == 6 * 8 * 64
    assert evaluate_run(ppo_run, num_episodes=6, seed=3).num_episodes == 6
    with pytest.raises(ConfigError, match="num_episodes must be >= 1, got 0"):
        evaluate_run(ppo_run, num_episodes=0)


def test_the_world_own_counts_are_told(tmp_path: Path) -> None:
    evaluation = PolicyEvaluation(
        step=1,
        checkpoint_sha256="x",
        seed=0,
        num_episodes=2,
        episode_return=bootstrap_interval(np.array([1.0, 3.0])),
        episode_length=bootstrap_interval(np.array([5.0, 5.0])),
        figures={"landed_backflips": bootstrap_interval(np.array([4.0, 6.0]))},
    )
    assert PolicyEvaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation
    assert evaluation.figures["landed_backflips"].mean == 5


def test_costs_are_told_beside_their_budgets() -> None:
    costs = (CostConfig(name="heat", budget=25.0), CostConfig(name="energy", budget=0.3, per="step"))
    config = replace(ppo(env="CartPole-v1"), limits=LimitsConfig.of("cpo", costs))
    figures = {"cost_heat": np.array([3.0]), "cost_energy": np.array([1.0]), "cost_other": np.array([2.0])}
    evaluation = PolicyEvaluation(
        step=1,
        checkpoint_sha256="x",
        seed=0,
        num_episodes=1,
        episode_return=bootstrap_interval(np.array([1.0])),
        episode_length=bootstrap_interval(np.array([5.0])),
        figures={name: bootstrap_interval(values) for name, values in figures.items()},
    )
    told = {"cost_heat": "budget 25 an episode", "cost_energy": "0.2 a step, budget 0.3 a step"}
    assert budgets_in_words(evaluation, config) == told
    assert budgets_in_words(evaluation, replace(config, limits=None)) == {}
    one = in_words(evaluation, config).splitlines()
    assert one[0] == "One fresh episode after 1 steps of learning:"
    assert one[1:4] == [
        "  cost heat: 3 (budget 25 an episode)",
        "  cost energy: 1 (0.2 a step, budget 0.3 a step)",
        "  cost other: 2",
    ], "one episode tells nothing of chance"
    several = in_words(replace(evaluation, num_episodes=3), config).splitlines()
    assert several[1] == "  cost heat: 3 (95 % interval 3 to 3; budget 25 an episode)"


def test_it_is_kept_for_its_checkpoint_alone(ppo_run: Path, tmp_path: Path) -> None:
    directory = RunDirectory.open(shutil.copytree(ppo_run, tmp_path / "run"))
    checkpoint = newest_sound_checkpoint(directory)
    assert saved_evaluation(directory, checkpoint) == evaluate_run(directory.path), "the run kept it at its end"
    evaluation = evaluate_run(directory.path, seed=5)
    save_evaluation(directory, evaluation)
    assert saved_evaluation(directory, checkpoint) == evaluation
    older = directory.load_checkpoint(directory.checkpoint_steps()[0])
    assert saved_evaluation(directory, older) is None
    (directory.path / "evaluation.json").write_text('{"step": 3')
    with pytest.raises(RunError, match=r"evaluation.json cannot be read .*remove it"):
        saved_evaluation(directory, checkpoint)


def test_evaluating_changes_nothing(ppo_run: Path) -> None:
    before = {path: path.read_bytes() for path in ppo_run.rglob("*") if path.is_file()}
    evaluate_run(ppo_run)
    assert before == {path: path.read_bytes() for path in ppo_run.rglob("*") if path.is_file()}
    assert from_dict(RunDirectory.open(ppo_run).config()).num_evaluation_episodes == 4
