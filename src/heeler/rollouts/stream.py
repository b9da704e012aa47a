"""One completion on its way through an engine."""

import logging
import threading
from collections.abc import Sequence

import torch

from heeler.models.language.model import LanguageModel
from heeler.rollouts.generation import FinishReason, GenerationParams, OnPiece, Piece
from heeler.rollouts.text_stream import TextStream

_log = logging.getLogger(__name__)


class Stream:
    """A prompt, what has come after it, and who is told.

    Args:
        prompt_ids: not empty.
        params: how it goes on.
        on_piece: is told.
        wanted: version that is to make it; None for the newest.
    """

    def __init__(
        self, prompt_ids: Sequence[int], params: GenerationParams, on_piece: OnPiece, wanted: int | None = None
    ) -> None:
        self.prompt_ids, self.params, self.wanted = tuple(prompt_ids), params, wanted
        self.num_read = 0
        """Tokens of the prompt that the model has gone through."""
        self.token = 0
        """The one that was chosen last."""
        self.is_over = False
        self._on_piece = on_piece
        self._cancelled = threading.Event()
        self._random = torch.Generator().manual_seed(params.seed)
        self._num_new = 0
        self._version = 0
        self._most_new = params.max_new_tokens
        self._end_ids: tuple[int, ...] = ()
        self._text: TextStream | None = None
        self._waiting: list[tuple[int, float, tuple[tuple[int, float], ...]]] = []

    def cancel(self) -> None:
        """See `Ticket`."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self._cancelled.is_set()

    def begin(self, model: LanguageModel, version: int, max_length: int) -> None:
        """It was taken on by a model, and stays with it."""
        self._version = version
        self._end_ids = model.end_ids
        self._text = TextStream(model, self.params.stop)
        self._most_new = min(self.params.max_new_tokens, max_length - len(self.prompt_ids))

    @property
    def place(self) -> int:
        """Where the chosen token goes."""
        return len(self.prompt_ids) + self._num_new - 1

    def uniform(self) -> float:
        """The next of its random numbers."""
        return float(torch.rand((), generator=self._random))

    def take(self, token: int, logprob: float, top: tuple[tuple[int, float], ...]) -> None:
        """The model has chosen a token: say what can be said, and notice the end."""
        assert self._text is not None
        self.token = token
        self._num_new += 1
        self._waiting.append((token, logprob, top))
        has_ended = token in self._end_ids
        text = "" if has_ended else self._text.push(token)
        if has_ended or self._text.has_stopped:
            self.finish("stop", text)
        elif self._num_new >= self._most_new:
            self.finish("length", text)
        elif text:
            self._tell(text, None)

    def finish(self, reason: FinishReason, text: str = "", error: str | None = None) -> None:
        """Send the last piece."""
        if self.is_over:
            return
        self.is_over = True
        rest = self._text.finish() if self._text is not None else ""
        self._tell(text + rest, reason, error)

    def _tell(self, text: str, reason: FinishReason | None, error: str | None = None) -> None:
        waiting, self._waiting = self._waiting, []
        piece = Piece(
            token_ids=tuple(token for token, _, _ in waiting),
            text=text,
            logprobs=tuple(logprob for _, logprob, _ in waiting),
            top_logprobs=tuple(top for _, _, top in waiting) if self.params.top_logprobs else (),
            finish_reason=reason,
            version=self._version,
            error=error,
        )
        try:
            self._on_piece(piece)
        except Exception:
            # Whoever asked has failed; the others must not.
            _log.exception("a completion is cancelled, as what takes its pieces failed")
            self.cancel()
