"""From answers to a release and back: feedback → reward model → update → gate → release.

Nothing is kept twice: which answers a release learned from stands in the state of its checkpoint (whose hash the
release carries), what they said in the store, how it was tested in the gate's records, and who did what in the audit
logs of the run and of the folder that a service serves. So whoever has the run can come to all of it again, and an
altered file is refused by name.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from heeler.core.audit import AUDIT_NAME, GENESIS, AuditEntry, verify
from heeler.core.audit import entries as audit_entries
from heeler.core.errors import RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.nouns import Feedback
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import every_answer, has_store, open_store
from heeler.loop.config import from_dict
from heeler.loop.going_on import sha256_of
from heeler.loop.language.config import is_language_config
from heeler.loop.released import STATE, TENSORS, released_file

_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class LearnedAnswer:
    """An answer that a release learned from."""

    position: int
    """In the store."""
    feedback: Feedback

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what it is, and nothing of what was said, or by whom."""
        own = self.feedback
        return {"position": self.position, "key": own.key, "query": own.query_id, "kind": own.kind}


@dataclass(frozen=True, kw_only=True)
class RewardLineage:
    """The reward that a release learned from."""

    sha256: str
    """Of the checkpoint's file that holds its weights."""
    num_fitted: int | None
    """Answers that it was last fitted to; None for one that is made of demonstrations."""
    last_fit: Mapping[str, float]
    """Losses, accuracy and calibration of that, where they are known."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Everything that a release came from."""

    release: Release
    answers: tuple[LearnedAnswer, ...]
    """In the order in which they were taken in."""
    num_withdrawn: int
    """Answers that it learned from and that were withdrawn since."""
    answers_sha256: str
    """Of the positions, questions and values of `answers`: two releases with the same have learned from the same."""
    reward: RewardLineage | None
    """None where no reward is learned in the run itself."""
    gate: GateRecord | None
    """None where no gate was asked."""
    later: tuple[GateRecord, ...]
    """What its canary share and the watch decided about it."""
    acts: tuple[AuditEntry, ...]
    """Entries of the audit logs that name it, its checkpoint or its gate's record; the oldest first."""
    problems: tuple[str, ...]
    """What is wrong with the logs that these are from."""


def lineage(directory: RunDirectory, release: Release) -> Lineage:
    """What a release came from.

    Raises:
        CheckpointError: its checkpoint or its gate's record was altered.
    """
    folder = Releases(directory).checkpoint_folder(release)
    state: dict[str, Any] = json.loads(released_file(folder, release, STATE))
    records = GateRecords(directory)
    gate = None if release.gate_sha256 is None else records.get(release.gate_sha256)
    answers, num_withdrawn = _answers(directory, state)
    acts, problems = _acts(directory, release)
    sums = [[one.position, one.feedback.query_id, dict(one.feedback.value)] for one in answers]
    return Lineage(
        release=release,
        answers=answers,
        num_withdrawn=num_withdrawn,
        answers_sha256=sha256_of(sums),
        reward=_reward(released_file(folder, release, TENSORS), state, directory.config()),
        gate=gate,
        later=tuple(one for one in records.all() if one.details.get("release") == release.id),
        acts=acts,
        problems=problems,
    )


def releases_with(directory: RunDirectory, key: str) -> list[Release]:
    """The releases that learned from an answer, the newest proposal first.

    Args:
        directory: of the run.
        key: of the answer, as whoever gave it made it.

    Raises:
        RunError: the run has no such answer.
        CheckpointError: the checkpoint of a release was altered.
    """
    position = _position_of(directory, key)
    releases = Releases(directory)
    found: list[Release] = []
    for release in releases.all():
        state = json.loads(released_file(releases.checkpoint_folder(release), release, STATE))
        answers, _ = _answers(directory, state)
        if any(one.position == position for one in answers):
            found.append(release)
    return found


def _position_of(directory: RunDirectory, key: str) -> int:
    if has_store(directory):
        with open_store(directory) as store:
            for position, feedback in every_answer(store):
                if feedback.key == key:
                    return position
    raise RunError(f"{directory.path} has no answer with the key {key!r}; `heeler feedback export` lists them")


def _given(store: Store, *, up_to: int) -> Iterator[tuple[int, Feedback]]:
    return takewhile(lambda one: one[0] <= up_to, every_answer(store))


