"""The game of oversight as PettingZoo has it."""

import sys

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from heeler.core.errors import ConfigError
from heeler.envs.oversight_game import CHARGES, GameConfig, OversightGame
from heeler.envs.oversight_parallel import WORKER, OversightParallel, parallel_env

SMALL = GameConfig(num_steps=4, num_units=4)


def test_pettingzoos_own_test_of_a_parallel_environment():
    env = parallel_env(SMALL)
    assert isinstance(env, pettingzoo.ParallelEnv)
    parallel_api_test(env, num_cycles=100)
    parallel_seed_test(parallel_env)


def turn(env, effort=2, place=0, objects=()):
    """Both halves of a step; returns the rewards and ends of the second, and what was seen after each."""
    actions = {WORKER: np.array([effort, place, 0, 0])} | {charge: int(charge in objects) for charge in CHARGES}
    between = env.step(actions)
    return between, env.step(actions)


def test_two_turns_are_a_step_of_the_batched_game():
    env, game = OversightParallel(SMALL, seed=5), OversightGame(SMALL, 1, 9)
    seen, infos = env.reset(seed=9)
    assert set(seen) == set(infos) == {WORKER, *CHARGES}
    np.testing.assert_array_equal(seen[WORKER], [*game.worker_view()[0], 1.0])
    assert all(seen[charge][-1] == 0 for charge in CHARGES)
    for step in range(SMALL.num_steps):
        objects = ("ethics",) if step == 2 else ()
        (between, rewards, ended, _, _), (after, paid, over, cut, _) = turn(env, place=1, objects=objects)
        evidence = game.propose(np.array([[2, 1, 0, 0]]))[0]
        decided = game.decide(np.array([bool(objects)]))
        for charge, row in zip(CHARGES, evidence, strict=True):
            np.testing.assert_array_equal(between[charge], [*row, 1.0])
        assert not any(rewards.values()) and not any(ended.values())
        assert paid[WORKER] == float(decided.worker_reward[0])
        assert paid["ethics"] == (1.0 if step == 2 else 0.0)
        np.testing.assert_array_equal(after[WORKER], [*game.worker_view()[0], 1.0])
        assert set(over.values()) == {step == SMALL.num_steps - 1}
        assert not any(cut.values())
    assert env.agents == []


def test_an_objection_to_an_honest_step_costs():
    env = OversightParallel(SMALL, interference_cost=3.0)
    env.reset(seed=0)
    _, (_, paid, _, _, _) = turn(env, objects=("conduct",))
    assert paid["conduct"] == -3.0
    assert paid["resources"] == 0.0


def test_the_spaces_hold_what_is_seen_and_done():
    env = OversightParallel(SMALL)
    seen, _ = env.reset(seed=0)
    for agent in env.possible_agents:
        assert env.observation_space(agent).contains(seen[agent])
        assert env.observation_space(agent) is env.observation_space(agent)
    assert env.action_space(WORKER).contains(np.array([4, 3, 3, 3]))


def test_where_pettingzoo_is_not_installed_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(ConfigError, match="pip install pettingzoo"):
        parallel_env(SMALL)
