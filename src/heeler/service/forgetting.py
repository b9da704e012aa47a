"""Forgetting a person: shut out, then forgotten by every run, then gone from people.db.

What was begun is noted, so that whoever is killed on the way can do it again: what was done is not done twice, and what
was not is done then. Only once every run has forgotten the person do they go from people.db. What stays are the audit
logs, which know people by their ids alone.
"""

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from heeler.core.errors import RunError
from heeler.core.releases import Releases
from heeler.core.rundir import REPORT_NAME, RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.withdrawal import AnswersFate, Withdrawal
from heeler.service.accounts.accounts import Accounts
from heeler.service.audit import Audit

OpenStore = Callable[[], AbstractContextManager[Store]]


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was done."""

    answers: str
    """Whether they were kept under a pseudonym, or removed."""
    num_runs: int
    """Runs that they had answered."""
    num_answers: int


def forget(
    accounts: Accounts,
    runs: Iterable[tuple[RunDirectory, OpenStore | None]],
    audit: Audit,
    *,
    by: str,
    person_id: str,
    answers: str,
) -> Forgotten:
    """Forget a person. If it fails on the way, it can be done again, and goes on where it was.

    Args:
        accounts: of the service.
        runs: every run, and what opens its store; None where it has none yet.
        audit: takes a line for every step.
        by: who does it.
        person_id: who is forgotten.
        answers: `keep` under a pseudonym, or `remove`; where it was begun before, what was said then holds.

    Raises:
        KeyError: there is no such person.
        DataError: `answers` is neither.
        ConflictError: nobody would be left who can manage people.
        StoreError: a store cannot be opened or written; the person is shut out, and the rest is left for the next try.
        RunError: a run's releases are damaged or cannot be written; the same holds.
    """
    fate = accounts.forgettings.begin(by, person_id, answers)
    done: list[Withdrawal] = []
    for directory, open_store in runs:
        _forget_in_folder(directory, person_id)
        if open_store is not None:
            with open_store() as store:
                done.append(_forget_in_store(store, directory.path.name, audit, by, person_id, fate))
    accounts.forgettings.finish(by, person_id)
    answered = [withdrawal.num_answers for withdrawal in done if withdrawal.num_answers]
    return Forgotten(answers=fate, num_runs=len(answered), num_answers=sum(answered))


def _forget_in_store(store: Store, run: str, audit: Audit, by: str, person_id: str, fate: AnswersFate) -> Withdrawal:
    def note(done: Withdrawal) -> None:
        number, first = done.num_answers, done.first_position
        audit.append(by, "feedback.withdraw", run, answers=fate, num_answers=number, first_position=first)

    return store.withdrawals.forget(person_id, fate, before_commit=note)


def _forget_in_folder(directory: RunDirectory, person_id: str) -> None:
    """Releases go on under a pseudonym. A report of an earlier version named annotators; one is made at any time."""
    Releases(directory).rename(person_id, f"forgotten-{uuid.uuid4()}")
    report = directory.path / REPORT_NAME
    try:
        if report.exists() and person_id.encode() in report.read_bytes():
            report.unlink()
    except OSError as error:
        raise RunError(f"{report} names the person and cannot be removed: {error.strerror or error}") from error
