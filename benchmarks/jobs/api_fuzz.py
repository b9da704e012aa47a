"""Schema-based fuzzing of the service, a process of its own on a folder with a run, as every sort of caller.

schemathesis takes the OpenAPI document from the service and sends what fits it and what does not: with a key of each
role, with sessions, and as nobody. Counted is what it calls a failure: status 5xx, and an answer whose status, type,
headers or body are not in the document. Limits on how much may be asked are lifted, so that it is not only refused.
The stream of events never ends, and is left out: `tests/unit/service/test_nasty.py` looks at that.
Prints {"server_errors", "undocumented", "calls"}. Failures go to standard error. With --serve it is the service.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.nouns import FeedbackKind, PolicyVersion, Query, Segment, stable_id
from heeler.feedback.kinds import KINDS
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.service import app, guard
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME
from heeler.service.config import ServiceConfig
from heeler.service.permissions import ROLES, SCOPES, Role
from heeler.service.runs import OVERLAP
from heeler.service.server import serve

API, PASSWORD, UNLIMITED = "/api/v1", "a password of the fuzzing", 10**6
ZERO = "0"
"""What schemathesis takes first for any text: a run and a query of this name are there."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
ENDING_PATHS = (
    "/session",
    "/session/password",
    "/keys/{key_id}",
    "/people/{person_id}",
    "/people/{person_id}/one-time-password",
    "/people/{person_id}/forget",
    "/session/forget",
)
"""Where somebody may end what they ask with: each is asked by callers of its own, and never by others."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """As whom schemathesis asks, and what."""

    role: Role | None
    """None for nobody."""
    has_session: bool = False
    """Signed in by a browser; else with a key."""
    only: str | None = None
    """One of `ENDING_PATHS`; None for all others."""

    @property
    def name(self) -> str:
        """For messages."""
        what = "nobody" if self.role is None else f"{'session' if self.has_session else 'key'} of {self.role.value}"
        return what if self.only is None else f"{what} at {self.only}"


CALLERS = (
    *(Caller(role=role, has_session=has_session) for role in Role for has_session in (False, True)),
    Caller(role=None),
    *(Caller(role=Role.ADMIN, has_session=True, only=path) for path in ENDING_PATHS),
)
CALLERS_QUICK = (Caller(role=Role.ANNOTATOR), Caller(role=Role.ADMIN, has_session=True), Caller(role=None))


def prepare(runs: Path) -> None:
    """A folder with one run that asks every kind of question."""
    path = runs / ZERO
    path.mkdir()
    (path / "config.yaml").write_text("recipe: fuzz\nseed: 0\nenv:\n  id: Pendulum-v1\n")
    (path / "metrics.jsonl").write_text("".join(f'{{"step": {step}, "update": {step}}}\n' for step in range(1, 50)))
    with Store.open(path / STORE_NAME, segments_dir=path / "segments") as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        ids = store.add_segments([_segment(place) for place in range(20)])
        asked = [_query(kind, ids, place) for place in range(10) for kind in KINDS]
        store.add_queries(asked)
        store.set_setting(OVERLAP, 100)


def _segment(place: int) -> Segment:
    rng = np.random.default_rng(place)
    observation, action, after = (rng.normal(size=(10, size)).astype(np.float32) for size in (3, 1, 3))
    return Segment(
        observation=observation,
        action=action,
        next_observation=after,
        env_id="Pendulum-v1",
        policy_version=0,
        trajectory_id=f"episode-{place}",
        start_step=0,
    )


def _query(kind: FeedbackKind, ids: Sequence[str], place: int) -> Query:
    shown = tuple(ids[(2 * place + number) % len(ids)] for number in range(KINDS[kind].num_segments))
    name = ZERO if kind == "preference" and place == 0 else stable_id("fuzz", kind, place)
    return Query(id=name, kind=kind, segment_ids=shown, policy_version=0, asked_step=0)


def be_the_service(runs: Path) -> None:
    """Serve without limits on how much is asked, and print the address."""
    for module in (app, guard):
        for name in [name for name in vars(module) if name.endswith(("_PER_S", "_BURST"))]:
            setattr(module, name, UNLIMITED)
    config = ServiceConfig(runs=runs, port=0, requests_per_s=UNLIMITED, request_burst=UNLIMITED)
    serve(config, on_start=lambda url, _: print(url, flush=True))


def headers_of(caller: Caller, accounts: Accounts, url: str) -> dict[str, str]:
    """What a new person of this sort sends with every request."""
    if caller.role is None:
        return {}
    # A program need not agree to anything first; a person does so below.
    kind = "person" if caller.has_session else "program"
    person, _ = accounts.people.add("fuzz", name=str(uuid.uuid4()), email=None, kind=kind, role=caller.role.value)
    if not caller.has_session:
        scopes = [scope for scope in SCOPES if scope in ROLES[caller.role]]
        return {"Authorization": f"Bearer {accounts.keys.add('fuzz', person, label='fuzz', scopes=scopes, days=1)[1]}"}
    accounts.people.set_password("fuzz", person.id, PASSWORD)
    text = accounts.consents.current()
    accounts.consents.add(person.id, version=text.version, text_sha256=text.text_sha256)
    answer = httpx2.post(f"{url}{API}/session", json={"name": person.name, "password": PASSWORD})
    answer.raise_for_status()
    return {"Cookie": f"heeler_session={answer.cookies['heeler_session']}", "Origin": url}


def fuzz(
    python: str, url: str, caller: Caller, headers: Mapping[str, str], *, seed: int, examples: int, quick: bool
) -> dict[str, Any]:
    """What schemathesis found.

    Raises:
        RuntimeError: it could not do its work.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [python, "-m", "schemathesis.cli", "run", f"{url}{API}/openapi.json", "--checks", ",".join(CHECKS)]
        command += ["--seed", str(seed), "--max-examples", str(examples), "--continue-on-failure", "--no-shrink"]
        command += ["--phases", "examples,coverage,fuzzing" + ("" if quick else ",stateful"), "--warnings", "off"]
        command += ["--report", "json", "--report-json-path", str(report), "--suppress-health-check", "all"]
        command += ["--generation-database", "none", "--generation-allow-x00", "true", "--request-timeout", "60"]
        command += ["--exclude-path-regex", "/events$", "--output-sanitize", "false", "--output-truncate", "false"]
        if caller.only is not None:
            command += ["--include-path", API + caller.only]
        elif caller.role is not None:
            command += [part for path in ENDING_PATHS for part in ("--exclude-path", API + path)]
        command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if not report.exists():
            raise RuntimeError(f"schemathesis failed: {ended.stdout[-3000:]}{ended.stderr[-3000:]}")
        found = json.loads(report.read_text())
        if found["errors"] or not found["complete"] or not found["test_cases"]["generated"]:
            raise RuntimeError(f"schemathesis could not work: {ended.stdout[-5000:]}")
        if found["failures"]:
            print(f"== {caller.name}\n{ended.stdout}", file=sys.stderr, flush=True)
        return found


