"""Candidates of a served language model get a share of its conversations, and what does harm is taken back."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.errors import CheckpointError, ConflictError
from heeler.core.gate_records import GateRecords
from heeler.core.locks import held_alone
from heeler.core.releases import Release, Releases, newest_approved
from heeler.core.rundir import RunDirectory
from heeler.core.verdict import Verdict
from heeler.feedback.store import Store
from heeler.loop.chat_evidence import ChatEvidence
from heeler.loop.deployment_evidence import CANARY, LOCK, WATCH
from heeler.oversight.chat_harm import ChatLiveConfig

_log = logging.getLogger("heeler.serving")


class ChatFollower:
    """Follows one run's releases while a service answers by them; one service at a time decides.

    Args:
        directory: of the run.
        config: how they are followed.
        store: of the run; closed with this.
        tries_candidates: whether a candidate that its gate has passed gets a share.

    Raises:
        RunError: another service follows the run.
    """

    def __init__(
        self, directory: RunDirectory, config: ChatLiveConfig, store: Store, *, tries_candidates: bool
    ) -> None:
        self.config, self._completions, self._tries = config, store.completions, tries_candidates
        self._run = directory.path.absolute().name
        self._releases, self._records = Releases(directory, needs_gate=True), GateRecords(directory)
        self._log = AuditLog(directory.path / AUDIT_NAME)
        self._refused: set[str] = set()
        self.canary: ChatEvidence | None = None
        self.watch: ChatEvidence | None = None
        self._stack = ExitStack()
        self._stack.callback(store.close)
        busy = f"the releases of {directory.path} are followed by another service; end it first"
        try:
            self._records.path.mkdir(exist_ok=True)
            self._stack.enter_context(held_alone(self._records.path / LOCK, busy=busy))
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Follow the run no more."""
        self._stack.close()

    def candidate(self, found: Sequence[Release]) -> Release | None:
        """What is to answer a share: the one on trial, or else the newest that its gate passed against what is in use.

        Args:
            found: all releases, the newest first.
        """
        if not self._tries:
            return None
        in_use = newest_approved(list(found))
        on_trial = None if self.canary is None else self.canary.release.id
        for release in sorted(found, key=lambda one: one.id != on_trial):
            if self._may_be_tried(release, None if in_use is None else in_use.checkpoint_sha256):
                return release
        return None

    def _may_be_tried(self, release: Release, in_use_sha256: str | None) -> bool:
        is_open = release.approved_by is None and release.withdrawn_by is None and release.id not in self._refused
        if not is_open or release.gate_sha256 is None or release.policy_version is None:
            return False
        try:
            record = self._records.get(release.gate_sha256)
        except CheckpointError as error:
            self.refuse(release, str(error))
            return False
        return record.passed and record.current_sha256 == in_use_sha256

    def refuse(self, release: Release, why: str) -> None:
        """Have a candidate tried no more."""
        self._refused.add(release.id)
        _log.error("release %s gets no share: %s", release.id, why)

    def decide(self, found: Sequence[Release]) -> bool:
        """Take in what was answered since, and end what has shown enough; whether any release was changed.

        Raises:
            RunError: a decision cannot be written.
            StoreError: the store cannot be read.
        """
        in_use, tried = newest_approved(list(found)), self.candidate(found)
        self.watch = self._followed(self.watch, in_use, None, is_canary=False)
        self.canary = self._followed(self.canary, tried, in_use, is_canary=True)
        for evidence in (self.canary, self.watch):
            if evidence is None:
                continue
            evidence.look()
            verdict = evidence.verdict()
            is_through = evidence is self.canary and evidence.num_answers >= self.config.num_answers
            if verdict.decision == "halt" or is_through:
                self._end(evidence, verdict)
                return True
        return False

    def _followed(
        self, now: ChatEvidence | None, release: Release | None, beside: Release | None, *, is_canary: bool
    ) -> ChatEvidence | None:
        if release is None or release.policy_version is None:
            return None
        if now is not None and (now.release.id, now.beside) == (release.id, beside):
            return now
        return ChatEvidence(CANARY if is_canary else WATCH, release, self.config, self._completions, beside)

    def _end(self, evidence: ChatEvidence, verdict: Verdict) -> None:
        """Keep the decision, then do it; what a kill cuts short is decided again from the same answers."""
        record, release, who = evidence.decided(verdict), evidence.release, evidence.kind
        self._records.keep(record)
        outcome = "passed" if record.passed else "harm"
        self._tell(f"{who}.decide", who, release, outcome=outcome, sha256=record.sha256)
        act = "approve" if record.passed else "withdraw"
        change = self._releases.approve if record.passed else self._releases.withdraw
        try:
            change(release.id, who, before_commit=lambda: self._tell(f"release.{act}", who, release))
        except ConflictError as error:
            # Its files were altered meanwhile, or people have put another release into use.
            self.refuse(release, str(error))

    def _tell(self, act: str, who: str, release: Release, **details: Any) -> object:
        return self._log.append(who, act, self._run, release=release.id, step=release.step, **details)
