"""A deployment of what learned behind a shield: it acts behind that same shield, and what that did is counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, NothingSafe
from heeler.core.rundir import RunDirectory
from heeler.envs import World, make
from heeler.loop.config import RunConfig
from heeler.loop.deploying import deploy
from heeler.loop.deployment import Deployment
from heeler.loop.reading import shield_state
from heeler.loop.running import run
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.safety.shields.config import FallbackConfig, MaskConfig, ShieldConfig
from tests.unit.loop.balancing import a_run, config, observations, offer
from tests.unit.loop.test_deployment import NAMES, approve_as_is
from tests.unit.loop.test_shields import ALL_PARTS, CHECKED, tiny

KIND = ControlGateConfig(margin=1000.0, num_episodes=20, return_range=(-1000.0, 1000.0), every=4)
MASKS = """
import numpy as np

def left(observation):
    return np.tile([True, False], (len(observation), 1))

def nothing(observation):
    return np.zeros((len(observation), 2), bool)
"""


def a_released(path: Path, shield: ShieldConfig | None) -> RunDirectory:
    """A hopper that runs as it likes, in 40 steps an episode, and the release of its last checkpoint."""
    run(tiny(shield, gate=KIND), path)
    return RunDirectory.open(path)


def hoppers(num: int, run_config: RunConfig | None = None) -> World:
    return make(replace((run_config or tiny(CHECKED)).env, num_envs=num), 0)


def test_it_acts_behind_its_shield_and_counts_what_that_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shielded = a_released(tmp_path / "behind", CHECKED)
    bare = a_released(tmp_path / "bare", None)
    done, free = (deploy(one.path, num_episodes=12, num_envs=4) for one in (shielded, bare))
    assert free.counted == {}
    assert done.counted["shielded_steps"] > 0
    with Deployment(shielded.path, num_lanes=4, cost_names=("velocity", "energy"), world=hoppers(4)) as deployment:
        assert deployment.watch is not None
        means = deployment.watch.means()
    assert means["shielded_steps"] * deployment.watch.num_episodes <= done.counted["shielded_steps"]
    assert 0 <= means["nothing_safe_steps"] <= means["shielded_steps"] <= 40
    assert means["shielded_steps"] > 0
    with Deployment(bare.path, num_lanes=4, cost_names=("velocity", "energy")) as deployment:
        assert deployment.watch is not None
        assert means["cost_velocity"] < deployment.watch.means()["cost_velocity"], "what the shield is there for"
    assert main(["deploy", str(shielded.path), "--episodes", "4", "--envs", "4"]) == 0
    assert "shielded steps: " in capsys.readouterr().out


def test_the_shield_has_learned_what_the_release_s_had(tmp_path: Path) -> None:
    directory = a_released(tmp_path / "run", ALL_PARTS)
    learned = shield_state(directory.load_checkpoint(directory.checkpoint_steps()[-1]))
    with Deployment(directory.path, num_lanes=2, cost_names=("velocity", "energy"), world=hoppers(2)) as deployment:
        assert deployment.in_use is not None
        actor = deployment._actors[deployment.in_use.id]
        assert actor._shield is not None
        now = actor._shield.tensors()
    assert now.keys() == learned.keys() and now
    assert all((now[name] == learned[name]).all() for name in now)


def test_a_shield_that_cannot_be_rebuilt_is_refused(tmp_path: Path) -> None:
    directory = a_released(tmp_path / "run", CHECKED)
    given = {"num_lanes": 2, "cost_names": ("velocity", "energy")}
    with pytest.raises(ConfigError, match=r"whose check tries each action .* hand over .* cannot be deployed"):
        Deployment(directory.path, **given)
    with pytest.raises(ConfigError, match=r"world: expected 2 environments like HopperVelocity, .* got 3 of Hopper"):
        Deployment(directory.path, **given, world=hoppers(3))
    foreign = hoppers(2)
    foreign.exact_state = False
    with pytest.raises(ConfigError, match="the state of HopperVelocity cannot be saved"):
        Deployment(directory.path, **given, world=foreign)
    # A refusal leaves the run free to be followed.
    with Deployment(directory.path, **given, world=hoppers(2)):
        pass


def masked(tmp_path: Path, name: str, fallback: FallbackConfig) -> RunDirectory:
    (tmp_path / "masks.py").write_text(MASKS)
    shield = ShieldConfig(fallback=fallback, mask=MaskConfig(source=f"{tmp_path / 'masks.py'}:{name}"))
    directory = a_run(tmp_path / "run", {100: 5.0}, replace(config(), shield=shield))
    approve_as_is(directory, 100, NAMES[0])
    return directory


def test_machines_and_clients_are_shielded_by_what_is_seen(tmp_path: Path) -> None:
    directory = masked(tmp_path, "left", FallbackConfig(kind="halt"))
    with Deployment(directory.path, num_lanes=8) as deployment:
        assert deployment.act(observations(8)).tolist() == [0] * 8


def test_where_nothing_is_safe_that_is_counted(tmp_path: Path) -> None:
    directory = masked(tmp_path, "nothing", FallbackConfig(kind="action", action=(1,)))
    with Deployment(directory.path, num_lanes=8) as deployment:
        assert deployment.act(observations(8)).tolist() == [1] * 8
        assert deployment.counted == {"shielded_steps": 8, "nothing_safe_steps": 8}


def test_a_shield_that_halts_ends_it_and_the_log_says_so(tmp_path: Path) -> None:
    directory = masked(tmp_path, "nothing", FallbackConfig(kind="halt"))
    with Deployment(directory.path, num_lanes=2) as deployment, pytest.raises(NothingSafe, match="no action is safe"):
        deployment.act(observations(2))
    (last,) = list(entries(directory.path / AUDIT_NAME, after=0, limit=99))[-1:]
    assert (last.person, last.act) == ("deployment", "deployment.halt")
    assert last.details["release"] == NAMES[0]
    assert "no action is safe" in last.details["problem"]


def test_lanes_of_a_candidate_are_counted_as_its_own(tmp_path: Path) -> None:
    (tmp_path / "masks.py").write_text(MASKS)
    shield = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(1,)), mask=MaskConfig(source=f"{tmp_path / 'masks.py'}:nothing")
    )
    run_config = replace(config(), shield=shield)
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0}, run_config)
    approve_as_is(directory, 100, NAMES[0])
    # Both sides fall at once, and are the same.
    second, _ = offer(directory, 200, run_config)
    with Deployment(directory.path, num_lanes=40) as deployment:
        assert deployment.candidate is not None and deployment.candidate.id == second.id
        for _ in range(3):
            deployment.act(observations(40))
            deployment.observe(np.ones(40), np.zeros(40, bool))
        deployment.act(observations(40))
        deployment.observe(np.ones(40), np.ones(40, bool))
        assert deployment.canary is not None
        assert deployment.canary.means()["nothing_safe_steps"] == 4.0
        assert deployment.counted["nothing_safe_steps"] == 160
