"""What was done to a run stands in its report: what, when, and whether by a rule or a person."""

from pathlib import Path

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.loop.report_interventions import interventions_section, interventions_to_show


def test_acts_of_rules_and_people_are_told_and_no_person_is_named(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / AUDIT_NAME)
    log.append("learner", "run.begin", "run", step=0)
    log.append("learner", "intervention.slow", "run", step=2048, monitor="cost_drift", reason="cost_drift: rises")
    log.append("learner", "intervention.freeze", "run", step=4096, instead_of="roll_back", problem="<no> checkpoint")
    log.append("ann", "command.thaw", "run", id="a", because="ann looked")
    log.append("learner", "command.obeyed", "run", id="a", kind="thaw", asked_by="ann", outcome="learns freely")
    log.append("learner", "command.refused", "run", id="b", kind="fall_back", asked_by="ann", outcome="nothing trusted")
    log.append("ann", "run.hard_stop", "run", id="c", pid=7, num_processes=1, asked_unix_s=1.0, took_s=0.1)
    found = interventions_to_show(tmp_path)
    assert [(one.by, one.act, one.about) for one in found] == [
        ("a rule", "slow", "at step 2,048; cost_drift: rises"),
        ("a rule", "freeze", "at step 4,096; in place of roll back; <no> checkpoint"),
        ("a person", "thaw", "learns freely"),
        ("a person", "fall back (refused)", "nothing trusted"),
        ("a person", "hard stop", "process 7 was ended"),
    ]
    page = interventions_section(found)
    assert page.index("process 7 was ended") < page.index("cost_drift: rises"), "the newest first"
    assert "&lt;no&gt; checkpoint" in page
    assert "ann" not in page


def test_a_run_that_was_left_alone_has_no_such_section(tmp_path: Path) -> None:
    assert interventions_section(interventions_to_show(tmp_path)) == ""


def test_many_are_cut_and_counted(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / AUDIT_NAME)
    for step in range(103):
        log.append("learner", "intervention.warn", "run", step=step, reason="odd")
    page = interventions_section(interventions_to_show(tmp_path))
    assert page.count("<tr><td>") == 100
    assert "And 3 before." in page
