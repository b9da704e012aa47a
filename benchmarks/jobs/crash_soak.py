"""A run that people answer, whose service and learner are killed at random; every process is a real one.

`heeler serve` and `heeler run preferences --teacher people` work on one folder; programs answer for 20 people over
HTTP. At random moments, some of them while it starts, `kill -9` hits the service, the learner or both, and what was
hit is started by the same command again. Now and then, and at the end, all is compared: see `soak_check`. A kill is
not a power cut: what the kernel had taken stays.
Prints {"kills", "lost", "doubled", "manual_repairs", "other_faults", ...}. What happens goes to standard error, a JSON
object a line.
"""

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.jobs import soak_check
from benchmarks.jobs.soak_check import Findings
from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME

RUN, STORE = "run", "heeler.db"
NUM_PROGRAMS, PEOPLE_EACH, OVERLAP, LEASE_S = 4, 5, 16, 8.0
CHECK_EVERY, START_WITHIN_S, END_WITHIN_S = 10, 60.0, 120.0
LEARN = (
    "--env Pendulum-v1 --teacher people --acquisition random --budget 20000 --total-steps 4000000 "
    "--set env.num_envs=4 --set num_steps=25 --set checkpoint_every=2 --set algorithm.num_epochs=1 "
    "--set preferences.schedule.initial_share=0.0005 --set preferences.schedule.decay_share=10 "
    "--set preferences.num_warmup_rollouts=2 --set preferences.num_candidates=2 --set preferences.refit_every=20 "
    "--set preferences.segment_length=10 --set preferences.model.num_members=1 "
    "--set preferences.model.hidden_sizes=[8] --set preferences.model.max_epochs=2"
)


