"""What guards did: told to whoever keeps the log, and made feedback from which the learner learns."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heeler.core.nouns import Feedback, stable_id
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.output import failed

_log = logging.getLogger("heeler.safety")


class Guard(Protocol):
    """What looks at a text."""

    @property
    def name(self) -> str:
        """By which its acts are logged."""
        ...

    def review(self, sample: TextSample) -> Verdict:
        """Judge a text."""
        ...


@dataclass(frozen=True, kw_only=True)
class GuardAct:
    """A guard did something else than to let a text pass."""

    guard: str
    verdict: Verdict
    sample: TextSample
    """What it looked at. Logs keep the verdict alone, which holds none of the words."""


class Watched:
    """A guard whose acts are told. One that raises has vetoed; an act that cannot be told is a veto, too.

    Args:
        guard: to watch.
        on_act: told of each act before it takes effect.
    """

    def __init__(self, guard: Guard, on_act: Callable[[GuardAct], None]) -> None:
        self.name, self._guard, self._on_act = guard.name, guard, on_act

    def review(self, sample: TextSample) -> Verdict:
        """The guard's verdict."""
        try:
            verdict = self._guard.review(sample)
        except Exception as error:
            _log.error("the guard %s failed", self.name, exc_info=error)
            verdict = failed(self.name, "review", type(error).__name__)
        if verdict.decision == "allow":
            return verdict
        try:
            self._on_act(GuardAct(guard=self.name, verdict=verdict, sample=sample))
        except Exception as error:
            _log.error("an act of the guard %s could not be told", self.name, exc_info=error)
            if verdict.decision == "modify":
                return failed(self.name, "telling of an act", type(error).__name__)
        return verdict


def as_feedback(act: GuardAct, *, query_id: str) -> list[Feedback]:
    """Critiques of what an output guard found in a completion, one for each finding; none where it failed.

    A guard that cannot judge says nothing about the text, and the learner must not be taught by that.

    Args:
        act: of an output guard, on the whole completion that `query_id` asks about.
        query_id: of a query of the kind `critique`.

    Returns:
        Answers whose keys follow from the query, the guard and the finding, so that telling twice is telling once.
    """
    answers: list[Feedback] = []
    for finding in act.verdict.evidence.get("findings", ()):
        start, end = finding["start"], min(finding["end"], len(act.sample.completion))
        if start >= end:
            continue
        answers.append(
            Feedback(
                key=stable_id("guard", query_id, act.guard, finding["rule"], start, end),
                query_id=query_id,
                kind="critique",
                value={"text": f"{finding['rule']}: {finding['what']}", "start": start, "end": end},
                annotator=f"guard:{act.guard}",
            )
        )
    return answers
