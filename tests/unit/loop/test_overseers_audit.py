"""What overseers objected to in a run stands in its audit log with the evidence, and in its report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.core.audit import AUDIT_NAME, AuditEntry, entries, verify
from heeler.core.errors import RunHalted
from heeler.core.rundir import RunDirectory
from heeler.core.verdict import Verdict
from heeler.loop.overseers.objections import Objections, plain
from heeler.loop.overseers.settings import OverseersConfig, OwnOverseer
from heeler.loop.overseers.telling import read_objections
from heeler.loop.report import write_report
from heeler.loop.running import resume, run
from tests.unit.core.test_releases import killed
from tests.unit.loop.tiny import tiny_ppo

RULES = """
rules:
  - {name: no push <b>right</b> while leaning, when: "action[0] == 1 and observation[2] > 0"}
"""
OWN = """
import numpy as np
from heeler.core.verdict import Verdict

def halts(evidence):
    if evidence.step >= 1500:
        told = {"angle": evidence.observation[2], "seen": evidence.observation}
        return Verdict(decision="halt", reason="enough", evidence=told)
    return False
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def ruled(folder: Path, **settings: Any) -> OverseersConfig:
    return OverseersConfig(rules=str(folder / "rules.yaml"), **settings)


def halting(folder: Path) -> OverseersConfig:
    return ruled(folder, own=(OwnOverseer(function=f"{folder / 'own.py'}:halts"),))


def lines(run_path: Path, act: str = "overseers.object") -> list[AuditEntry]:
    return [entry for entry in entries(run_path / AUDIT_NAME, after=0, limit=999) if entry.act == act]


def test_each_update_s_vetoes_stand_in_the_log_with_the_first_few_in_full(folder: Path) -> None:
    result = run(tiny_ppo(overseers=ruled(folder)), folder / "run")
    rows = RunDirectory.open(result.path).metrics()
    told = lines(result.path)
    assert [line.details["step"] for line in told] == [row["step"] for row in rows]
    assert [line.details["vetoed"] for line in told] == [round(row["overseers/vetoed"] * 512) for row in rows]
    for line in told:
        assert line.person == "learner"
        assert line.details["by"] == {"ethics": line.details["vetoed"]}
        assert len(line.details["first"]) == 5
        for one in line.details["first"]:
            assert line.details["step"] - 512 <= one["step"] < line.details["step"]
            assert 0 <= one["copy"] < 8
            assert one["evidence"]["overseers"]["ethics"]["rule"] == "no push <b>right</b> while leaning"
    assert verify(result.path / AUDIT_NAME).is_sound


def test_a_halt_stands_there_with_its_evidence_and_with_what_was_vetoed_before_it(folder: Path) -> None:
    with pytest.raises(RunHalted):
        run(tiny_ppo(overseers=halting(folder)), folder / "run")
    (halt,) = lines(folder / "run", "run.halt")
    assert halt.details["problem"].endswith("halts: enough")
    told = halt.details["evidence"]["overseers"]["halts"]
    assert told["angle"] == pytest.approx(told["seen"][2])
    *whole, given_up = lines(folder / "run")
    assert [line.details["step"] for line in whole] == [512, 1024]
    assert given_up.details["step"] == 1024 and given_up.details["given_up"] is True
    assert given_up.details["vetoed"] > 0
    found = read_objections(folder / "run")
    assert found is not None
    assert [one.step for one in found.halts] == [1024]
    # Whoever goes on meets the same halt, and the same stretch before it counts once.
    with pytest.raises(RunHalted):
        resume(folder / "run")
    again = read_objections(folder / "run")
    assert again is not None and again.num_vetoed == found.num_vetoed and len(again.halts) == 2


@pytest.mark.slow
@pytest.mark.parametrize("at", [8, 14, 23, 29, 37, 40])
def test_a_run_that_was_killed_at_any_write_tells_the_same(at: int, folder: Path) -> None:
    config = tiny_ppo(overseers=ruled(folder), checkpoint_every=2)
    run(config, folder / "whole")
    assert killed(at, lambda: run(config, folder / "cut"))
    run(config, folder / "cut")
    assert read_objections(folder / "cut") == read_objections(folder / "whole")
    assert verify(folder / "cut" / AUDIT_NAME).is_sound


def test_the_report_shows_them(folder: Path) -> None:
    with pytest.raises(RunHalted):
        run(tiny_ppo(overseers=halting(folder)), folder / "run")
    page = write_report(folder / "run").read_text()
    found = read_objections(folder / "run")
    assert found is not None
    assert f"{found.num_vetoed:,} steps were vetoed and 0 modified; objections: ethics {found.num_vetoed:,}." in page
    assert "halts: enough" in page and "&quot;angle&quot;" in page
    assert "no push &lt;b&gt;right&lt;/b&gt; while leaning" in page
    run(tiny_ppo(), folder / "bare")
    assert "<h2>Overseers</h2>" not in write_report(folder / "bare").read_text()


def test_a_run_in_which_nobody_objects_tells_nothing(folder: Path) -> None:
    (folder / "rules.yaml").write_text("rules: [{name: never, when: 'action[0] == 7'}]")
    run(tiny_ppo(overseers=ruled(folder)), folder / "run")
    assert lines(folder / "run") == []
    assert read_objections(folder / "run") is None


class Odd:
    def __str__(self) -> str:
        raise ZeroDivisionError("no words")


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"a": np.float32(1.5), "b": np.arange(2), "c": None}, {"a": 1.5, "b": [0, 1], "c": None}),
        ({"a": {1, 2}}, {"a": "{1, 2}"}),
        ({"a": float("nan")}, {"a": "NaN"}),
        ({"a": Odd()}, {"unreadable": "ZeroDivisionError: no words"}),
        ({"a": "x" * 5000}, {"cut": '{"a": "' + "x" * 3993}),
    ],
)
def test_whatever_an_overseer_s_evidence_is_the_log_takes_it(evidence: dict[str, Any], told: dict[str, Any]) -> None:
    assert plain(evidence) == told
    json.dumps(told, allow_nan=False)


def test_a_reason_of_any_length_fits_into_a_line() -> None:
    objections = Objections()
    for copy in range(9):
        evidence = {"overseers": {"own": {"long": "é" * 3000}}}
        verdict = Verdict(decision="veto", reason="é" * 90_000, evidence=evidence)
        objections.add(verdict, "veto", step=1, copy=copy)
    told = objections.take()
    assert told is not None and told["vetoed"] == told["by"]["own"] == 9
    assert len(json.dumps(told)) < 60_000
    assert objections.take() is None
