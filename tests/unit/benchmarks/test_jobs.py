"""Heeler's side of the benchmarks, on runs of a few updates."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks.comparison import FIELDS
from benchmarks.jobs.preference_task import random_returns
from benchmarks.jobs.training import FIRST_EVALUATION_SEED, ROOT, gymnasium_returns, loaded_sources, train
from heeler.envs import EnvConfig, make
from heeler.models.policy import Policy, PolicyConfig
from heeler.recipes import ppo

Job = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """Runs a job's module in this process; returns what it printed last, and its standard error."""

    def run(name: str, *options: str) -> tuple[dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", [name, *options])
        importlib.import_module(f"benchmarks.jobs.{name}").main()
        streams = capsys.readouterr()
        return json.loads(streams.out.splitlines()[-1]), streams.err

    return run


def policy_for(task: str) -> Policy:
    world = make(EnvConfig(id=task, num_envs=1), 0)
    policy = Policy(PolicyConfig(), world.single_observation_space.shape[0], world.single_action_space)
    world.close()
    return policy


def test_episodes_begin_where_the_peers_begin() -> None:
    """Against the loop of the peers' scripts: one environment, one episode after the other."""
    policy = policy_for("CartPole-v1")
    env = gymnasium.make("CartPole-v1")
    expected: list[float] = []
    for episode in range(20):
        observation, _ = env.reset(seed=FIRST_EVALUATION_SEED + episode)
        episode_return, ended = 0.0, False
        while not ended:
            action = policy.executable(policy.act(np.float32(observation)[None], None).numpy())[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            episode_return += float(reward)
            ended = terminated or truncated
        expected.append(episode_return)
    assert len(set(expected)) > 1
    assert gymnasium_returns(policy, "CartPole-v1") == expected


def test_a_ppo_job_prints_what_a_comparison_asks_for(job: Job) -> None:
    printed, progress = job("ppo", "--task", "CartPole-v1", "--steps", "20000", "--seed", "3")
    assert set(printed) == set(FIELDS)
    assert 20_000 <= printed["steps"] < 30_000
    assert len(printed["returns"]) == 20
    assert printed["return_mean"] == pytest.approx(np.mean(printed["returns"]))
    assert printed["return_mean"] > 30, "worse than random actions, which come to about 22"
    assert f"{printed['steps']:,} of {printed['steps']:,} steps" in progress.splitlines()[-1]
    assert progress.splitlines()[-1].endswith("; 0 s left")


def test_a_preferences_job_asks_for_the_comparisons_it_was_given(job: Job) -> None:
    printed, _ = job("preferences_pendulum", "--steps", "90000", "--comparisons", "12", "--seed", "1")
    assert set(FIELDS) < set(printed)
    assert printed["comparisons"] == 12
    assert 80_000 < printed["steps"] <= 90_000


@pytest.mark.parametrize("reward", ["true", "learned"])
def test_a_task_is_learned_from_either_reward(job: Job, reward: str) -> None:
    options = ("--reward", reward, "--steps", "90000", "--comparisons", "12", "--acquisition", "coverage")
    printed, _ = job("preference_task", "--task", "Pendulum-v1", *options)
    assert printed["comparisons"] == (12 if reward == "learned" else 0)
    assert len(printed["returns"]) == len(printed["random_returns"]) == 20
    assert "src/heeler/loop/online.py" in printed["files"]
    assert "src/heeler/algorithms/ppo.py" in printed["files"]


def test_the_backflip_job_runs_the_recipe(job: Job) -> None:
    printed, _ = job("backflip", "--steps", "70000", "--comparisons", "8")
    assert len(printed["landed_backflips"]) == 20
    assert printed["comparisons"] <= 8
    assert printed["train_wall_s"] > 0
    shares = [share for name, share in printed["time"].items() if name.startswith("share_")]
    limits = {name: limit for name, limit in printed["time"].items() if name.startswith("limit_")}
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    assert limits.keys() == {"limit_environment", "limit_acting", "limit_reward_model", "limit_learning"}
    assert all(0 <= limit < 1 for limit in limits.values())


def test_the_same_seed_gives_the_same_run() -> None:
    config = ppo(env="CartPole-v1", seed=5, total_steps=20_000)
    weights = [train(config).policy.actor.layers[0].weight.detach().numpy() for _ in range(2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    other = train(replace(config, seed=6)).policy.actor.layers[0].weight.detach().numpy()
    assert not np.array_equal(weights[0], other)


def test_random_actions_on_pendulum_come_to_what_is_known_of_them() -> None:
    """About −1,200 an episode, with a spread of about 300."""
    returns = random_returns(EnvConfig(id="Pendulum-v1", num_envs=64), 0)
    assert returns.shape == (20,)
    assert -1400 < returns.mean() < -1000
    assert not np.array_equal(returns, random_returns(EnvConfig(id="Pendulum-v1"), 1))


def test_the_sources_named_are_files_of_this_repository() -> None:
    sources = loaded_sources()
    assert "benchmarks/jobs/training.py" in sources
    assert all((ROOT / name).is_file() and not Path(name).is_absolute() for name in sources)
