"""Text from tokens as they come: no half characters, and nothing of a string that ends the text."""

from collections.abc import Sequence

from heeler.models.language.model import LanguageModel

# Bytes of a character that has not ended, each of which may be shown as a replacement.
_MOST_UNFINISHED = 3
_REPLACEMENT = "�"


class TextStream:
    """What may be shown of a completion so far.

    Args:
        model: its tokenizer is used.
        stop: strings that end the text; they are not part of it.
    """

    def __init__(self, model: LanguageModel, stop: Sequence[str] = ()) -> None:
        self._model = model
        self._stop = tuple(stop)
        self._ids: list[int] = []
        # Decoding begins a little before what is new, as a token's text may depend on the one before it.
        self._context = 0
        self._num_read = 0
        self._held = ""
        self.has_stopped = False
        """Whether one of the strings has come."""

    def push(self, token: int) -> str:
        """Text that can be shown now that this token has come."""
        self._ids.append(token)
        shown = self._model.text_of(self._ids[self._context : self._num_read])
        text = self._model.text_of(self._ids[self._context :])
        ready = _without_unfinished(text)
        if len(ready) <= len(shown) or not ready.startswith(shown):
            return ""
        if ready == text:
            self._context, self._num_read = self._num_read, len(self._ids)
            return self._cleared(ready[len(shown) :])
        return ""

    def finish(self) -> str:
        """What was held back and turned out to be text after all; half a character at the end is left out."""
        shown = self._model.text_of(self._ids[self._context : self._num_read])
        text = _without_unfinished(self._model.text_of(self._ids[self._context :]))
        rest = text[len(shown) :] if text.startswith(shown) else ""
        self._context = self._num_read = len(self._ids)
        ready = self._cleared(rest)
        if self.has_stopped:
            return ready
        held, self._held = self._held, ""
        return ready + held

    def _cleared(self, text: str) -> str:
        """All of the text but what one of the strings might begin with."""
        if self.has_stopped:
            return ""
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.has_stopped, self._held = True, ""
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _without_unfinished(text: str) -> str:
    for _ in range(_MOST_UNFINISHED):
        text = text.removesuffix(_REPLACEMENT)
    return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest beginning of `stop` with which the text ends."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
