"""One request on its way to its answers: admitted, begun, passed through the guards, kept, and only then complete."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from starlette.concurrency import run_in_threadpool

from heeler.core.chat import ChatModel, ChatRequest, ChatStream, ChatToken
from heeler.core.errors import ChatStopped
from heeler.core.nouns import Message
from heeler.feedback.text_files import MAX_COMPLETION
from heeler.service.accounts.people import Person
from heeler.service.chat.asking import Asked
from heeler.service.chat.gate import Gate, KeptBack
from heeler.service.chat.records import Given, Records
from heeler.service.chat.setup import ChatSetup

KEPT_BACK = "content_filter"
_MAX_WAITING_PARTS = 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """The next part of one of the answers. The last one says why it ended: by then the answer is kept."""

    choice: int
    text: str
    version: int
    tokens: tuple[ChatToken, ...] = ()
    finish_reason: str | None = None


class Answers:
    """The answers to one request. `close` ends what is on its way, and must be called in any case.

    Args:
        setup: of the chat.
        records: keep what is given.
        person: who asks.
        asked: what.
        prompt: the messages, as the guards have let them in.
        model: that answers.
    """

    def __init__(
        self,
        setup: ChatSetup,
        records: Records,
        *,
        person: Person,
        asked: Asked,
        prompt: tuple[Message, ...],
        model: ChatModel,
    ) -> None:
        self._setup, self._records, self._person = setup, records, person
        self.asked, self._prompt, self.model = asked, prompt, model
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.num_prompt_tokens = self.num_tokens = 0
        self._streams: list[ChatStream] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._parts: asyncio.Queue[Part | Exception] = asyncio.Queue(_MAX_WAITING_PARTS)

    async def begin(self) -> None:
        """Have all of them begun; what the engine refuses is raised here, before anything was told."""
        try:
            for choice in range(self.asked.num_choices):
                self._streams.append(await self._setup.engine.start(self._request(choice, 0)))
        except BaseException:
            self.close()
            raise
        self.num_prompt_tokens = self._streams[0].num_prompt_tokens

    def _request(self, choice: int, tried: int) -> ChatRequest:
        asked = self.asked.request
        # Answers that are given at once, or tried one after the other, must not all be the same one.
        seed = None if asked.seed is None else (asked.seed + choice + tried * 1_000_003) % 2**63
        version = self.model.version if self.asked.model == self.model.label else None
        return replace(asked, messages=self._prompt, seed=seed, version=version)

    async def parts(self) -> AsyncIterator[Part]:
        """The parts of all answers, as they come.

        Raises:
            HeelerError: one failed, or could not be kept; the others end as well.
        """
        self._tasks = [asyncio.create_task(self._give(choice, stream)) for choice, stream in enumerate(self._streams)]
        num_ended = 0
        while num_ended < len(self._tasks):
            part = await self._parts.get()
            if isinstance(part, Exception):
                raise part
            num_ended += part.finish_reason is not None
            yield part

    def close(self) -> None:
        """End what is on its way; nobody waits for it any more."""
        for task in self._tasks:
            task.cancel()
        for stream in self._streams:
            stream.cancel()

    async def _give(self, choice: int, stream: ChatStream) -> None:
        try:
            for tried in range(self._setup.num_tries):
                if tried > 0:
                    stream = await self._setup.engine.start(self._request(choice, tried))
                    self._streams.append(stream)
                if await self._try(choice, stream, is_last=tried == self._setup.num_tries - 1):
                    return
        except Exception as error:
            await self._parts.put(error)

    async def _try(self, choice: int, stream: ChatStream, *, is_last: bool) -> bool:
        """Give one answer; False where it was kept back before anything of it had left, and another may be tried."""
        gate = Gate(self._setup.outgoing, self._prompt, timeout_s=self._setup.guard_timeout_s)
        made, version, num_told = "", self.model.version, 0
        try:
            async for piece in stream:
                if self._records.is_stopped:
                    raise ChatStopped("an operator has stopped this model")
                # A NUL is in no text that is kept, and what is kept is what was shown.
                text = piece.text.replace("\0", "\ufffd")[: MAX_COMPLETION - len(made)]
                made, version, reason = made + text, piece.version, piece.finish_reason
                self.num_tokens += piece.num_tokens
                if reason is None and len(made) == MAX_COMPLETION:
                    reason = "length"
                told = await gate.push(text)
                if reason is not None:
                    told += await gate.close()
                    await self._keep(choice, version, gate, made)
                if told or piece.tokens or reason is not None:
                    part = Part(choice=choice, text=told, version=version, tokens=piece.tokens, finish_reason=reason)
                    await self._parts.put(part)
                    num_told += len(told)
                if reason is not None:
                    return True
        except KeptBack as kept:
            if not await self._keep_back(choice, version, gate, made, kept, is_last=is_last):
                return False
            told = gate.left[num_told:] if gate.left else self._setup.refusal
            await self._parts.put(Part(choice=choice, text=told, version=version, finish_reason=KEPT_BACK))
            return True
        finally:
            stream.cancel()
        raise ChatStopped("the model went away before it had answered; ask again")

    def _given(self, choice: int, version: int, text: str) -> Given:
        return Given(
            id=self.id,
            choice=choice,
            person=self._person,
            conversation=self.asked.conversation,
            prompt=self._prompt,
            text=text,
            version=version,
        )

    async def _keep(self, choice: int, version: int, gate: Gate, made: str) -> None:
        await run_in_threadpool(self._records.keep, self._given(choice, version, gate.left))
        if gate.acts:
            given = self._given(choice, version, made)
            await run_in_threadpool(self._records.keep_acts, given, gate.acts, gate.left)

    async def _keep_back(
        self, choice: int, version: int, gate: Gate, made: str, kept: KeptBack, *, is_last: bool
    ) -> bool:
        """Note what guards did; False where another answer may be tried."""
        acts = [*gate.acts, kept.act]
        await run_in_threadpool(self._records.keep_acts, self._given(choice, version, made), acts, None)
        if not gate.left and kept.act.verdict.decision == "veto" and not is_last:
            return False
        if gate.left:
            # What has left is seen, and people may have something to say of it.
            await run_in_threadpool(self._records.keep, self._given(choice, version, gate.left))
        return True
