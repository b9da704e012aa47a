"""Releases of a run: checkpoints that one person proposed, another approved, and anybody may take back.

`releases/ID.json` is a release's manifest and `releases/ID/` its checkpoint, hard links where the disk has them, so
that it outlives the checkpoints that the learner keeps. `releases/current` names the one in use.

What counts is what the manifests say: the one in use is that of the newest approval that was not withdrawn. Each change
is one manifest that appears whole or not at all; `current` follows it, and whoever changes or looks after a kill in
between puts it right. So read it by `Releases.in_use`, which never gives one that was withdrawn.

A release may carry what a gate decided about it (`core.gate_records`). One that the gate kept back is not approved, nor
is one that the gate compared with another version than the one in use.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from heeler.core.errors import CheckpointError, ConflictError, DataError, RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.locks import held_alone
from heeler.core.rundir import RunDirectory, flush_directory, write_atomically

BeforeCommit = Callable[[], object]
ReleaseState = Literal["proposed", "in use", "approved", "withdrawn"]
FOLDER, CURRENT = "releases", "current"
_FORMAT = 1
_LOCK, _PATIENCE_S = ".lock", 10.0
_MANIFEST, _STATE = "manifest.json", "state.json"
_PERSONS = ("proposed_by", "approved_by", "withdrawn_by")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A checkpoint on its way into use."""

    id: str
    """A UUID that its proposer made."""
    step: int
    """Environment steps of its checkpoint."""
    checkpoint_sha256: str
    """Of the checkpoint's manifest, and so of all of it."""
    policy_version: int | None
    """Of the policy that it holds; None where an old checkpoint does not say."""
    answers: int | None
    """People's answers that it had learned from; None where an old checkpoint does not say."""
    audit_head: str
    """Hash of the run's newest audit entry when it was proposed: what had been done to the run until then."""
    proposed_by: str
    proposed_unix_s: float
    approval: int | None = None
    """From 1 on, in the order of approvals; the clock may jump."""
    approved_by: str | None = None
    approved_unix_s: float | None = None
    withdrawn_by: str | None = None
    withdrawn_unix_s: float | None = None
    gate_sha256: str | None = None
    """Of the gate's record about it; None where no gate was asked."""


