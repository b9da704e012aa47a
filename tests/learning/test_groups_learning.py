"""A policy that learns from people of two minds ends where the declared rule says, by what both truly want."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.jobs.groups_run import configuration, gets, holds, is_found
from heeler.envs import make
from heeler.loop.reading import load_policy
from heeler.loop.running import run
from heeler.models.policy import Policy


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", ["mean", "least_happy", "budgeted"])
def test_both_groups_are_found_and_the_rule_does_as_declared(rule: str, tmp_path: Path) -> None:
    config = configuration(rule, 0, 240)
    run(config, tmp_path / "run")
    policy, _ = load_policy(tmp_path / "run")
    assert is_found(tmp_path / "run", 0)
    got_G = gets(policy, config)
    assert holds(rule, got_G), got_G
    world = make(config.env, 0)
    untrained = Policy(config.algorithm.policy, world.observation_size, world.single_action_space)
    world.close()
    assert not holds(rule, gets(untrained, config)), "an untrained policy does not"
    assert np.isfinite(got_G).all()
