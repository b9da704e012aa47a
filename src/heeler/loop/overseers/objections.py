"""What overseers objected to since it was last told, as the audit log takes it: counts, and the first few in full."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from heeler.core.verdict import Verdict

OBJECTED = "overseers.object"
"""The act of a line of the audit log that tells of vetoes and modified steps."""
_NUM_SHOWN = 5
_MAX_REASON, _MAX_EVIDENCE = 500, 4000


class Objections:
    """Counts verdicts that were not to allow, and keeps the first few."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self._decisions, self._overseers = Counter[str](), Counter[str]()
        self._first: list[dict[str, Any]] = []

    def add(self, verdict: Verdict, decision: str, *, step: int, copy: int) -> None:
        """Take in a verdict.

        Args:
            verdict: that is not to allow.
            decision: what was done by it.
            step: environment steps of the run before it.
            copy: of the world.
        """
        self._decisions[decision] += 1
        self._overseers.update(verdict.evidence.get("overseers", {}).keys())
        if len(self._first) < _NUM_SHOWN:
            told = {"decision": decision, "step": step, "copy": copy, "reason": verdict.reason[:_MAX_REASON]}
            self._first.append(told | {"evidence": plain(verdict.evidence)})

    def take(self) -> dict[str, Any] | None:
        """What is to be told, in plain JSON types, which is forgotten then; None where there is nothing.

        `vetoed` and `modified` are steps, `by` objections of each overseer, and `first` the first few.
        """
        if not self._decisions:
            return None
        told = {
            "vetoed": self._decisions["veto"],
            "modified": self._decisions["modify"],
            "by": dict(self._overseers),
            "first": self._first,
        }
        self.forget()
        return told


def plain(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as the audit log can hold it. An overseer of the user's own may have put anything into it."""
    try:
        text = json.dumps(dict(evidence), default=_as_json)
    # Whatever a value of the user's own raises as it is read.
    except Exception as error:
        return {"unreadable": f"{type(error).__name__}: {error}"[:_MAX_REASON]}
    # The log knows no numbers that are none: they are written out.
    return json.loads(text, parse_constant=str) if len(text) <= _MAX_EVIDENCE else {"cut": text[:_MAX_EVIDENCE]}


def _as_json(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
