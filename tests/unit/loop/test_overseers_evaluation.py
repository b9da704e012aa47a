"""Evaluations and gates of runs under overseers: behind them, as behind a shield."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.errors import RunError
from heeler.core.gate_records import GateRecords
from heeler.core.rundir import RunDirectory
from heeler.loop.config import RunConfig
from heeler.loop.control_gating import gate_checkpoint
from heeler.loop.evaluations import evaluate_run
from heeler.loop.overseers.settings import OverseersConfig, OwnOverseer
from heeler.loop.running import run
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import recheck_control
from heeler.oversight.overseers.conduct import ConductConfig
from heeler.oversight.overseers.resources import ResourceBudget
from heeler.safety.shields.config import FallbackConfig, MaskConfig, ShieldConfig
from tests.unit.loop.balancing import GATE, a_run, config, offer
from tests.unit.loop.tiny import tiny_ppo
from tests.unit.oversight.episodes import episodes

OWN = """
import numpy as np
from heeler.core.verdict import Verdict

NEVER = {"action": 0}

def all(evidence):
    return True

def halts(evidence):
    return Verdict(decision="halt", reason="high time") if evidence.spent["steps"] > 20 else False

def right(evidence):
    return Verdict(decision="modify", reason="to the right", replacement=[1])

def left_only(observation):
    return np.tile([True, False], (len(observation), 1))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def own(folder: Path, name: str) -> OverseersConfig:
    return OverseersConfig(own=(OwnOverseer(function=f"{folder / 'own.py'}:{name}"),))


def balancing(folder: Path, overseers: OverseersConfig, **changes: Any) -> tuple[RunDirectory, RunConfig]:
    """A policy that balances for all of its 100 steps where it is let."""
    made = replace(config(), overseers=overseers, num_evaluation_episodes=6, **changes)
    return a_run(folder / "run", {100: 5.0}, made), made


def test_an_evaluation_is_behind_the_overseers_and_without_them_where_that_is_asked(folder: Path) -> None:
    directory, _ = balancing(folder, own(folder, "all"))
    behind = evaluate_run(directory.path)
    assert behind.episode_return.mean < 12, "action 0 alone lets the pole fall"
    assert behind.figures["vetoed_steps"].mean == behind.episode_length.mean
    assert behind.figures["modified_steps"].mean == behind.figures["halted_episodes"].mean == 0
    without = evaluate_run(directory.path, overseers=None)
    assert without.episode_return.mean == 100
    assert not any("vetoed" in name for name in without.figures)


def test_the_command_says_what_they_did(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory, _ = balancing(folder, own(folder, "all"))
    assert main(["evaluate", str(directory.path), "--episodes", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["vetoed_steps"]["mean"] == told["episode_length"]["mean"]
    assert main(["evaluate", str(directory.path), "--episodes", "3", "--overseers", "none"]) == 0
    said = capsys.readouterr().out
    assert "true return: 100" in said and "vetoed" not in said
    assert main(["evaluate", str(directory.path), "--overseers", "nobody"]) == 2


def test_a_halt_ends_the_episode_and_is_counted(folder: Path) -> None:
    directory, _ = balancing(folder, own(folder, "halts"))
    found = evaluate_run(directory.path)
    assert found.episode_length.mean == found.episode_return.mean == 20
    assert found.figures["halted_episodes"].mean == 1


def test_the_shield_has_the_last_word_there_too(folder: Path) -> None:
    left = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(0,)), mask=MaskConfig(source=f"{folder / 'own.py'}:left_only")
    )
    directory, _ = balancing(folder, own(folder, "right"), shield=left)
    found = evaluate_run(directory.path)
    assert found.figures["modified_steps"].mean == found.figures["shielded_steps"].mean == found.episode_length.mean
    assert found.episode_return.mean < 12


def test_each_episode_has_a_budget_of_its_own(folder: Path) -> None:
    """And what is over uses up nothing: of an episode that ended early no more is reviewed."""
    energy = OverseersConfig(resources=(ResourceBudget(name="energy", limit=10.0),))
    directory, _ = balancing(folder, energy)
    found = evaluate_run(directory.path)
    assert found.figures["vetoed_steps"].mean > 0
    assert found.figures["vetoed_steps"].mean <= found.episode_length.mean - 10


def test_the_end_of_a_run_is_judged_behind_them(folder: Path) -> None:
    energy = OverseersConfig(
        resources=(ResourceBudget(name="energy", limit=3.0),), conduct=ConductConfig(num_usual=700)
    )
    result = run(tiny_ppo(overseers=energy), folder / "run")
    kept = json.loads((result.path / "evaluation.json").read_bytes())
    assert kept["figures"]["vetoed_steps"]["mean"] > 0
    again = evaluate_run(result.path)
    assert {name: one.mean for name, one in again.figures.items()} == {
        name: one["mean"] for name, one in kept["figures"].items()
    }
    assert again.episode_return.mean == kept["episode_return"]["mean"], "with what they knew at the run's end"


def test_an_evaluation_teaches_them_nothing(folder: Path) -> None:
    """What is usual is judged by the checkpoint, however long the evaluation is."""
    conduct = OverseersConfig(conduct=ConductConfig(num_usual=200))
    directory, _ = balancing(folder, conduct)
    assert evaluate_run(directory.path, num_episodes=20).figures["vetoed_steps"].mean == 0, "2,000 steps are enough"


def test_changed_rules_are_told(folder: Path) -> None:
    path = folder / "rules.yaml"
    path.write_text("rules: [{name: still, when: 'action[0] == 7'}]")
    run(tiny_ppo(overseers=OverseersConfig(rules=str(path))), folder / "run")
    path.write_text("rules: [{name: still, when: 'action[0] == 8'}]")
    with pytest.raises(RunError, match="was changed since the checkpoint was saved"):
        evaluate_run(folder / "run")
    assert evaluate_run(folder / "run", overseers=None).num_episodes == 4


# The gate


def test_the_gate_plays_behind_the_overseers(folder: Path) -> None:
    directory, made = balancing(folder, own(folder, "all"))
    record = gate_checkpoint(directory, made, GATE, directory.load_checkpoint(100))
    assert record.details["means"]["candidate"] < 12


def test_a_candidate_that_overseers_halt_is_kept_back(folder: Path) -> None:
    directory, made = balancing(folder, own(folder, "halts"))
    release, record = offer(directory, 100, made)
    assert record is not None and not record.passed and release.approved_by is None
    assert record.reasons[0] == "overseers halted 60 of 60 episodes"
    (kept,) = GateRecords(directory).all()
    assert recheck_control(kept).reasons == record.reasons


def test_records_of_gates_without_overseers_are_as_they_were() -> None:
    some = episodes(np.linspace(90, 100, 60))
    assert "num_halted" not in some.to_json()
    halted = replace(some, num_halted=2)
    assert Episodes.from_json(halted.to_json()).num_halted == 2
    assert judge_control(GATE, (), some, some).passed
    assert judge_control(GATE, (), some, halted).passed, "that of the policy in use decides nothing"
    assert not judge_control(GATE, (), halted, some).passed