def measure(python: str, runs: Path, *, seed: int, examples: int, quick: bool) -> dict[str, float]:
    """Ask as everybody, and count."""
    prepare(runs)
    command = [sys.executable, "-m", "benchmarks.jobs.api_fuzz", "--serve", str(runs)]
    figures = {"server_errors": 0.0, "undocumented": 0.0, "calls": 0.0}
    log = runs / "service.log"
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as service:
        assert service.stdout is not None
        try:
            url = service.stdout.readline().decode().strip()
            accounts = Accounts(runs / FILE_NAME, AuditLog(runs / AUDIT_NAME), session_idle_s=3600, session_s=3600)
            for caller in CALLERS_QUICK if quick else CALLERS:
                headers = headers_of(caller, accounts, url)
                _count(fuzz(python, url, caller, headers, seed=seed, examples=examples, quick=quick), figures)
                if caller.role is not None and caller.only is None:
                    # Who was signed out on the way would only have been refused.
                    httpx2.get(f"{url}{API}/session", headers=headers).raise_for_status()
            accounts.close()
        finally:
            service.terminate()
    print(log.read_text()[-5000:], file=sys.stderr, flush=True)
    return figures


def _count(found: Mapping[str, Any], figures: dict[str, float]) -> None:
    figures["calls"] += found["test_cases"]["generated"]
    for failure in found["failures"]:
        is_fault = "server" in json.dumps(failure).lower()
        figures["server_errors" if is_fault else "undocumented"] += 1


def main() -> None:
    """Fuzz and print, or be the service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--python", default=sys.executable, help="of the environment that has schemathesis")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=100, help="of each route and caller")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.serve is not None:
        be_the_service(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        shape = {"seed": options.seed, "examples": options.examples, "quick": options.quick}
        print(json.dumps(measure(options.python, Path(folder), **shape)))


if __name__ == "__main__":
    main()
