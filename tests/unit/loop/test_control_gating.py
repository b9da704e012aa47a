"""Candidates of a run in a world: judged by what their checkpoint holds, offered once, kept back with reasons."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import CheckpointError, ConfigError, ConflictError, RunError, WorldError
from heeler.core.gate_records import GateRecords
from heeler.core.releases import Releases, state_of
from heeler.core.rundir import RunDirectory
from heeler.loop import control_gating
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.control_gating import GATE as BY_GATE
from heeler.loop.control_gating import gate_checkpoint
from heeler.loop.deployment import Deployment
from heeler.loop.reading import evaluate_policy, policy_of
from heeler.loop.report import write_report
from heeler.loop.report_gates import gates_section
from heeler.loop.running import resume, run
from heeler.models.numpy_policy import NumpyPolicy
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.control_gate_records import recheck_control
from tests.faults.test_run_kill import final_weights, metric_trace
from tests.unit.core.test_releases import killed
from tests.unit.loop.balancing import GATE, a_policy, a_run, config, observations, offer
from tests.unit.loop.test_limits import tiny_limits

EASY = replace(GATE, margin=90.0)
"""What does little worse passes."""


def states(directory: RunDirectory) -> dict[int, str]:
    releases = Releases(directory)
    in_use = releases.in_use()
    return {release.step: state_of(release, in_use) for release in releases.all()}


def acts_of(path: Path) -> list[str]:
    return [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=99)]


# In the loop


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six updates, with candidates after the third and the last."""
    return run(config(EASY), tmp_path_factory.mktemp("gated") / "run").path


def test_a_run_offers_its_candidates_where_they_are_due(gated: Path) -> None:
    directory = RunDirectory.open(gated)
    assert states(directory) == {3 * 512: "in use", 6 * 512: "proposed"}
    first = Releases(directory).in_use()
    assert first is not None and (first.proposed_by, first.approved_by) == ("learner", BY_GATE)
    assert first.policy_version == 3
    assert acts_of(gated).count("gate.decide") == 2
    assert verify(gated / AUDIT_NAME).is_sound
    one, two = GateRecords(directory).all()
    assert (one.current_sha256, two.current_sha256) == (None, first.checkpoint_sha256)
    assert one.details["seed"] != two.details["seed"], "each candidate has fresh episodes"
    assert all(recheck_control(record).passed for record in (one, two))


def test_the_report_shows_what_was_decided(gated: Path) -> None:
    page = write_report(gated).read_text()
    assert "Candidate 2" in page
    assert "return: lower by 90 at most: " in page


def test_a_gate_changes_nothing_that_is_learned(gated: Path, tmp_path: Path) -> None:
    run(config(None), tmp_path / "run")
    assert final_weights(gated) == final_weights(tmp_path / "run")
    assert metric_trace(gated) == metric_trace(tmp_path / "run")


