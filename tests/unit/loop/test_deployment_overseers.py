"""A deployment of what learned under overseers: they review what is done, and the log has what they objected to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, AuditEntry, entries, verify
from heeler.core.errors import ConfigError, RunError, RunHalted
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.envs import make
from heeler.loop.deploying import deploy
from heeler.loop.deployment import Deployment
from heeler.loop.exporting import export_run
from heeler.loop.overseers.settings import OverseersConfig, OwnOverseer
from heeler.loop.running import run
from heeler.models.numpy_policy import NumpyPolicy
from heeler.oversight.overseers.conduct import ConductConfig
from heeler.oversight.overseers.resources import ResourceBudget
from heeler.safety.shields.config import FallbackConfig, MaskConfig, ShieldConfig
from tests.unit.loop.balancing import a_run, config, observations
from tests.unit.loop.test_deployment import NAMES, approve_as_is, chosen
from tests.unit.loop.test_deployment_shields import KIND, MASKS
from tests.unit.loop.test_shields import tiny
from tests.unit.loop.tiny import tiny_ppo

RULES = """
rules:
  - {name: no push to the right while leaning, when: "action[0] == 1 and observation[2] > 0"}
"""
OWN = """
from heeler.core.verdict import Verdict

def right(evidence):
    return Verdict(decision="modify", reason="to the right", replacement=[1])

def halts(evidence):
    if evidence.observation[2] > 0.05:
        return Verdict(decision="halt", reason="too far", evidence={"angle": float(evidence.observation[2])})
    return bool(evidence.action[0])
