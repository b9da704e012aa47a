"""What the card of a release says: what was tested, what it learned from, and what it goes by."""

import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

from heeler.core.gate_records import GateRecord
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.loop.release_card import Card, card_of
from heeler.loop.running import run
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import control_record
from tests.unit.loop.test_own_costs import FAST, of_function, runner


def propose(path: Path, gate: GateRecord | None = None) -> tuple[RunDirectory, Release]:
    """The newest checkpoint of a run as a release."""
    directory = RunDirectory.open(path)
    name, step = str(uuid.uuid4()), directory.checkpoint_steps()[-1]
    return directory, Releases(directory).propose(name, step, "ann-7", audit_head="0" * 64, gate=gate)


def judged(path: Path, *costs: str) -> GateRecord:
    """A gate that tested these costs of the newest checkpoint of a run, which cost nothing."""
    checkpoint, _ = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None
    claims = [CostClaim(name=name, budget=4.0, per="episode", most=20.0) for name in costs]
    gate = ControlGateConfig(margin=1.0, num_episodes=40, return_range=(0.0, 10.0))
    flat = np.ones(40)
    episodes = Episodes(returns=flat, lengths=flat, costs=dict.fromkeys(costs, 0 * flat))
    result, sha256 = judge_control(gate, claims, episodes, episodes), checkpoint.sha256
    return control_record(
        gate,
        claims,
        result,
        candidate=episodes,
        current=episodes,
        candidate_sha256=sha256,
        current_sha256=None,
        seed=0,
    )


def limits_of(card: Card) -> tuple[str, ...]:
    return next(section for section in card.sections if section.title == "Known limits").points


def test_a_cost_of_one_s_own_that_was_tested_is_told_as_tested(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(FAST)
    config = runner(of_function(mine))
    path = run(replace(config, env=replace(config.env, costs=())), tmp_path / "run").path
    directory, release = propose(path, judged(path, "mine"))
    card = card_of(directory, release.id)
    tested = next(section for section in card.sections if section.title == "How it was tested")
    assert "cost mine per episode" in {row[0] for row in tested.rows}
    assert not [point for point in limits_of(card) if "no costs" in point or "never tested" in point]
    directory, untested = propose(path)
    assert "The cost mine was never tested." in limits_of(card_of(directory, untested.id))
