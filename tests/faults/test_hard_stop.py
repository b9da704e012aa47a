"""A learner that hangs is ended from outside; its run tells by whom, is whole, and goes on as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, AuditEntry, entries, verify
from heeler.core.errors import ConflictError
from heeler.core.hard_stop import hard_stop
from heeler.core.processes import Process, is_alive
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.loop.running import resume, run
from tests.faults.hanging_run import config
from tests.faults.test_run_kill import ROOT, assert_same_run
from tests.unit.service.helpers import API, Served, make_keys

SCRIPT = Path(__file__).parent / "hanging_run.py"
PLACES = os.pathsep.join(str(ROOT / name) for name in ("src", "."))
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PLACES}


def started(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(SCRIPT), str(path), *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def hung(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A learner that hangs, and answers no signal that could be answered."""
    learner = started(path, *arguments)
    assert learner.stdout is not None
    assert learner.stdout.readline() == "hangs\n"
    for number in (signal.SIGINT, signal.SIGTERM):
        learner.send_signal(number)
    time.sleep(0.1)
    assert learner.poll() is None
    return learner


def over(learner: "subprocess.Popen[str]") -> int:
    assert learner.stdout is not None
    with learner.stdout:
        return learner.wait(30)


def log_of(path: Path) -> list[AuditEntry]:
    assert verify(path / AUDIT_NAME).problems == ()
    return entries(path / AUDIT_NAME, after=0, limit=1000)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    run(config(), path)
    return path


@pytest.fixture
def learners() -> "Iterator[list[subprocess.Popen[str]]]":
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for learner in begun:
        learner.kill()
        learner.wait()
        assert learner.stdout is not None
        learner.stdout.close()


@pytest.mark.parametrize("holding", [(), ("store",), ("audit",), ("store", "audit")])
def test_a_learner_that_hangs_in_c_code_is_ended(tmp_path, uninterrupted, learners, holding):
    path = tmp_path / "run"
    learner = hung(path, *(word for name in holding for word in ("--holding", name)))
    learners.append(learner)
    command = [sys.executable, "-m", "heeler", "stop", str(path), "--hard"]
    stopper = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert stopper.returncode == 0, stopper.stderr
    assert stopper.stdout.startswith(f"process {learner.pid} ended within ")
    assert f"go on with it by: heeler resume {path}" in stopper.stdout
    assert over(learner) == -signal.SIGKILL
    found = log_of(path)
    torn = ["audit.torn"] if "audit" in holding else []
    assert [entry.act for entry in found] == ["run.begin", *torn, "run.hard_stop"]
    assert (found[-1].person, found[-1].details["pid"]) == ("command-line", learner.pid)
    with Store.open(path / STORE_NAME, segments_dir=None) as store:
        ((_, kept),) = store.commands(limit=9)
        assert (kept.kind, kept.person, kept.id) == ("hard_stop", "command-line", found[-1].details["id"])
        assert kept.outcome is not None
        assert kept.outcome.startswith(f"process {learner.pid} ended within")
        assert store.open_commands() == [], "nothing is left that would stop who resumes"
    resume(path)
    assert_same_run(path, uninterrupted)


def test_it_takes_less_than_a_second(tmp_path, learners):
    """Of the process itself; what is loaded to tell the store comes after that."""
    path = tmp_path / "run"
    learner = hung(path)
    learners.append(learner)
    stop = hard_stop(RunDirectory.open(path), str(uuid.uuid4()), "op")
    assert stop.took_s is not None
    assert stop.took_s < 1
    over(learner)


def test_workers_of_a_world_end_with_the_learner(tmp_path, learners):
    path = tmp_path / "run"
    learner = hung(path, "--workers")
    learners.append(learner)
    stop = hard_stop(RunDirectory.open(path), str(uuid.uuid4()), "op")
    over(learner)
    # Two copies of the world; and what Python's own machinery of processes has started.
    assert stop.num_processes >= 3
    assert "that it had started" in stop.outcome
    assert not RunDirectory.open(path).is_locked()
    resume(path)
    assert RunDirectory.open(path).metrics()[-1]["update"] == 6


def test_stopped_hard_at_any_moment_again_and_again(tmp_path, uninterrupted, learners):
    """While it begins, collects, learns, saves and writes its log."""
    path, moments = tmp_path / "run", random.Random(0)
    num_stops = 0
    for _ in range(4):
        learner = started(path, "--at", "-1")
        learners.append(learner)
        deadline_s = time.monotonic() + 60
        while not (path / "config.yaml").exists() or not RunDirectory(path).is_locked():
            if learner.poll() is not None:
                break
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.4))
        try:
            hard_stop(RunDirectory.open(path), str(uuid.uuid4()), "op")
            num_stops += 1
        except ConflictError:
            assert over(learner) == 0, "it was done before"
            break
        assert over(learner) == -signal.SIGKILL
        # Whatever it was doing, the log is whole and says so.
        assert log_of(path)[-1].act == "run.hard_stop"
    resume(path)
    assert_same_run(path, uninterrupted)
    assert [entry.act for entry in log_of(path)].count("run.hard_stop") == num_stops


def test_the_service_beside_a_run_stops_it_hard(tmp_path, learners):
    path = tmp_path / "runs" / "run"
    path.parent.mkdir()
    learner = hung(path, "--holding", "store", "--holding", "audit")
    learners.append(learner)
    (key,) = make_keys(path.parent, "operator", "steer", "read_runs", "read_audit")
    with Served(path.parent) as served, httpx2.Client(base_url=served.url + API, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        body = {"id": str(uuid.uuid4()), "kind": "hard_stop", "value": None}
        answer = client.post("/runs/run/commands", json=body)
        assert answer.status_code == 200, answer.text
        assert over(learner) == -signal.SIGKILL
        told = answer.json()
        assert told["outcome"].startswith(f"process {learner.pid} ended within")
        assert client.get("/runs/run/commands").json()["items"] == [told]
        assert client.get("/runs/run").json()["state"] == "stopped"
        alarms = [alarm["name"] for alarm in client.get("/runs/run/alarms").json()["items"]]
        assert "learner_gone" not in alarms, "somebody stopped it"
        audit = client.get("/runs/run/audit", params={"check": True}).json()
        acts = [(entry["log"], entry["act"]) for entry in audit["items"]]
        assert ("run", "run.hard_stop") in acts
        assert ("service", "command.hard_stop") in acts
        assert all(check["is_sound"] for check in audit["checks"])
        # The same again is answered the same, and ends nobody; a new one finds nobody.
        assert client.post("/runs/run/commands", json=body).json() == told
        body["id"] = str(uuid.uuid4())
        refused = client.post("/runs/run/commands", json=body)
        assert (refused.status_code, "no learner is at work" in refused.json()["detail"]) == (409, True)
    resume(path)


def test_another_process_that_has_the_learner_s_number_is_let_be(tmp_path, capsys):
    """The learner was killed by other means, and its number went to another program."""
    path = tmp_path / "run"
    run(config(), path)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        old = Process(pid=bystander.pid, started=1, boot="", namespace="", host="here")
        (path / ".lock").write_text(json.dumps(old.to_dict()))
        assert main(["stop", str(path), "--hard"]) == 2
        assert "no learner is at work" in capsys.readouterr().err
        assert bystander.poll() is None
        assert not is_alive(old)
    finally:
        bystander.kill()
        bystander.wait()
