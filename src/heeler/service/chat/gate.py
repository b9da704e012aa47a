"""Between a model and whoever reads it: nothing leaves before every guard has cleared the sentence that it is in."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from heeler.core.chat import TextGuard
from heeler.core.nouns import Message
from heeler.core.sentences import SentenceSplitter
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict

_log = logging.getLogger("heeler.service")


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a guard did, other than to let something pass."""

    guard: str
    verdict: Verdict


class KeptBack(Exception):
    """A guard keeps back what was to leave.

    Args:
        act: of the guard.
    """

    def __init__(self, act: Act) -> None:
        super().__init__(act.guard)
        self.act = act


class Gate:
    """What one answer passes on its way out. What leaves does not depend on the parts in which it came.

    Guards look in order; each sees what those before it made of a sentence.

    Args:
        guards: that look at it, in order; without any, all leaves at once.
        prompt: that is answered.
        timeout_s: a guard that takes longer has failed.
    """

    def __init__(self, guards: Sequence[TextGuard], prompt: tuple[Message, ...], *, timeout_s: float) -> None:
        self._guards, self._prompt, self._timeout_s = guards, prompt, timeout_s
        self._splitter = SentenceSplitter()
        self.left = ""
        """All that has left or may; also what came in one part with what is kept back, and before it."""
        self.acts: list[Act] = []
        """By which something was changed."""

    async def push(self, text: str) -> str:
        """Take the next part of the answer; what may leave now.

        Raises:
            KeptBack: a guard keeps back what comes next. Nothing more is to be pushed.
        """
        return await self._cleared(self._splitter.push(text) if self._guards else [text])

    async def close(self) -> str:
        """The answer has ended: what may leave of the rest.

        Raises:
            KeptBack: as `push`.
        """
        return await self._cleared(self._splitter.close())

    async def _cleared(self, sentences: Sequence[str]) -> str:
        began = len(self.left)
        for sentence in sentences:
            self.left += await self._judged(sentence)
        return self.left[began:]

    async def _judged(self, sentence: str) -> str:
        for guard in self._guards:
            columns = {"cleared": len(self.left)}
            sample = TextSample(prompt=self._prompt, completion=self.left + sentence, columns=columns)
            verdict = await review(guard, sample, timeout_s=self._timeout_s)
            if verdict.decision == "allow":
                continue
            if verdict.decision == "modify" and not isinstance(verdict.replacement, str):
                verdict = failed(guard, "its replacement is no text")
            act = Act(guard=guard.name, verdict=verdict)
            if verdict.decision != "modify":
                raise KeptBack(act)
            self.acts.append(act)
            sentence = verdict.replacement
        return sentence


async def review(guard: TextGuard, sample: TextSample, *, timeout_s: float) -> Verdict:
    """A guard's verdict; a veto where it fails or takes too long."""
    try:
        return await asyncio.wait_for(run_in_threadpool(guard.review, sample), timeout_s)
    except TimeoutError:
        return failed(guard, f"it took longer than {timeout_s:g} s")
    except Exception as error:
        _log.error("the guard %s failed", guard.name, exc_info=error)
        return failed(guard, f"it failed ({type(error).__name__})")


def failed(guard: TextGuard, why: str) -> Verdict:
    """The veto of a guard that cannot tell; nothing is learned from it."""
    reason = f"the guard {guard.name} cannot judge: {why}"
    return Verdict(decision="veto", reason=reason, evidence={"failed": True})