@pytest.mark.parametrize("stop_at", [2, 3, 4, 6])
def test_a_run_that_was_killed_offers_each_candidate_once(stop_at: int, gated: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        if row["update"] == stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        run(config(EASY), tmp_path / "run", on_metrics=stop)
    resume(tmp_path / "run")
    assert final_weights(tmp_path / "run") == final_weights(gated)
    assert states(RunDirectory.open(tmp_path / "run")) == states(RunDirectory.open(gated))
    ours, theirs = (GateRecords(RunDirectory.open(path)).all() for path in (tmp_path / "run", gated))
    assert [record.details["shown"] for record in ours] == [record.details["shown"] for record in theirs]


def test_the_gate_of_a_run_survives_its_file() -> None:
    own = ControlGateConfig(margin=1.0, max_costs={"velocity": float("inf"), "energy": 9.0})
    limited = tiny_limits(gate=own)
    assert from_dict(to_dict(limited)) == limited
    assert from_dict(to_dict(config())) == config()


def test_a_gate_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gate\.max_costs\.velocity is missing"):
        tiny_limits(gate=ControlGateConfig(margin=1.0))
    values = to_dict(tiny_limits(gate=None)) | {"gate": {"margin": 1.0}}
    with pytest.raises(ConfigError, match=r"gate\.max_costs\.velocity is missing"):
        from_dict(values)
    with pytest.raises(ConfigError, match=r"there is no setting gate\.margn"):
        from_dict(to_dict(config()) | {"gate": {"margn": 1.0}})


# What is judged


def test_costs_of_the_world_are_judged_in_fresh_episodes(tmp_path: Path) -> None:
    gate = ControlGateConfig(
        margin=1e3,
        num_episodes=150,
        budgets={"velocity": 39.0, "energy": 0.9},
        max_costs={"velocity": 40.0, "energy": 40.0},
    )
    limited = tiny_limits(gate=gate)
    path = run(limited, tmp_path / "run").path
    directory = RunDirectory.open(path)
    (record,) = GateRecords(directory).all()
    shown = {each["name"]: each for each in record.details["shown"]}
    assert list(shown) == ["return", "velocity", "energy"]
    checkpoint = directory.load_checkpoint(directory.checkpoint_steps()[-1])
    assert record.candidate_sha256 == checkpoint.sha256
    # The naive way: a hundred episodes and then fifty of the same policy, with the record's seed.
    seed = record.details["seed"]
    parts = [
        evaluate_policy(policy_of(checkpoint, limited), limited, num_episodes=num, seed=seed + start)
        for start, num in ((0, 100), (100, 50))
    ]
    speed = np.concatenate([part.figures["cost_velocity"] for part in parts])
    energy = np.concatenate([part.figures["cost_energy"] for part in parts])
    steps = np.concatenate([part.lengths for part in parts])
    assert record.details["episodes"]["candidate"]["costs"]["velocity"] == speed.tolist()
    assert shown["velocity"]["estimate"] == pytest.approx(speed.mean())
    assert shown["energy"]["estimate"] == pytest.approx(energy.sum() / steps.sum())
    wrong = replace(gate, budgets={"heat": 1.0, **gate.budgets}, max_costs={"heat": 1.5, **gate.max_costs})
    with pytest.raises(ConfigError, match="HopperVelocity has no cost 'heat'"):
        gate_checkpoint(directory, limited, wrong, checkpoint)


def test_a_better_policy_passes_and_a_worse_one_is_kept_back_with_the_reason(tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0, 300: -5.0})
    first, record = offer(directory, 100)
    assert record is not None and record.passed
    assert record.details["means"]["candidate"] == 100.0
    assert first.approved_by == BY_GATE, "with nothing in use there is nothing to stand a canary share beside"
    second, record = offer(directory, 200)
    assert record is not None and record.passed
    assert second.approved_by is None, "its canary share is to decide"
    worse, record = offer(directory, 300)
    assert record is not None and not record.passed
    assert record.reasons[0].startswith("return: not shown to be lower by 20 at most: 100 in use, ")
    with pytest.raises(ConflictError, match="it kept this release back"):
        Releases(directory).approve(worse.id, "ann")
    kept = GateRecords(directory).get(worse.gate_sha256 or "")
    assert (kept.sha256, kept.reasons) == (record.sha256, record.reasons), "kept, with its reasons"
    page = gates_section(GateRecords(directory).all())
    assert page.count("passed") == 2 and page.count("kept back") == 1
    assert "by betting (60 episodes)" in page


