"""Between a model and whoever reads it: nothing leaves before every guard has cleared its sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heeler.core.nouns import Message
from heeler.core.sentences import SentenceSplitter
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.acts import Guard
from heeler.safety.text_guards.output import failed

ALLOWED = Verdict(decision="allow")


class GuardedStream:
    """One answer on its way out. What leaves does not depend on the pieces in which it came.

    Args:
        guards: in the order in which they look; each sees what those before it made of a sentence.
        prompt: that is answered.
        max_hold: characters after which a sentence without an end is judged as far as it came.

    Example:
        >>> stream = GuardedStream([], ())
        >>> stream.push("The shop is open now. It clo"), stream.push("ses at six."), stream.close()
        ('The shop is open now.', '', ' It closes at six.')
    """

    def __init__(self, guards: Sequence[Guard], prompt: tuple[Message, ...], *, max_hold: int = 400) -> None:
        self._guards, self._prompt = tuple(guards), prompt
        self._splitter = SentenceSplitter(max_length=max_hold, min_length=min(20, max_hold // 2))
        self.left = ""
        """All that has left."""
        self.verdict = ALLOWED
        """`allow`, `modify` once something was replaced, or the `veto` or `halt` that ended it."""

    @property
    def is_over(self) -> bool:
        """Whether a guard keeps the rest back."""
        return self.verdict.decision in ("veto", "halt")

    def push(self, piece: str) -> str:
        """Take the next piece; what may leave now. After a veto nothing does."""
        return "" if self.is_over else self._cleared(self._splitter.push(piece))

    def close(self) -> str:
        """The answer has ended: what may leave of the rest."""
        return "" if self.is_over else self._cleared(self._splitter.close())

    def _cleared(self, ended: Sequence[str]) -> str:
        began = len(self.left)
        for sentence in ended:
            judged = self._judged(sentence)
            if judged is None:
                break
            self.left += judged
        return self.left[began:]

    def _judged(self, sentence: str) -> str | None:
        for guard in self._guards:
            columns = {"cleared": len(self.left)}
            sample = TextSample(prompt=self._prompt, completion=self.left + sentence, columns=columns)
            try:
                verdict = guard.review(sample)
            except Exception as error:
                verdict = failed(guard.name, "review", type(error).__name__)
            if verdict.decision == "allow":
                continue
            if verdict.decision == "modify" and not isinstance(verdict.replacement, str):
                verdict = failed(guard.name, "replacement", "it is no text")
            self.verdict = verdict
            if verdict.decision != "modify":
                return None
            sentence = verdict.replacement
        return sentence


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """An answer that guards have looked at."""

    text: str
    """What may be read; empty where it was kept back."""
    verdict: Verdict
    num_samples: int = 1
    """How many were drawn."""


def clear(guards: Sequence[Guard], prompt: tuple[Message, ...], text: str) -> Cleared:
    """Judge a whole answer, sentence by sentence as a stream is; kept back as a whole where a sentence is."""
    stream = GuardedStream(guards, prompt)
    cleared = stream.push(text) + stream.close()
    return Cleared(text="" if stream.is_over else cleared, verdict=stream.verdict)


def first_cleared(
    draw: Callable[[int], str], guards: Sequence[Guard], prompt: tuple[Message, ...], *, num_tries: int
) -> Cleared:
    """The first sample that guards clear; the last verdict where none is. A `halt` ends it at once.

    Args:
        draw: gives another sample each time; takes its number, from 0 on.
        guards: that look.
        prompt: that is answered.
        num_tries: samples at most, at least one.
    """
    cleared = clear(guards, prompt, draw(0))
    for number in range(1, num_tries):
        if cleared.verdict.decision != "veto":
            break
        again = clear(guards, prompt, draw(number))
        cleared = Cleared(text=again.text, verdict=again.verdict, num_samples=number + 1)
    return cleared