class Releases:
    """The releases of one run.

    Args:
        directory: of the run.
        needs_gate: nothing is approved that no gate has passed.
    """

    def __init__(self, directory: RunDirectory, *, needs_gate: bool = False) -> None:
        self._run, self.path = directory, directory.path / FOLDER
        self._gates, self._needs_gate = GateRecords(directory), needs_gate

    def all(self) -> list[Release]:
        """Every release, the newest proposal first.

        Raises:
            RunError: a manifest is damaged.
        """
        found = [_read(path) for path in self.path.glob("*.json") if not path.name.startswith(".")]
        return sorted(found, key=lambda release: (release.proposed_unix_s, release.id), reverse=True)

    def in_use(self) -> Release | None:
        """The release that is in use; None where none is."""
        return newest_approved(self.all())

    def stamp(self) -> object:
        """Equal for as long as no release was changed; takes microseconds."""
        # Each change puts a new file in the folder's place of another.
        stamps: list[object] = []
        for path in (self.path, self.path / CURRENT):
            try:
                found = path.stat()
                stamps.append((found.st_ino, found.st_mtime_ns))
            except OSError:
                stamps.append(None)
        return stamps

    def checkpoint_folder(self, release: Release) -> Path:
        """Where the checkpoint of a release lies."""
        return self.path / release.id

    def propose(
        self,
        release_id: str,
        step: int,
        person: str,
        *,
        audit_head: str,
        gate: GateRecord | None = None,
        before_commit: BeforeCommit = lambda: None,
    ) -> Release:
        """Propose the checkpoint of `step`; the same proposal again is the one that is there.

        Args:
            release_id: a UUID made by the caller.
            step: of a checkpoint of the run.
            person: the id of who proposes it.
            audit_head: hash of the run's newest audit entry.
            gate: what a gate decided about it; one that it kept back is kept with the reasons, for people to see.
            before_commit: called once nothing can be refused any more; what it raises undoes the proposal.

        Raises:
            DataError: the id is no UUID.
            ConflictError: there is no such checkpoint or it is damaged, the gate decided about another, or the id came
                before with something else.
            RunError: the disk is full or read-only; nothing was proposed.
        """
        _check_id(release_id)
        with self._changing():
            known = self._find(release_id)
            gate_sha256 = None if gate is None else gate.sha256
            if known is not None:
                if (known.step, known.proposed_by, known.gate_sha256) != (step, person, gate_sha256):
                    raise ConflictError(f"id: {release_id} came before with another proposal; a new one needs a new id")
                return known
            sha256, state = self._keep_checkpoint(step, self.path / release_id)
            if gate is not None:
                if gate.candidate_sha256 != sha256:
                    shutil.rmtree(self.path / release_id)
                    raise ConflictError(f"gate: it decided about another checkpoint than that of step {step:,}")
                self._gates.keep(gate)
            lineage = cast(dict[str, Any], state.get("lineage") or {})
            release = Release(
                id=release_id,
                step=step,
                checkpoint_sha256=sha256,
                policy_version=lineage.get("policy_version"),
                answers=lineage.get("answers"),
                audit_head=audit_head,
                proposed_by=person,
                proposed_unix_s=time.time(),
                gate_sha256=gate_sha256,
            )
            return self._write(release, before_commit)

    def approve(self, release_id: str, person: str, *, before_commit: BeforeCommit = lambda: None) -> Release:
        """Put a proposed release into use; by the same person again, it is what it was.

        Args:
            release_id: of the release.
            person: the id of who approves, not of who proposed it.
            before_commit: called once nothing can be refused any more; what it raises undoes the approval.

        Raises:
            KeyError: there is no such release.
            ConflictError: the same person proposed it, another approved it, it was withdrawn, its files or its gate's
                record were altered, or its gate did not pass it against the release in use.
            RunError: the disk is full or read-only; nothing was approved.
        """
        with self._changing():
            release = self._get(release_id)
            if release.withdrawn_by is not None:
                raise ConflictError("release: it was withdrawn; propose the checkpoint anew")
            if release.approved_by == person:
                return release
            if release.approved_by is not None:
                raise ConflictError("release: somebody else has approved it already")
            if release.proposed_by == person:
                raise ConflictError("person: who proposed a release cannot approve it; another person has to")
            sha256, _ = _checked(self.checkpoint_folder(release))
            if sha256 != release.checkpoint_sha256:
                raise ConflictError("release: its checkpoint is not the one that was proposed; withdraw it")
            self._check_gate(release)
            approval = 1 + max((other.approval or 0 for other in self.all()), default=0)
            approved = replace(release, approval=approval, approved_by=person, approved_unix_s=time.time())
            return self._write(approved, before_commit)

    def withdraw(self, release_id: str, person: str, *, before_commit: BeforeCommit = lambda: None) -> Release:
        """Take a release back; the one before it is in use again, or none. A second time changes nothing.

        Args:
            release_id: of the release.
            person: the id of who takes it back; one person is enough.
            before_commit: called once nothing can be refused any more; what it raises undoes the withdrawal.

        Raises:
            KeyError: there is no such release.
            RunError: the disk is full or read-only; nothing was withdrawn.
        """
        with self._changing():
            release = self._get(release_id)
            if release.withdrawn_by is not None:
                return release
            withdrawn = replace(release, withdrawn_by=person, withdrawn_unix_s=time.time())
            return self._write(withdrawn, before_commit)

    def rename(self, person: str, pseudonym: str) -> None:
        """Put a pseudonym in the place of a person who is forgotten; nothing else of any release changes.

        Raises:
            RunError: a manifest is damaged, or the disk full or read-only; it can be done again.
        """
        if not self.path.is_dir():
            return
        with self._changing():
            for release in self.all():
                theirs = {name: pseudonym for name in _PERSONS if getattr(release, name) == person}
                if theirs:
                    self._write(replace(release, **theirs), lambda: None)

    def _check_gate(self, release: Release) -> None:
        """Refuse a release that its gate has not passed against the one in use."""
        if release.gate_sha256 is None:
            if self._needs_gate:
                raise ConflictError("gate: no gate has passed this release; let the gate decide, and propose it anew")
            return
        try:
            gate = self._gates.get(release.gate_sha256)
        except CheckpointError as error:
            raise ConflictError(f"gate: {error}") from error
        in_use = self.in_use()
        if not gate.passed:
            raise ConflictError(f"gate: it kept this release back ({'; '.join(gate.reasons)})")
        if gate.candidate_sha256 != release.checkpoint_sha256:
            raise ConflictError("gate: it decided about another checkpoint")
        if gate.current_sha256 != (None if in_use is None else in_use.checkpoint_sha256):
            raise ConflictError("gate: it compared this with another release than the one in use; gate it anew")

    @contextmanager
    def _changing(self) -> Generator[None]:
        try:
            self.path.mkdir(exist_ok=True)
            busy = f"{self.path} is being changed by another process; try again"
            with held_alone(self.path / _LOCK, busy=busy, patience_s=_PATIENCE_S):
                self._settle()
                yield
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}; free some space") from error

    def _settle(self) -> None:
        """Put right what a kill has left half done."""
        for path in self.path.iterdir():
            if path.is_dir() and not path.with_name(f"{path.name}.json").exists():
                shutil.rmtree(path)
            elif path.suffix == ".tmp":
                path.unlink()
        self._name_current()

    def _write(self, release: Release, before_commit: BeforeCommit) -> Release:
        before_commit()
        content = json.dumps({"format": _FORMAT, **asdict(release)}, indent=1).encode()
        write_atomically(self.path / f"{release.id}.json", content)
        self._name_current()
        return release

    def _name_current(self) -> None:
        current, release = self.path / CURRENT, self.in_use()
        named = None if release is None else f"{release.id}\n".encode()
        if named is None:
            current.unlink(missing_ok=True)
        elif not current.exists() or current.read_bytes() != named:
            write_atomically(current, named)

    def _find(self, release_id: str) -> Release | None:
        path = self.path / f"{release_id}.json"
        return _read(path) if path.exists() else None

    def _get(self, release_id: str) -> Release:
        release = self._find(release_id) if _is_id(release_id) else None
        if release is None:
            raise KeyError(release_id)
        return release

    def _keep_checkpoint(self, step: int, folder: Path) -> tuple[str, dict[str, Any]]:
        """Link a checkpoint's files to `folder`; returns the hash of its manifest, and its state."""
        source = self._run.path / "checkpoints" / f"step-{step}"
        aside = folder.with_name(f".{folder.name}.tmp")
        aside.mkdir()
        try:
            for path in source.iterdir():
                _link(path, aside / path.name)
            checked = _checked(aside)
        except FileNotFoundError:
            raise ConflictError(f"step: there is no checkpoint of step {step:,} (any more); choose another") from None
        flush_directory(aside)
        os.replace(aside, folder)
        flush_directory(self.path)
        return checked


