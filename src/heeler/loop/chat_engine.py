"""A language model as what a chat is answered by: between the service's event loop and the engine's thread."""

import asyncio
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from heeler.core.chat import ChatModel, ChatPiece, ChatRequest, ChatToken, FinishReason
from heeler.core.errors import ChatStopped, ContextTooLong, RunError
from heeler.models.language.model import LanguageModel
from heeler.rollouts.generation import GenerationParams, Piece, TextEngine, Ticket

_log = logging.getLogger("heeler.serving")


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedVersion:
    """A version of a model that may answer."""

    model: LanguageModel
    version: int
    """Of the policy."""
    release_id: str | None = None
    """Of the release that put it into use; None for the model before any release."""
    step: int = 0
    """At which the learner had made it."""
    checkpoint_sha256: str | None = None
    loaded_unix_s: float = field(default_factory=time.time)


class LanguageChat:
    """Answers a chat by one version of a model at a time, and by a second one in a share of the conversations while
    that is tried. Versions are exchanged between two answers.

    Args:
        name: under which the model is asked.
        first: the version to begin with.
        engine: makes the completions, from the first version's model; closed with this.
        max_length: tokens of a prompt and its answer together.
    """

    def __init__(self, name: str, first: ServedVersion, engine: TextEngine, *, max_length: int) -> None:
        self.name, self._engine, self._max_length = name, engine, max_length
        self._lock = threading.Lock()
        self._current = self._loaded = first
        self._why_not: str | None = None
        self._tried: ServedVersion | None = None
        self._share = 0.0
        self.on_ask: Callable[[], None] = lambda: None
        """Called before each answer, and whenever somebody asks which version is in use; see `ReleaseWatch`."""
        self.on_close: Callable[[], None] = lambda: None

    @property
    def current(self) -> ServedVersion:
        """The version that was put into use last."""
        return self._current

    def put(self, version: ServedVersion) -> None:
        """Have the next answer given by this version; those on their way end on theirs."""
        with self._lock:
            if version is not self._loaded:
                self._engine.swap(version.model, version.version)
                self._loaded = version
            if version is not self._current or self._why_not is not None:
                _log.info("%s answers by version %d now", self.name, version.version)
            self._current, self._why_not = version, None

    def take_back(self, why: str) -> None:
        """Have nobody answered until another version is put into use."""
        with self._lock:
            self._why_not = why

    def try_out(self, version: ServedVersion | None, share: float = 0.0) -> None:
        """Have a share of the conversations answered by this version, beside the one in use; None for none of them.

        A conversation stays with whichever version it began with, for as long as that is there.
        """
        with self._lock:
            if version is not self._tried:
                if version is None:
                    self._engine.take_aside()
                else:
                    self._engine.put_beside(version.model, version.version)
                    _log.info("%s answers %.0f %% by version %d", self.name, 100 * share, version.version)
            self._tried, self._share = version, share

    def model(self, version: int | None = None) -> ChatModel:
        """See `ChatEngine`."""
        self.on_ask()
        current, tried = self._in_use(), self._tried
        if tried is not None and version == tried.version:
            current = tried
        return ChatModel(
            name=self.name,
            version=current.version,
            step=current.step,
            checkpoint_sha256=current.checkpoint_sha256,
            max_tokens=min(self._max_length, current.model.max_length),
            since_unix_s=current.loaded_unix_s,
        )

    def _in_use(self) -> ServedVersion:
        with self._lock:
            if self._why_not is not None:
                raise ChatStopped(self._why_not)
            return self._current

    async def start(self, request: ChatRequest) -> "_Stream":
        """See `ChatEngine`."""
        # A long prompt takes its time, in which others are to be answered.
        chosen = self._chosen(request)
        model = chosen.model
        ids = await asyncio.to_thread(lambda: model.prompt_ids(request.messages).tolist())
        params = self._params(request, ids, min(self._max_length, model.max_length))
        stream = _Stream(len(ids), model.text_of if request.logprobs else None)
        self._in_use()
        stream.ticket = self._engine.submit(ids, params, stream.take, version=chosen.version)
        return stream

    def _chosen(self, request: ChatRequest) -> ServedVersion:
        """The version that answers: the one that is tried in its share of the conversations, always the same ones."""
        current, tried = self._in_use(), self._tried
        if tried is None or request.version == current.version:
            return current
        # A conversation that nobody named is one of its own.
        name = request.conversation or secrets.token_hex(16)
        digest = hashlib.sha256(f"{tried.release_id} {name}".encode()).digest()
        return tried if int.from_bytes(digest[:8], "big") < self._share * 2**64 else current

    def _params(self, request: ChatRequest, ids: Sequence[int], most: int) -> GenerationParams:
        room = most - len(ids)
        if room < (request.max_tokens or 1):
            asked = f" and the answer's {request.max_tokens}" if request.max_tokens else ""
            raise ContextTooLong(
                f"messages: the prompt's {len(ids)} tokens{asked} do not fit into the context of {most}; shorten them"
            )
        seed = {} if request.seed is None else {"seed": request.seed}
        return GenerationParams(
            max_new_tokens=request.max_tokens or room,
            temperature=request.temperature,
            top_p=request.top_p,
            stop=request.stop,
            **seed,
        )

    def close(self) -> None:
        """See `ChatEngine`."""
        self.on_close()
        self._engine.close()


class _Stream:
    """One answer: the engine's thread puts its pieces in, the event loop takes them out."""

    def __init__(self, num_prompt_tokens: int, text_of: Callable[[Sequence[int]], str] | None) -> None:
        self.num_prompt_tokens, self._text_of = num_prompt_tokens, text_of
        self.ticket: Ticket | None = None
        self._loop = asyncio.get_running_loop()
        # No more than the tokens of one answer ever wait here.
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue()

    def take(self, piece: Piece) -> None:
        """Called by the engine."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def __aiter__(self) -> AsyncIterator[ChatPiece]:
        """The pieces, as they come."""
        reason = None
        while reason is None:
            piece = await self._pieces.get()
            if piece.finish_reason == "error":
                _log.error("an answer failed: %s", piece.error)
                raise RunError("the model failed to answer; the log of the service says why")
            if piece.finish_reason == "cancelled":
                raise RunError("the answer was cut short: the model is being closed")
            reason = piece.finish_reason
            yield self._chat_piece(piece, reason)

    def _chat_piece(self, piece: Piece, reason: FinishReason | None) -> ChatPiece:
        tokens: tuple[ChatToken, ...] = ()
        if self._text_of is not None:
            told = zip(piece.token_ids, piece.logprobs, strict=True)
            tokens = tuple(ChatToken(text=self._text_of([token]), logprob=logprob) for token, logprob in told)
        return ChatPiece(
            text=piece.text,
            num_tokens=len(piece.token_ids),
            version=piece.version,
            finish_reason=reason,
            tokens=tokens,
        )

    def cancel(self) -> None:
        """Nobody waits for the rest."""
        if self.ticket is not None:
            self.ticket.cancel()