class Program:
    """A command that is started again by itself whenever it has ended.

    Args:
        name: in the log.
        command: to start it, always the same.
        log: takes what it prints.
    """

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self._command, self._log = name, command, log
        self.num_own_exits = self._in_a_row = 0

    def start(self) -> None:
        """Start it."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._started_s = time.monotonic()

    def kill(self) -> None:
        """kill -9, and wait until it has gone."""
        self._process.kill()
        self._process.wait()
        self._in_a_row = 0

    def wait(self, timeout_s: float) -> int:
        """Its exit code."""
        return self._process.wait(timeout_s)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def look_after(self) -> bool:
        """Start it again where it ended by itself; False where that was in vain three times in a row."""
        code = self._process.poll()
        if code is None:
            return True
        self.num_own_exits += 1
        self._in_a_row += 1
        tell("own_exit", program=self.name, code=code, output=self._log.read_text()[-1500:])
        if self._in_a_row >= 3:
            return False
        time.sleep(0.5)
        self.start()
        return True


class Soak:
    """Everything of one seed.

    Args:
        folder: of runs, empty.
        seed: of what is killed when, and of what is answered.
        num_kills: how often.
    """

    def __init__(self, folder: Path, seed: int, num_kills: int) -> None:
        self.folder, self.runs, self.seed, self.num_kills = folder, folder / "runs", seed, num_kills
        self.run = self.runs / RUN
        self.runs.mkdir()
        self.rng = random.Random(seed)
        self.port = _free_port()
        heeler = [sys.executable, "-m", "heeler"]
        serve = [*heeler, "serve", str(self.runs), "--port", str(self.port)]
        learn = [
            *heeler,
            "run",
            "preferences",
            "--no-serve",
            *LEARN.split(),
            "--seed",
            str(seed),
            "--run-dir",
            str(self.run),
        ]
        self.service = Program("service", serve, folder / "service.log")
        self.learner = Program("learner", learn, folder / "learner.log")
        self.findings = Findings()
        self.kills = self.num_checks = self.repairs = self.position = 0
        self.logs = [folder / f"client-{number}.jsonl" for number in range(NUM_PROGRAMS)]
        self.clients: list[subprocess.Popen[str]] = []

    def measure(self) -> dict[str, float]:
        """Kill, look and end."""
        people, boss = make_people(self.runs)
        began = time.monotonic()
        try:
            self.service.start()
            self.learner.start()
            self._begin(people, boss)
            while self.kills < self.num_kills and not self.repairs:
                self._kill_one()
            if not self.repairs:
                self._end(boss)
        finally:
            for process in (*self.clients, self.service, self.learner):
                process.kill()
        return self._figures(time.monotonic() - began)

    def _begin(self, people: list[dict[str, str]], boss: str) -> None:
        """Wait for the store, say how people are asked, and let them begin."""
        self._wait_for(lambda: (self.run / STORE).exists(), START_WITHIN_S, "the learner makes its store")
        settings = {"overlap": OVERLAP, "lease_s": LEASE_S}
        self._wait_for(lambda: self._asked("PATCH", "/settings", boss, settings), START_WITHIN_S, "settings are taken")
        for log, some in zip(self.logs, people, strict=True):
            log.touch()
            client = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.jobs.soak_clients", str(log)], stdin=subprocess.PIPE, text=True
            )
            assert client.stdin is not None
            told = {"url": f"http://127.0.0.1:{self.port}", "run": RUN, "seed": self.seed, "people": some}
            client.stdin.write(json.dumps(told) + "\n")
            client.stdin.flush()
            self.clients.append(client)

    def _asked(self, method: str, path: str, key: str, body: Any = None) -> bool:
        """Whether the service did what it was asked."""
        url = f"http://127.0.0.1:{self.port}/api/v1/runs/{RUN}{path}"
        try:
            headers = {"Authorization": f"Bearer {key}"}
            return httpx2.request(method, url, json=body, headers=headers, timeout=20).status_code == 200
        except httpx2.TransportError:
            return False

    def _kill_one(self) -> None:
        # Every fourth comes while what was killed before is still starting.
        self._watch(self.rng.uniform(0.0, 1.5) if self.rng.random() < 0.25 else self.rng.uniform(1.0, 6.0))
        if self.repairs:
            return
        hit = self.rng.choices([(self.service,), (self.learner,), (self.service, self.learner)], (5, 3, 2))[0]
        for program in hit:
            program.kill()
        self.kills += 1
        is_check = self.learner in hit and self.kills // CHECK_EVERY > self.num_checks
        tell("kill", number=self.kills, programs=[program.name for program in hit])
        if is_check:
            self._check()
        for program in hit:
            program.start()

    def _watch(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._look_after()
            time.sleep(min(0.1, max(0.0, deadline - time.monotonic())))

    def _look_after(self) -> None:
        for program in (self.service, self.learner):
            if not self.repairs and not program.look_after():
                self.repairs += 1
                tell("repair", program=program.name)

    def _wait_for(self, condition: Any, timeout_s: float, what: str) -> None:
        """Wait; what does not come although both programs are up would need somebody to look after it."""
        deadline = time.monotonic() + timeout_s
        while not self.repairs and not condition():
            self._look_after()
            if time.monotonic() > deadline:
                self.repairs += 1
                tell("repair", waited_for=what)
            time.sleep(0.1)

    def _check(self) -> None:
        """Compare everything; the learner is not at work."""
        self.num_checks += 1
        clients, found = soak_check.told(self.logs), Findings()
        answers = soak_check.check_store(self.run / STORE, clients, found)
        soak_check.check_audit(self.runs / AUDIT_NAME, len(answers), found)
        checkpoint, position = soak_check.newest_checkpoint(self.run), 0
        if checkpoint is not None:
            position = soak_check.check_learner(checkpoint, answers, found)
            if position < self.position:
                found.other.append(f"the learner's checkpoint went back from {self.position} to {position}")
            self.position = position
        verify = [sys.executable, "-m", "heeler", "audit", "verify", str(self.runs)]
        ended = subprocess.run(verify, capture_output=True, text=True)
        if ended.returncode != 0:
            found.other.append(f"heeler audit verify: {ended.stdout}{ended.stderr}")
        done = {"acknowledged": len(clients.acknowledged), "sent": len(clients.sent), "refused": len(clients.refused)}
        step = "" if checkpoint is None else checkpoint.name
        tell("check", answers=len(answers), **done, checkpoint=step, position=position, found=vars(found))
        self.findings.add(found)

    def _end(self, boss: str) -> None:
        """See all answers through to the learner, stop both, and compare for the last time."""
        for client in self.clients:
            assert client.stdin is not None
            client.stdin.write("end\n")
            client.stdin.flush()
        self._wait_for(lambda: all(c.poll() is not None for c in self.clients), END_WITHIN_S, "clients end")
        last = max((row[0] for row in soak_check.rows(self.run / STORE)), default=0)
        self._wait_for(
            lambda: soak_check.consumed(self.run / STORE) >= last, END_WITHIN_S, "the learner takes all answers in"
        )
        stop = {"id": "00000000-0000-4000-8000-000000000000", "kind": "stop", "value": None}
        self._wait_for(lambda: self._asked("POST", "/commands", boss, stop), START_WITHIN_S, "stop is taken")
        if self.repairs:
            return
        learner_code = self.learner.wait(END_WITHIN_S)
        self.service.terminate()
        service_code = self.service.wait(END_WITHIN_S)
        tell("end", learner_code=learner_code, service_code=service_code)
        self._check()
        if self.position < last:
            self.findings.lost.append(f"the learner read up to {self.position}, there are {last} answers")
        # uvicorn closes everything and then lets the signal end it.
        if service_code not in (0, -signal.SIGTERM):
            self.findings.other.append(f"the service ended with exit code {service_code}")

    def _figures(self, wall_s: float) -> dict[str, float]:
        clients = soak_check.told(self.logs)
        tell("findings", **vars(self.findings))
        return {
            "kills": self.kills,
            "lost": len(self.findings.lost),
            "doubled": len(self.findings.doubled),
            "manual_repairs": self.repairs,
            "other_faults": len(self.findings.other),
            "own_exits": self.service.num_own_exits + self.learner.num_own_exits,
            "checks": self.num_checks,
            "acknowledged": len(clients.acknowledged),
            "refused": len(clients.refused),
            "consumed": self.position,
            "soak_s": wall_s,
        }


def make_people(runs: Path) -> tuple[list[dict[str, str]], str]:
    """Keys of the people by id, a mapping for each program; and the key of who changes settings and stops the run."""
    accounts = Accounts(runs / FILE_NAME, AuditLog(runs / AUDIT_NAME), session_idle_s=3600, session_s=3600)

    def key(name: str, role: str, *scopes: str) -> tuple[str, str]:
        person, _ = accounts.people.add("benchmark", name=name, email=None, kind="program", role=role)
        return person.id, accounts.keys.add("benchmark", person, label="soak", scopes=scopes, days=1)[1]

    people = [
        dict(key(f"person {program}.{place}", "annotator", "answer") for place in range(PEOPLE_EACH))
        for program in range(NUM_PROGRAMS)
    ]
    _, boss = key("boss", "admin", "steer", "settings")
    accounts.close()
    return people, boss


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def tell(event: str, **details: Any) -> None:
    """A line on standard error."""
    print(json.dumps({"event": event, "at_s": round(time.monotonic(), 2), **details}), file=sys.stderr, flush=True)


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, which stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(Soak(options.keep or Path(folder), options.seed, options.kills).measure()))


if __name__ == "__main__":
    main()