def newest_approved(releases: list[Release]) -> Release | None:
    """The release in use among these."""
    approved = [r for r in releases if r.approval is not None and r.withdrawn_by is None]
    return max(approved, key=lambda release: release.approval or 0, default=None)


def state_of(release: Release, in_use: Release | None) -> ReleaseState:
    """Where a release stands.

    Args:
        release: to be judged.
        in_use: the one that is in use.
    """
    if release.withdrawn_by is not None:
        return "withdrawn"
    if release.approved_by is None:
        return "proposed"
    return "in use" if in_use is not None and in_use.id == release.id else "approved"


def _checked(folder: Path) -> tuple[str, dict[str, Any]]:
    """The hash of a checkpoint's manifest, and its state, once every file's hash was compared."""
    try:
        content = (folder / _MANIFEST).read_bytes()
        hashes: dict[str, str] = json.loads(content)["sha256"]
        for name, sha256 in hashes.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise CheckpointError(f"the SHA-256 of {name} does not match its manifest")
        return hashlib.sha256(content).hexdigest(), json.loads((folder / _STATE).read_bytes())
    except (CheckpointError, ValueError, KeyError, TypeError) as error:
        raise ConflictError(f"step: the checkpoint is damaged ({error}); choose another") from error


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # A disk without hard links.
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _read(path: Path) -> Release:
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("format") != _FORMAT or fields["id"] != path.stem:
            raise ValueError("it is of another format, or was renamed")
        return Release(**fields)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}); put it back from a copy") from error


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _check_id(text: str) -> None:
    if not _is_id(text):
        raise DataError(f"id: expected a UUID in lower case, got {text!r:.80}")
