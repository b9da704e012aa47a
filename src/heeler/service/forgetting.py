"""Forgetting a person: shut out, then forgotten by every store, then gone from people.db.

What was begun is noted, so that whoever is killed on the way can do it again: what was done is not done twice, and what
was not is done then. Only once every store has forgotten the person do they go from people.db.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from heeler.feedback.store import Store
from heeler.feedback.withdrawal import Withdrawal
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
    stores: Iterable[tuple[str, OpenStore]],
    audit: Audit,
    *,
    by: str,
    person_id: str,
    answers: str,
) -> Forgotten:
    """Forget a person. If it fails on the way, it can be done again, and goes on where it was.

    Args:
        accounts: of the service.
        stores: of every run, by name.
        audit: takes a line for every step.
        by: who does it.
        person_id: who is forgotten.
        answers: `keep` under a pseudonym, or `remove`; where it was begun before, what was said then holds.

    Raises:
        KeyError: there is no such person.
        DataError: `answers` is neither.
        ConflictError: nobody would be left who can manage people.
        StoreError: a store cannot be opened or written; the person is shut out, and the rest is left for the next try.
    """
    fate = accounts.forgettings.begin(by, person_id, answers)
    done: list[Withdrawal] = []
    for run, open_store in stores:

        def note(withdrawal: Withdrawal, run: str = run) -> None:
            number, first = withdrawal.num_answers, withdrawal.first_position
            audit.append(by, "feedback.withdraw", run, answers=fate, num_answers=number, first_position=first)

        with open_store() as store:
            done.append(store.withdrawals.forget(person_id, fate, before_commit=note))
    accounts.forgettings.finish(by, person_id)
    answered = [withdrawal.num_answers for withdrawal in done if withdrawal.num_answers]
    return Forgotten(answers=fate, num_runs=len(answered), num_answers=sum(answered))
