"""Audit logs as operators read them: both logs of a run together, newest first, and whether they are sound."""

import itertools
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.service import audit_pages
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from tests.unit.service.helpers import API, HERE, add_key, add_person, bearer, make_run


@pytest.fixture
def olga(tmp_path: Path):
    """An operator of a service that writes its log to the disk."""
    app = create_app(ServiceConfig(runs=tmp_path))
    with TestClient(app, base_url=HERE) as client:
        service = app.state.service
        make_run(tmp_path)
        client.headers |= bearer(add_key(service, add_person(service, "olga", "operator"), "read_audit", "steer"))
        yield client


def fill(folder: Path, *lines: tuple[str, str]) -> None:
    """Entries (log, act) in this order; `other` is the service's about another run."""
    logs = {"service": folder / AUDIT_NAME, "other": folder / AUDIT_NAME, "run": folder / "run" / AUDIT_NAME}
    for log, act in lines:
        AuditLog(logs[log]).append("p", act, "other" if log == "other" else "run")


def acts(client: TestClient, path: str, **query) -> list[str]:
    """All pages, one after another."""
    found: list[str] = []
    cursor = None
    for _ in range(500):
        page = client.get(API + path, params=query | ({} if cursor is None else {"cursor": cursor})).json()
        found += [item["act"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found
    raise AssertionError("there is no end")


def test_both_logs_of_a_run_the_newest_first_and_nothing_of_others(olga, tmp_path):
    fill(tmp_path, ("run", "1"), ("service", "2"), ("other", "no"), ("run", "3"), ("run", "4"), ("service", "5"))
    for limit in (1, 2, 3, 100):
        assert acts(olga, "/runs/run/audit", limit=limit) == ["5", "4", "3", "2", "1"]
    items = olga.get(f"{API}/runs/run/audit").json()["items"]
    assert [(item["log"], item["act"]) for item in items[:2]] == [("service", "5"), ("run", "4")]


def test_the_service_s_log_holds_everything_of_the_service(olga, tmp_path):
    fill(tmp_path, ("service", "a"), ("other", "b"), ("run", "no"))
    found = acts(olga, "/audit", limit=3)
    assert found[:2] == ["b", "a"]
    assert "people.add" in found
    assert "no" not in found


def test_answers_can_be_left_out(olga, tmp_path):
    fill(tmp_path, ("service", "feedback.add"), ("service", "command.pause"), ("service", "feedback.add"))
    assert acts(olga, "/runs/run/audit", answers=False) == ["command.pause"]
    assert acts(olga, "/runs/run/audit") == ["feedback.add", "command.pause", "feedback.add"]


def test_long_logs_are_searched_a_part_at_a_time(olga, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_pages, "_AT_ONCE", 3)
    monkeypatch.setattr(audit_pages, "_MAX_LOOKED_AT", 6)
    fill(tmp_path, ("service", "first"), ("run", "begin"), *[("other", "no")] * 25, ("run", "end"))
    assert acts(olga, "/runs/run/audit", limit=2) == ["end", "begin", "first"]


def test_each_log_keeps_its_order_whatever_the_clock_did(olga, tmp_path, monkeypatch):
    times = itertools.cycle([9e9, 1e9, 5e9])
    monkeypatch.setattr(time, "time", lambda: next(times))
    fill(tmp_path, *(("run", str(n)) for n in range(6)), *(("service", f"s{n}") for n in range(6)))
    monkeypatch.undo()
    found = acts(olga, "/runs/run/audit", limit=5)
    assert [act for act in found if not act.startswith("s")] == ["5", "4", "3", "2", "1", "0"]
    assert [act for act in found if act.startswith("s")] == ["s5", "s4", "s3", "s2", "s1", "s0"]


def test_a_chain_is_checked_when_asked_and_shows_what_was_changed(olga, tmp_path):
    fill(tmp_path, ("run", "begin"), ("run", "pause"), ("run", "end"))
    assert olga.get(f"{API}/runs/run/audit").json()["checks"] is None
    checks = olga.get(f"{API}/runs/run/audit", params={"check": True}).json()["checks"]
    assert [(check["log"], check["is_sound"]) for check in checks] == [("service", True), ("run", True)]
    assert checks[1]["num_entries"] == 3
    log = tmp_path / "run" / AUDIT_NAME
    log.write_bytes(log.read_bytes().replace(b'"pause"', b'"PAUSE"'))
    page = olga.get(f"{API}/runs/run/audit", params={"check": True}).json()
    checks = page["checks"]
    assert page["items"] == []
    assert not checks[1]["is_sound"]
    assert "line 2" in checks[1]["problems"][0]


def test_a_damaged_line_is_told_where_it_stands(olga, tmp_path):
    fill(tmp_path, ("run", "begin"), ("run", "end"))
    log = tmp_path / "run" / AUDIT_NAME
    log.write_bytes(log.read_bytes().replace(b'"begin"', b'"BEGIN"'))
    answer = olga.get(f"{API}/runs/run/audit")
    assert answer.status_code == 503
    assert "the line from byte 0 on is damaged" in answer.json()["detail"]


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", "-1.2", "1.²", "9" * 20 + ".1"])
def test_cursors_that_are_none(olga, cursor):
    answer = olga.get(f"{API}/runs/run/audit", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_a_run_without_a_log_has_none(olga):
    page = olga.get(f"{API}/runs/run/audit", params={"check": True}).json()
    assert page["items"] == []
    assert [check["is_sound"] for check in page["checks"]] == [True, True]


def test_names_are_those_of_people_who_steer(olga, tmp_path):
    service = olga.app.state.service
    add_person(service, "ann", "annotator")
    add_person(service, "ada", "admin")
    assert sorted(item["name"] for item in olga.get(f"{API}/operators").json()["items"]) == ["ada", "admin", "olga"]
