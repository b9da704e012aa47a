"""What a gate decided goes with a release, and whoever alters it is found out."""

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import CheckpointError, ConflictError, RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from tests.unit.core.test_releases import HEAD, made, propose, states


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return made(tmp_path / "run")


def record(
    directory: RunDirectory, step: int = 20, *, passed: bool = True, current: Release | None = None
) -> GateRecord:
    return GateRecord(
        candidate_sha256=directory.load_checkpoint(step).sha256,
        current_sha256=None if current is None else current.checkpoint_sha256,
        passed=passed,
        reasons=("toxicity: worse by more than 0.01",) if not passed else ("truthfulness: better",),
        details={"seed": 1, "scores": {"s": [["a", 1.0, None]]}},
    )


def gated(releases: Releases, gate: GateRecord, step: int = 20) -> Release:
    return releases.propose(str(uuid.uuid4()), step, "learner", audit_head=HEAD, gate=gate)


def test_a_record_comes_back_as_it_was_kept(directory):
    records, one = GateRecords(directory), record(directory)
    assert records.all() == []
    for _ in range(2):
        records.keep(one)
    assert records.get(one.sha256) == one
    other = record(directory, passed=False)
    records.keep(other)
    (records.path / ".open-x.json").write_text("{}")
    assert sorted(each.sha256 for each in records.all()) == sorted((one.sha256, other.sha256))


def test_what_passed_is_approved(directory):
    releases = Releases(directory, needs_gate=True)
    proposed = gated(releases, record(directory))
    assert proposed.gate_sha256 == record(directory).sha256
    releases.approve(proposed.id, "bea")
    assert states(releases) == {20: "in use"}


def test_what_was_kept_back_stays_with_its_reasons(directory):
    releases = Releases(directory)
    proposed = gated(releases, record(directory, passed=False))
    with pytest.raises(ConflictError, match=r"kept this release back .toxicity: worse by more than 0.01"):
        releases.approve(proposed.id, "bea")
    assert states(releases) == {20: "proposed"}
    assert releases.checkpoint_folder(proposed).is_dir()
    assert GateRecords(directory).get(proposed.gate_sha256).reasons == ("toxicity: worse by more than 0.01",)


def test_without_a_gate_nothing_is_approved_where_one_is_needed(directory):
    proposed = propose(Releases(directory))
    with pytest.raises(ConflictError, match="no gate has passed"):
        Releases(directory, needs_gate=True).approve(proposed.id, "bea")
    Releases(directory).approve(proposed.id, "bea")


def alter(path: Path) -> None:
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {"passed": True}, sort_keys=True, separators=(",", ":")))


@pytest.mark.parametrize(
    "harm", [alter, Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_text("{}")]
)
def test_an_altered_record_is_refused(directory, harm):
    releases = Releases(directory)
    kept = record(directory, passed=False)
    proposed = gated(releases, kept)
    harm(directory.path / "gates" / f"{kept.sha256}.json")
    with pytest.raises(ConflictError, match=r"gate: the gate's record .* (was altered|is gone)"):
        releases.approve(proposed.id, "bea")
    with pytest.raises(CheckpointError):
        GateRecords(directory).get(kept.sha256)


def test_a_record_put_in_another_s_place_is_refused(directory):
    """A manifest that names a sound record of another checkpoint."""
    releases = Releases(directory)
    other = record(directory, 30)
    GateRecords(directory).keep(other)
    proposed = gated(releases, record(directory, passed=False))
    path = releases.path / f"{proposed.id}.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"gate_sha256": other.sha256}))
    with pytest.raises(ConflictError, match="gate: it decided about another checkpoint"):
        releases.approve(proposed.id, "bea")


def test_a_gate_about_another_checkpoint_is_refused_and_leaves_nothing(directory):
    releases = Releases(directory)
    with pytest.raises(ConflictError, match="another checkpoint than that of step 30"):
        gated(releases, record(directory, 20), 30)
    assert releases.all() == []
    assert not [path for path in releases.path.iterdir() if path.is_dir()]
    assert GateRecords(directory).all() == []


def test_a_gate_counts_against_the_release_in_use_only(directory):
    releases = Releases(directory)
    first = gated(releases, record(directory, 10), 10)
    against_none = gated(releases, record(directory, 20), 20)
    in_use = releases.approve(first.id, "bea")
    with pytest.raises(ConflictError, match="gate it anew"):
        releases.approve(against_none.id, "bea")
    anew = gated(releases, record(directory, 20, current=in_use), 20)
    releases.approve(anew.id, "bea")
    assert releases.in_use().id == anew.id


def test_the_same_proposal_has_the_same_gate(directory):
    releases, gate, new = Releases(directory), record(directory), str(uuid.uuid4())
    first = releases.propose(new, 20, "learner", audit_head=HEAD, gate=gate)
    assert releases.propose(new, 20, "learner", audit_head=HEAD, gate=gate) == first
    with pytest.raises(ConflictError, match="came before with another proposal"):
        releases.propose(new, 20, "learner", audit_head=HEAD, gate=replace(gate, passed=False))


def test_manifests_from_before_there_were_gates_are_read(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    path = releases.path / f"{proposed.id}.json"
    fields = json.loads(path.read_bytes())
    del fields["gate_sha256"]
    path.write_text(json.dumps(fields))
    assert releases.all() == [proposed]


def test_a_full_disk_is_told(directory, monkeypatch):
    (directory.path / "gates").write_text("in the way")
    with pytest.raises(RunError, match="gates cannot be made"):
        GateRecords(directory).keep(record(directory))
