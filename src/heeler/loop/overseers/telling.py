"""What overseers objected to in a run, as its audit log holds it: written update by update, and read for the report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.rundir import RunDirectory
from heeler.loop.acts import HALT, Acts
from heeler.loop.overseers.acting import ActionReview
from heeler.loop.overseers.objections import OBJECTED

_MAX_ENTRIES = 1_000_000


class ObjectionLog:
    """Writes one line for an update in which there were objections, before the checkpoint that may follow it.

    So nothing that a checkpoint has behind it is missing after a kill. A stretch that is walked again is told again.

    Args:
        directory: of the run, which is held.
        review: of the run.
    """

    def __init__(self, directory: RunDirectory, review: ActionReview) -> None:
        self._acts, self._review = Acts(directory), review

    def tell(self, step: int, *, given_up: bool = False) -> None:
        """Write what was objected to since the last line, if anything was.

        Args:
            step: environment steps of the run after the update; where it was given up, before it.
            given_up: whether what was done since then is no part of the run.
        """
        told = self._review.objections.take()
        if told is not None:
            self._acts.note(OBJECTED, step=step, **told, **({"given_up": True} if given_up else {}))


@dataclass(frozen=True, kw_only=True)
class Objection:
    """One that is told in full, or a halt."""

    step: int
    """Environment steps of the run."""
    decision: str
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Objected:
    """What overseers objected to in a run."""

    num_vetoed: int
    num_modified: int
    by: Mapping[str, int] = field(default_factory=dict[str, int])
    """Objections of each overseer."""
    told: tuple[Objection, ...]
    """The first few of each update, in order."""
    halts: tuple[Objection, ...]


def read_objections(run: Path) -> Objected | None:
    """Of a run's audit log; None where there were none. An update that was made again counts once, as it was made last.

    Raises:
        RunError: the log cannot be read, or is damaged.
    """
    updates: dict[tuple[int, bool], Mapping[str, Any]] = {}
    halts: list[Objection] = []
    for entry in entries(run / AUDIT_NAME, after=0, limit=_MAX_ENTRIES):
        told = entry.details
        if entry.act == OBJECTED and "step" in told:
            updates[told["step"], bool(told.get("given_up"))] = told
        if entry.act == HALT:
            evidence = told.get("evidence", {})
            halts.append(Objection(step=told["step"], decision="halt", reason=told["problem"], evidence=evidence))
    if not updates and not halts:
        return None
    by = Counter[str]()
    for told in updates.values():
        by.update(told["by"])
    rows = sorted(updates.items())
    return Objected(
        num_vetoed=sum(told["vetoed"] for _, told in rows),
        num_modified=sum(told["modified"] for _, told in rows),
        by=dict(by),
        told=tuple(_objection(each) for _, told in rows for each in told["first"]),
        halts=tuple(halts),
    )


def _objection(told: Mapping[str, Any]) -> Objection:
    return Objection(step=told["step"], decision=told["decision"], reason=told["reason"], evidence=told["evidence"])