"""


def overseen(folder: Path, shield: ShieldConfig | None = None, **settings: Any) -> RunDirectory:
    """A run with two checkpoints that balance, the first of which is in use."""
    (folder / "rules.yaml").write_text(RULES)
    (folder / "own.py").write_text(OWN)
    (folder / "masks.py").write_text(MASKS)
    overseers = OverseersConfig(**(settings or {"rules": str(folder / "rules.yaml")}))
    changed = replace(config(), overseers=overseers, shield=shield)
    directory = a_run(folder / "run", {100: 5.0, 200: 6.0}, changed)
    approve_as_is(directory, 100, NAMES[0])
    return directory


def own(folder: Path, name: str) -> dict[str, Any]:
    return {"own": (OwnOverseer(function=f"{folder / 'own.py'}:{name}"),)}


def told(directory: RunDirectory, act: str = "overseers.object") -> list[AuditEntry]:
    return [entry for entry in entries(directory.path / AUDIT_NAME, after=0, limit=999) if entry.act == act]


def leaning(num: int, angle: float = 0.04) -> np.ndarray:
    """States in which a policy that balances pushes to the right."""
    seen = np.zeros((num, 4), np.float32)
    seen[:, 2] = angle
    return seen


def test_what_is_vetoed_the_trusted_policy_does_and_the_log_has_the_evidence(tmp_path: Path) -> None:
    run(tiny_ppo(), tmp_path / "trusted")
    export_run(tmp_path / "trusted", tmp_path / "exported")
    directory = overseen(tmp_path, rules=str(tmp_path / "rules.yaml"), trusted=str(tmp_path / "exported"))
    seen = observations(64)
    bare = np.array(chosen(5.0, seen))
    is_vetoed = (bare == 1) & (seen[:, 2] > 0)
    assert 0 < is_vetoed.sum() < 64
    with Deployment(directory.path, num_lanes=64) as deployment:
        done = deployment.act(seen)
        trusted = NumpyPolicy.load(tmp_path / "exported").act(seen)
        np.testing.assert_array_equal(done, np.where(is_vetoed, trusted, bare))
        assert deployment.counted == {"vetoed_steps": is_vetoed.sum(), "modified_steps": 0}
    (line,) = told(directory)
    assert line.person == "deployment"
    assert line.details["release"] == NAMES[0]
    assert line.details["vetoed"] == is_vetoed.sum()
    assert line.details["by"] == {"ethics": is_vetoed.sum()}
    first = line.details["first"][0]
    assert len(line.details["first"]) == 5
    assert first["copy"] == np.flatnonzero(is_vetoed)[0]
    assert first["evidence"]["overseers"]["ethics"]["rule"] == "no push to the right while leaning"


def test_the_shield_has_the_last_word(tmp_path: Path) -> None:
    left = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(0,)), mask=MaskConfig(source=f"{tmp_path / 'masks.py'}:left")
    )
    directory = overseen(tmp_path, left, **own(tmp_path, "right"))
    with Deployment(directory.path, num_lanes=8) as deployment:
        assert deployment.act(leaning(8)).tolist() == [0] * 8
        assert deployment.counted == {
            "vetoed_steps": 0,
            "modified_steps": 8,
            "shielded_steps": 8,
            "nothing_safe_steps": 8,
        }


def test_a_halt_ends_it_and_stands_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = overseen(tmp_path, **own(tmp_path, "halts"))
    with Deployment(directory.path, num_lanes=2) as deployment:
        deployment.act(leaning(2))
        with pytest.raises(RunHalted, match="overseers halted the deployment: halts: too far"):
            deployment.act(leaning(2, 0.06))
    (line,) = told(directory, "deployment.halt")
    assert line.details["release"] == NAMES[0]
    assert line.details["evidence"]["overseers"]["halts"]["angle"] == pytest.approx(0.06)
    assert [one.details["vetoed"] for one in told(directory)] == [2], "what was vetoed before it stands there too"
    assert main(["deploy", str(directory.path), "--episodes", "50"]) == 2
    assert "overseers halted the deployment: halts: too far" in capsys.readouterr().err
    assert verify(directory.path / AUDIT_NAME).is_sound


def test_objections_are_told_in_batches(tmp_path: Path) -> None:
    directory = overseen(tmp_path)
    with Deployment(directory.path, num_lanes=100) as deployment:
        for _ in range(45):
            deployment.act(leaning(100))
        assert [one.details["vetoed"] for one in told(directory)] == [100, 1000, 1000, 1000, 1000], "the first at once"
    assert sum(one.details["vetoed"] for one in told(directory)) == 4500


def test_what_an_episode_used_up_goes_from_release_to_release(tmp_path: Path) -> None:
    directory = overseen(tmp_path, resources=(ResourceBudget(name="energy", limit=3.0),))
    second = approve_as_is(directory, 200, NAMES[1])
    with Deployment(directory.path, num_lanes=2) as deployment:
        done: list[list[int]] = []
        for step in range(5):
            if step == 2:
                Releases(directory).withdraw(second.id, "ann")
            done.append(deployment.act(leaning(2)).tolist())
            deployment.observe(np.ones(2), np.zeros(2, bool))
        assert done == [[1, 1], [1, 1], [1, 1], [0, 0], [0, 0]]
        deployment.observe(np.ones(2), np.array([True, False]))
        assert deployment.act(leaning(2)).tolist() == [1, 0], "a new episode has a budget of its own"


def test_overseers_know_what_the_release_s_had_learned_and_learn_no_more(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    overseers = OverseersConfig(rules=str(tmp_path / "rules.yaml"), conduct=ConductConfig(num_usual=700))
    result = run(tiny_ppo(overseers=overseers, total_steps=3 * 512, checkpoint_every=1), tmp_path / "run")
    directory = RunDirectory.open(result.path)
    approve_as_is(directory, directory.checkpoint_steps()[-1], NAMES[0])
    with Deployment(directory.path, num_lanes=100) as deployment:
        assert deployment.in_use is not None
        actor = deployment._actors[deployment.in_use.id]
        assert actor.review is not None and actor.review._conduct is not None
        assert actor.review._conduct.is_learned
        before = {name: array.copy() for name, array in actor.review._conduct.arrays().items()}
        for _ in range(10):
            deployment.act(leaning(100))
        after = actor.review._conduct.arrays()
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)
        strange = np.full((100, 4), 50.0, np.float32)
        deployment.act(strange)
        assert deployment.counted["vetoed_steps"] >= 100
    (tmp_path / "rules.yaml").write_text(RULES.replace("> 0", "> 0.1"))
    with pytest.raises(RunError, match="was changed since the checkpoint was saved"):
        Deployment(directory.path, num_lanes=1)


def test_episodes_of_a_release_tell_how_often_it_was_vetoed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: [{name: gently, when: max(abs(action)) > 0.002}]")
    overseers = OverseersConfig(rules=str(tmp_path / "rules.yaml"))
    run(tiny(None, overseers=overseers, gate=KIND), tmp_path / "run")
    done = deploy(tmp_path / "run", num_episodes=8, num_envs=4)
    assert done.counted["vetoed_steps"] > 0
    with pytest.raises(ConfigError, match=r"cost_names: the overseers of .* were told of the cost 'velocity'"):
        Deployment(tmp_path / "run", num_lanes=4)
    world = make(replace(tiny(None).env, num_envs=4), 0)
    with Deployment(tmp_path / "run", num_lanes=4, cost_names=world.cost_names) as deployment:
        assert deployment.watch is not None
        means = deployment.watch.means()
    assert 0 < means["vetoed_steps"] * 8 <= done.counted["vetoed_steps"]
    assert {"vetoed_steps", "modified_steps"} <= means.keys()
