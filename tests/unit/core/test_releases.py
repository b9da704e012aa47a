"""Releases: two people to put one into use, one to take it back, and a kill at any write leaves them whole."""

import json
import os
import shutil
import signal
import sys
import traceback
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.core import releases as module
from heeler.core.errors import ConflictError, DataError, RunError
from heeler.core.releases import CURRENT, Release, Releases, state_of
from heeler.core.rundir import RunDirectory

HEAD = "0" * 64


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return made(tmp_path / "run")


def made(path: Path) -> RunDirectory:
    directory = RunDirectory.create(path, {"seed": 1})
    for step in (10, 20, 30):
        lineage = {"policy_version": step // 10, "answers": 3 * step}
        directory.save_checkpoint(step, {"w": np.full(3, step)}, {"lineage": lineage}, keep=9)
    return directory


def propose(releases: Releases, step: int = 20, person: str = "ann", release_id: str | None = None) -> Release:
    release_id = str(uuid.uuid4()) if release_id is None else release_id
    return releases.propose(release_id, step, person, audit_head=HEAD)


def states(releases: Releases) -> dict[int, str]:
    in_use = releases.in_use()
    return {release.step: state_of(release, in_use) for release in releases.all()}


def current(directory: RunDirectory) -> str | None:
    path = directory.path / "releases" / CURRENT
    return path.read_text().strip() if path.exists() else None


def test_one_proposes_another_approves_and_it_is_in_use(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    assert states(releases) == {20: "proposed"}
    assert current(directory) is None
    assert (proposed.policy_version, proposed.answers, proposed.audit_head) == (2, 60, HEAD)
    assert proposed.checkpoint_sha256 == directory.load_checkpoint(20).sha256
    approved = releases.approve(proposed.id, "bea")
    assert states(releases) == {20: "in use"}
    assert current(directory) == proposed.id
    assert (approved.proposed_by, approved.approved_by) == ("ann", "bea")
    assert releases.in_use() == approved


def test_who_proposed_cannot_approve(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    with pytest.raises(ConflictError, match="another person has to"):
        releases.approve(proposed.id, "ann")
    assert states(releases) == {20: "proposed"}


def test_who_is_forgotten_goes_on_under_a_pseudonym(directory):
    releases = Releases(directory)
    first, second, third = (propose(releases, step, person) for step, person in ((10, "ann"), (20, "bea"), (30, "bea")))
    releases.approve(first.id, "bea")
    releases.approve(second.id, "ann")
    releases.withdraw(second.id, "ann")
    before = {release.id: release for release in releases.all()}
    for _ in range(2):
        releases.rename("ann", "gone-1")
        after = {release.id: release for release in releases.all()}
        assert after == {
            first.id: replace(before[first.id], proposed_by="gone-1"),
            second.id: replace(before[second.id], approved_by="gone-1", withdrawn_by="gone-1"),
            third.id: before[third.id],
        }
    assert states(releases) == {10: "in use", 20: "withdrawn", 30: "proposed"}
    assert current(directory) == first.id
    assert not any(b"ann" in path.read_bytes() for path in releases.path.glob("*.json"))


def test_where_there_are_no_releases_nothing_is_made(directory):
    Releases(directory).rename("ann", "gone-1")
    assert not (directory.path / "releases").exists()


def test_the_checkpoint_of_a_release_outlives_the_learner_s(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    shutil.rmtree(directory.path / "checkpoints" / "step-20")
    approved = releases.approve(proposed.id, "bea")
    kept = releases.checkpoint_folder(approved)
    assert sorted(path.name for path in kept.iterdir()) == ["manifest.json", "state.json", "tensors.safetensors"]


def test_links_share_the_disk_and_copies_do_where_there_are_none(directory, monkeypatch):
    releases = Releases(directory)
    linked = releases.checkpoint_folder(propose(releases)) / "tensors.safetensors"
    assert linked.stat().st_nlink == 2

    def refuse(source, target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    copied = releases.checkpoint_folder(propose(releases, 30)) / "tensors.safetensors"
    assert copied.read_bytes() == (directory.path / "checkpoints/step-30/tensors.safetensors").read_bytes()
    assert copied.stat().st_nlink == 1


def test_withdrawing_goes_back_to_the_one_before_and_then_to_none(directory):
    releases = Releases(directory)
    first, second = propose(releases, 10), propose(releases, 20)
    releases.approve(second.id, "bea")
    releases.approve(first.id, "bea")
    assert states(releases) == {10: "in use", 20: "approved"}, "the newest approval counts, not the highest step"
    releases.withdraw(first.id, "ann")
    assert states(releases) == {10: "withdrawn", 20: "in use"}
    assert current(directory) == second.id
    again = releases.withdraw(second.id, "cem")
    assert releases.withdraw(second.id, "ann") == again, "the first who takes it back has done it"
    assert current(directory) is None
    assert releases.in_use() is None


def test_the_same_again_changes_nothing(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    assert propose(releases, release_id=proposed.id) == proposed
    with pytest.raises(ConflictError, match=r"^id: .* came before with another proposal"):
        propose(releases, 30, release_id=proposed.id)
    with pytest.raises(ConflictError, match=r"^id: "):
        propose(releases, person="bea", release_id=proposed.id)
    approved = releases.approve(proposed.id, "bea")
    assert releases.approve(proposed.id, "bea") == approved
    with pytest.raises(ConflictError, match="somebody else"):
        releases.approve(proposed.id, "cem")
    releases.withdraw(proposed.id, "cem")
    with pytest.raises(ConflictError, match="withdrawn"):
        releases.approve(proposed.id, "bea")


@pytest.mark.parametrize(
    "bad",
    ["", "x", "../run", "0c9e8a1b-7c1d-4f6e-9b1a-2d3c4b5a6f70".upper(), "." + "0c9e8a1b-7c1d-4f6e-9b1a-2d3c4b5a6f70"],
)
def test_ids_are_uuids_and_lead_nowhere(directory, bad):
    releases = Releases(directory)
    with pytest.raises(DataError, match="id: expected a UUID"):
        propose(releases, release_id=bad)
    for act in (releases.approve, releases.withdraw):
        with pytest.raises(KeyError):
            act(bad, "bea")
        with pytest.raises(KeyError):
            act(str(uuid.uuid4()), "bea")
    assert releases.all() == []


def test_what_is_not_there_or_damaged_cannot_be_proposed(directory):
    releases = Releases(directory)
    with pytest.raises(ConflictError, match="step: there is no checkpoint of step 15"):
        propose(releases, 15)
    tensors = directory.path / "checkpoints/step-30/tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(ConflictError, match="step: the checkpoint is damaged"):
        propose(releases, 30)
    assert releases.all() == []
    propose(releases, 20)
    left = {path.name for path in releases.path.iterdir() if path.is_dir()}
    assert left == {release.id for release in releases.all()}, "what was refused leaves nothing"


def test_a_release_that_was_altered_is_not_approved(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    folder = releases.checkpoint_folder(proposed)
    tensors = folder / "tensors.safetensors"
    tensors.unlink()
    tensors.write_bytes(b"something else")
    with pytest.raises(ConflictError, match="damaged"):
        releases.approve(proposed.id, "bea")
    assert states(releases) == {20: "proposed"}


def test_a_damaged_manifest_is_named(directory):
    releases = Releases(directory)
    proposed = propose(releases)
    path = releases.path / f"{proposed.id}.json"
    path.write_text(json.dumps({"format": 1, "id": proposed.id}))
    with pytest.raises(RunError, match=rf"{proposed.id}.json is damaged"):
        releases.all()


def test_what_is_refused_before_its_commit_is_not_done(directory):
    releases = Releases(directory)

    def refuse():
        raise RunError("the audit log cannot be written")

    with pytest.raises(RunError):
        releases.propose(str(uuid.uuid4()), 20, "ann", audit_head=HEAD, before_commit=refuse)
    assert releases.all() == []
    proposed = propose(releases)
    with pytest.raises(RunError):
        releases.approve(proposed.id, "bea", before_commit=refuse)
    with pytest.raises(RunError):
        releases.withdraw(proposed.id, "bea", before_commit=refuse)
    assert states(releases) == {20: "proposed"}


class Kill:
    """Ends the process before its n-th change of the disk."""

    def __init__(self, at: int) -> None:
        self.left = at
        for name in ("fsync", "replace", "link", "unlink", "mkdir", "rmdir"):
            setattr(os, name, self.watched(getattr(os, name)))

    def watched(self, original):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call


def killed(at: int, act) -> bool:
    child = os.fork()
    if child == 0:
        Kill(at)
        try:
            act()
        except BaseException:
            # Whoever sees that it was not killed is to see why.
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("act", ["propose", "approve", "withdraw"])
def test_a_kill_at_any_write_leaves_it_done_or_not_done(tmp_path, act):
    """And the same act again does it."""
    number = 0
    while True:
        number += 1
        directory = made(tmp_path / f"run-{number}")
        releases = Releases(directory)
        old, new = propose(releases, 10), str(uuid.uuid4())
        releases.approve(old.id, "bea")
        if act != "propose":
            propose(releases, 20, release_id=new)
        if act == "withdraw":
            releases.approve(new, "bea")
        acts = {
            "propose": lambda r=releases, n=new: propose(r, 20, release_id=n),
            "approve": lambda r=releases, n=new: r.approve(n, "bea"),
            "withdraw": lambda r=releases, n=new: r.withdraw(n, "cem"),
        }
        was_killed = killed(number, acts[act])
        before = {"propose": None, "approve": "proposed", "withdraw": "in use"}[act]
        after = {"propose": "proposed", "approve": "in use", "withdraw": "withdrawn"}[act]
        assert states(releases).get(20) in (before, after), number
        for release in releases.all():
            module._checked(releases.checkpoint_folder(release))
        acts[act]()
        assert states(releases)[20] == after
        assert current(directory) == (new if after == "in use" else old.id)
        assert not [path for path in releases.path.iterdir() if path.name.endswith(".tmp")]
        if not was_killed:
            break
    assert number > 4, "kills were too few to tell anything"
