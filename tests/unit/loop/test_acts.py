"""What a learner did stands in its run's audit log, whatever becomes of it."""

import os
from pathlib import Path

import pytest

from heeler.core.audit import AUDIT_NAME, AuditEntry, AuditLog, entries, verify
from heeler.core.errors import LearningError, RunError, RunStopped
from heeler.core.rundir import RunDirectory
from heeler.loop.acts import Acts
from heeler.loop.online import OnlineRun
from heeler.loop.running import resume, run
from tests.unit.loop.test_steering import STEPS, Operator
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


def log_of(path: Path) -> list[AuditEntry]:
    assert verify(path / AUDIT_NAME).problems == ()
    return entries(path / AUDIT_NAME, after=0, limit=100)


def test_a_run_begins_and_ends_in_its_log(tmp_path):
    run(tiny_preferences(), tmp_path / "run")
    begun, finished = log_of(tmp_path / "run")
    assert (begun.act, begun.person, begun.subject) == ("run.begin", "learner", "run")
    assert begun.details == {"step": 0, "recipe": "preferences", "env": "Pendulum-v1", "seed": 0, "people": False}
    checkpoint, _ = RunDirectory.open(tmp_path / "run").newest_checkpoint()
    assert checkpoint is not None
    assert finished.details == {"step": 12 * STEPS, "checkpoint_sha256": checkpoint.sha256}


def test_every_command_is_told_with_who_asked_and_what_became_of_it(tmp_path):
    operator = Operator(tmp_path / "run", u3=("pause", None), u5=("roll_back", 999), u7=("stop", None))
    operator.on_paused = lambda: operator.tell("resume")
    with pytest.raises(RunStopped):
        run(tiny_preferences(), operator.path, on_metrics=operator)
    resume(operator.path)
    found = log_of(operator.path)
    assert [entry.act for entry in found] == [
        "run.begin",
        "command.obeyed",
        "command.obeyed",
        "command.refused",
        "command.obeyed",
        "run.stop",
        "run.resume",
        "run.finish",
    ]
    commands = [entry.details for entry in found if entry.act.startswith("command")]
    with operator.store() as store:
        kept = [command for _, command in reversed(store.commands(limit=9))]
    assert [c["id"] for c in commands] == [command.id for command in kept]
    assert [c["outcome"] for c in commands] == [command.outcome for command in kept]
    assert {c["asked_by"] for c in commands} == {"op"}
    assert found[5].details == {"step": 7 * STEPS}
    assert found[6].details["step"] == 7 * STEPS


def test_what_diverges_is_told_and_raised(tmp_path, monkeypatch):
    def diverge(online):
        raise LearningError("learning diverged in update 1: kl is no longer a finite number")

    monkeypatch.setattr(OnlineRun, "iterate", diverge)
    with pytest.raises(LearningError):
        run(tiny_ppo(), tmp_path / "run")
    assert [entry.act for entry in log_of(tmp_path / "run")] == ["run.begin", "run.diverge"]
    assert "kl is no longer" in log_of(tmp_path / "run")[-1].details["problem"]


def test_a_keyboard_s_interrupt_is_told(tmp_path):
    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_ppo(), tmp_path / "run", on_metrics=interrupt)
    assert log_of(tmp_path / "run")[-1].act == "run.interrupt"


def test_a_log_that_cannot_be_written_stops_a_run_before_it_begins(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    run(tiny_ppo(), path)
    log = path / AUDIT_NAME
    content = log.read_bytes()
    log.write_bytes(content.replace(b"run.begin", b"run.bogus"))
    metrics = (path / "metrics.jsonl").read_bytes()
    (path / "audit.head").unlink()
    with pytest.raises(RunError, match="audit"):
        resume(path)
    assert (path / "metrics.jsonl").read_bytes() == metrics


def test_a_full_disk_leaves_a_command_to_be_obeyed_again(tmp_path, monkeypatch):
    """Nothing is acknowledged that does not stand in the log."""
    operator = Operator(tmp_path / "run", u5=("set_budget", 30))
    append = AuditLog.append

    def full(log, person, act, *subject, **details):
        if act == "command.obeyed":
            raise RunError(f"cannot write {log.path}: {os.strerror(28)}; make it writable and free some space")
        return append(log, person, act, *subject, **details)

    monkeypatch.setattr(AuditLog, "append", full)
    with pytest.raises(RunError, match=r"audit.jsonl: No space left on device; make it writable and free some space"):
        run(tiny_preferences(), operator.path, on_metrics=operator)
    assert operator.outcomes() == [None]
    monkeypatch.undo()
    resume(operator.path)
    assert operator.outcomes() == ["the budget is 30 comparisons; it was 24"]
    acts = [entry.act for entry in log_of(operator.path)]
    assert acts == ["run.begin", "run.fail", "run.resume", "command.obeyed", "run.finish"]


def test_words_that_are_too_long_are_cut(tmp_path):
    directory = RunDirectory.create(tmp_path / "run", {})
    acts = Acts(directory)

    class Somewhere:
        step = 7

    with pytest.raises(RunError), acts.ending(Somewhere()):
        raise RunError("x" * 100_000)
    assert len(log_of(directory.path)[-1].details["problem"]) == 1000