def _answers(directory: RunDirectory, state: Mapping[str, Any]) -> tuple[tuple[LearnedAnswer, ...], int]:
    """Answers that a checkpoint's learner had taken in, and how many of them were withdrawn since."""
    if not has_store(directory):
        return (), 0
    with open_store(directory) as store:
        withdrawn = set(store.withdrawals.positions())
        if is_language_config(directory.config()):
            if not state.get("asking"):
                return (), 0
            from heeler.loop.language.asking import HELD_OUT

            up_to = int(state["asking"]["position"])
            found = list(_given(store, up_to=up_to))
            queries = {one.id: one for one in store.queries([feedback.query_id for _, feedback in found])}
            # Of what the watch goes by nothing is learned.
            found = [one for one in found if queries[one[1].query_id].acquisition != HELD_OUT]
            gone = sum(position <= up_to for position in withdrawn)
        else:
            taken = _taken_for_reward(state) | _taken_for_cost(state) | _taken_as_corrections(store, state)
            found = [one for one in _given(store, up_to=max(taken, default=0)) if one[0] in taken]
            gone = len(taken & withdrawn)
    return tuple(LearnedAnswer(position=position, feedback=feedback) for position, feedback in found), gone


def _taken_for_reward(state: Mapping[str, Any]) -> set[int]:
    """Positions of the answers that its reward learned from, or that said nothing of it."""
    people = state.get("preferences") or state.get("kinds")
    if not people:
        return set()
    if "taken" not in people:
        # Checkpoints of earlier versions say only how far they had read.
        return set(range(1, people["counts"][-1] + 1))
    return {position for name in ("taken", "cant_tell") for position, _ in people.get(name, ())}


def _taken_for_cost(state: Mapping[str, Any]) -> set[int]:
    """Positions of the answers on what was unsafe."""
    unsafe = (state.get("costs") or {}).get("answers") or {}
    return {position for position, _ in unsafe.get("taken", ())}


def _taken_as_corrections(store: Store, state: Mapping[str, Any]) -> set[int]:
    """Positions of what people said that should have been done instead."""
    corrections = state.get("corrections")
    if not corrections:
        return set()
    if "taken" not in corrections:
        given = _given(store, up_to=corrections["position"])
        return {position for position, one in given if one.kind == "correction"}
    return set(corrections["taken"])


def _reward(tensors: bytes, state: Mapping[str, Any], config: Mapping[str, Any]) -> RewardLineage | None:
    people = state.get("preferences") or state.get("kinds")
    sha256 = hashlib.sha256(tensors).hexdigest()
    if people:
        _, num_answered, num_cant_tell, num_unfitted, _ = people["counts"]
        num_fitted = num_answered - num_cant_tell - num_unfitted if people["num_fits"] else 0
        return RewardLineage(sha256=sha256, num_fitted=num_fitted, last_fit=people["last_fit"])
    rewarding = state.get("rewarding")
    if rewarding:
        return RewardLineage(sha256=sha256, num_fitted=int(rewarding["num_fitted"]), last_fit={})
    if state.get("imitation") and from_dict(config).learns_reward:
        return RewardLineage(sha256=sha256, num_fitted=None, last_fit={})
    return None


def _acts(directory: RunDirectory, release: Release) -> tuple[tuple[AuditEntry, ...], tuple[str, ...]]:
    run = directory.path.resolve()
    names = {release.id, release.checkpoint_sha256, release.gate_sha256} - {None}
    found: list[AuditEntry] = []
    problems: list[str] = []
    for path in (run / AUDIT_NAME, run.parent / AUDIT_NAME):
        if not path.exists():
            continue
        report = verify(path)
        if not report.is_sound:
            problems += [f"{path}: {problem}" for problem in report.problems]
            continue
        every = _entries(path)
        # Ids and hashes are nobody else's, whatever the run was called then.
        found += [one for one in every if names & set(map(str, one.details.values()))]
        if path.parent == run and release.audit_head not in {GENESIS, *(entry.sha256 for entry in every)}:
            problems.append(f"{path}: the entry that was its newest when the release was proposed is not in it")
    return tuple(sorted(found, key=lambda entry: entry.unix_s)), tuple(problems)


def _entries(path: Path) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    while page := audit_entries(path, after=len(found), limit=_AT_ONCE):
        found += page
    return found