def test_the_same_candidate_again_is_what_it_was(tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    first, _ = offer(directory, 100)
    again, record = offer(directory, 100)
    assert (again, record) == (first, None)
    assert acts_of(directory.path).count("gate.decide") == 1


def test_first_states_are_the_same_on_both_sides(tmp_path: Path) -> None:
    """So that a policy differs from itself by nothing."""
    directory = a_run(tmp_path / "run", {100: -5.0, 200: -5.0})
    gate = replace(GATE, return_range=None, margin=5.0)
    fallen = replace(config(), gate=replace(gate, approval="gate"))
    record = gate_checkpoint(directory, fallen, gate, directory.load_checkpoint(100))
    assert record.details["episodes"]["candidate"] != record.details["episodes"]["current"]
    Releases(directory).propose("00000000-0000-4000-8000-000000000001", 100, "ann", audit_head="0" * 64)
    Releases(directory).approve("00000000-0000-4000-8000-000000000001", "bea")
    record = gate_checkpoint(directory, fallen, gate, directory.load_checkpoint(200))
    candidate, current = (record.details["episodes"][who]["returns"] for who in ("candidate", "current"))
    assert candidate == current
    assert len(set(candidate)) > 1, "and the episodes differ from one another"


def test_gates_approve_at_once_where_that_is_set(tmp_path: Path) -> None:
    own = config(replace(GATE, approval="gate"))
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0}, own)
    for step in (100, 200):
        offer(directory, step, own)
    assert states(directory) == {100: "approved", 200: "in use"}


def test_people_approve_where_that_is_set(tmp_path: Path) -> None:
    own = config(replace(GATE, approval="people"))
    directory = a_run(tmp_path / "run", {100: 5.0}, own)
    release, _ = offer(directory, 100, own)
    assert states(directory) == {100: "proposed"}
    Releases(directory).approve(release.id, "ann")
    assert states(directory) == {100: "in use"}


def test_what_passed_beside_another_policy_than_the_one_in_use_is_not_put_into_use(tmp_path: Path) -> None:
    """A kill came before it was approved, and people have put another release into use meanwhile."""
    own = config(replace(GATE, approval="people"))
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0}, own)
    early, late = (offer(directory, step, own)[0] for step in (100, 200))
    Releases(directory).approve(late.id, "ann")
    again, _ = offer(directory, 100, config(replace(GATE, approval="gate")))
    assert (again.id, again.approved_by) == (early.id, None)
    assert states(directory) == {100: "proposed", 200: "in use"}


# What was altered


def test_a_checkpoint_that_was_altered_after_its_evaluation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0, 200: -5.0})
    own = control_gating.judge_control

    def judge_and_swap(*arguments):
        result = own(*arguments)
        # Somebody puts other weights, whole and with a manifest to match, where the judged ones were.
        folder = directory.path / "checkpoints"
        shutil.rmtree(folder / "step-100")
        shutil.copytree(folder / "step-200", folder / "step-100")
        return result

    monkeypatch.setattr(control_gating, "judge_control", judge_and_swap)
    with pytest.raises(ConflictError, match="it decided about another checkpoint than that of step 100"):
        offer(directory, 100)
    assert Releases(directory).all() == []
    assert not [path for path in (directory.path / "releases").iterdir() if path.is_dir()]


def test_a_checkpoint_of_which_a_file_was_altered_is_refused(tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    tensors = directory.path / "checkpoints/step-100/tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"SHA-256 of tensors\.safetensors does not match"):
        offer(directory, 100)
    assert Releases(directory).all() == []


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_a_release_of_which_a_file_was_altered_does_not_act(name: str, tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    release, _ = offer(directory, 100)
    path = Releases(directory).checkpoint_folder(release) / name
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b" ")
    with pytest.raises(CheckpointError):
        Deployment(directory.path, num_lanes=1)
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        Deployment(directory.path, num_lanes=1)


def test_a_world_that_breaks_down_in_the_gate_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise WorldError("the simulator is gone")

    monkeypatch.setattr(control_gating, "evaluate_policy", broken)
    with pytest.raises(RunError, match="the gate could not play its episodes: the simulator is gone"):
        run(config(EASY), tmp_path / "run")
    monkeypatch.undo()
    resume(tmp_path / "run")
    run(config(None), tmp_path / "other")
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "other")


# The command line


def test_a_checkpoint_is_gated_and_taken_back_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0, 300: -5.0})
    path = str(directory.path)
    assert main(["release", path, "--step", "100"]) == 0
    assert capsys.readouterr().out.startswith("in use: step 100, release ")
    assert main(["release", path, "--step", "300", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["step"], told["approved_by"]) == (False, 300, None)
    assert [shown["name"] for shown in told["shown"]] == ["return"]
    assert main(["release", path, "--step", "200", "--margin", "60", "--episodes", "80"]) == 0
    assert capsys.readouterr().out.startswith("proposed: step 200, release ")
    kept = next(
        one for one in GateRecords(directory).all() if one.candidate_sha256 == directory.load_checkpoint(200).sha256
    )
    assert (kept.details["config"]["margin"], len(kept.details["episodes"]["candidate"]["returns"])) == (60.0, 80)
    assert main(["rollback", path]) == 0
    said = capsys.readouterr().out
    assert "withdrawn: step 100" in said and "no release is in use now" in said
    assert states(directory)[100] == "withdrawn"
    entry = entries(directory.path / AUDIT_NAME, after=0, limit=99)[-1]
    assert (entry.person, entry.act, entry.details["step"]) == ("operator", "release.withdraw", 100)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rollback", "RUN"], "has no releases yet"),
        (["explain", "RUN"], "has no releases yet"),
        (["deploy", "RUN"], "no release of"),
        (["rollback", "RUN", "--release", "400"], "has no release '400'"),
        (["explain", "RUN", "--release", "deadbeef"], "has no release 'deadbeef'"),
        (["export", "RUN", "--release", "400"], "has no release '400'"),
        (["release", "RUN", "--step", "150"], "step-150 is refused"),
        (["release", "RUN", "--budget", "speed"], "--budget must be NAME=NUMBER, got 'speed'"),
        (["release", "RUN", "--max-cost", "heat=1", "--max-cost", "heat=2"], "--max-cost names 'heat' twice"),
        (
            ["release", "RUN", "--budget", "heat=1", "--budget", "speed=2", "--max-cost", "heat=2"],
            "max_costs.speed is missing",
        ),
        (["release", "RUN", "--margin", "-1"], r"gate.margin must be >= 0"),
        (["release", "RUN", "--budget", "heat=1", "--max-cost", "heat=2"], "has no cost 'heat'"),
        (["releases", "RUN", "--answer", "nothing"], "has no answer with the key 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_told_with_code_2_and_nothing_is_written(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    before = sorted(str(path) for path in directory.path.rglob("*"))
    assert main([str(directory.path) if word == "RUN" else word for word in arguments]) == 2
    assert words in capsys.readouterr().err
    assert sorted(str(path) for path in directory.path.rglob("*")) == before


def test_a_run_without_a_gate_has_to_be_told_the_margin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0}, config(None))
    assert main(["release", str(directory.path)]) == 2
    assert "give --margin" in capsys.readouterr().err
    assert main(["release", str(directory.path), "--margin", "10"]) == 0


def test_a_release_is_exported_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0, 200: -5.0})
    release, _ = offer(directory, 100)
    assert main(["export", str(directory.path), "--release", "100", "--out", str(tmp_path / "out")]) == 0
    exported = NumpyPolicy.load(tmp_path / "out")
    assert exported.description["origin"]["release"] == release.id
    seen = observations(20)
    expected = a_policy(config(), 5.0).act(seen, None).numpy()[:, 0]
    assert exported.act(seen).tolist() == expected.tolist()
    newest: RunConfig = config()
    assert a_policy(newest, -5.0).act(seen, None).numpy()[:, 0].tolist() != expected.tolist()


def test_a_kill_at_any_write_leaves_a_candidate_offered_or_not(tmp_path: Path) -> None:
    """And the same offer again does it, once."""
    number, was_killed = 0, True
    while was_killed:
        number += 1
        directory = a_run(tmp_path / f"run-{number}", {100: 5.0})
        was_killed = killed(number, lambda own=directory: offer(own, 100))
        assert verify(directory.path / AUDIT_NAME).is_sound or was_killed
        offer(directory, 100)
        assert verify(directory.path / AUDIT_NAME).is_sound
        assert states(directory) == {100: "in use"}
        assert len(Releases(directory).all()) == 1
        assert all(recheck_control(record).passed for record in GateRecords(directory).all())
    assert number > 8, "kills were too few to tell anything"
