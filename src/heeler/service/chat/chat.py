"""The chat of a service: who is let in, how much at once, and what guards have to say of what comes in."""

from starlette.concurrency import run_in_threadpool

from heeler.core.errors import ContextTooLong
from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.service.audit import Audit
from heeler.service.callers import Caller
from heeler.service.chat.answers import Answers
from heeler.service.chat.asking import Asked
from heeler.service.chat.gate import Act, failed, review
from heeler.service.chat.openai_problem import ChatProblem
from heeler.service.chat.records import Records
from heeler.service.chat.setup import ChatSetup
from heeler.service.runs import Runs


class Chat:
    """A model that people and programs talk to.

    Args:
        setup: the model, and what guards it.
        runs: of the service.
        audit: takes a line for acts of operators and guards.
    """

    def __init__(self, setup: ChatSetup, runs: Runs, audit: Audit) -> None:
        self.setup = setup
        self.records = Records(runs, setup.run, setup.engine, audit)
        self._num_each: dict[str, int] = {}

    async def begin(self, caller: Caller, asked: Asked) -> "Place":
        """Have a request's answers begun; what they hold is let go of by the place's `close`.

        Raises:
            ChatProblem: there is no such model, too much is asked at once, or a guard keeps the prompt out.
            ChatStopped: nobody is answered now.
            ContextTooLong: the prompt does not fit.
        """
        model = await run_in_threadpool(self.records.ready, caller.person)
        if asked.model not in (model.name, model.label):
            known = f"{model.name!r}, or {model.label!r} for the version that is in use"
            raise ChatProblem(
                404, f"model: there is no {asked.model!a:.120}; expected {known}", code="model_not_found", field="model"
            )
        if asked.request.logprobs and self.setup.outgoing:
            # They tell of tokens that were not cleared yet.
            raise ChatProblem(
                400,
                "logprobs: are not told where guards look at answers",
                code="unsupported_parameter",
                field="logprobs",
            )
        place = self._place(caller.credential, asked.num_choices)
        first = self._told_first(asked.request.messages)
        try:
            # Guards look at what people said, and not at what the operator did.
            prompt = first + await self._let_in(asked.request.messages)
            answers = Answers(self.setup, self.records, person=caller.person, asked=asked, prompt=prompt, model=model)
            place.answers = answers
            await answers.begin()
        except ContextTooLong as error:
            place.close()
            counts = " (what this service tells the model first counts too)" if first else ""
            raise ContextTooLong(f"{error}{counts}") from error
        except BaseException:
            place.close()
            raise
        return place

    def _place(self, credential: str, number: int) -> "Place":
        num_all, num_mine = sum(self._num_each.values()), self._num_each.get(credential, 0)
        if num_mine + number > self.setup.max_answers_each:
            most = self.setup.max_answers_each
            raise ChatProblem(
                429, f"expected at most {most} answers at once, got {num_mine + number}", code="too_many_at_once"
            )
        if num_all + number > self.setup.max_answers:
            raise ChatProblem(503, "the model gives as many answers at once as it can; try again", code="overloaded")
        return Place(self._num_each, credential, number)

    def _told_first(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The operator's system message, where there is one and the client gives none."""
        if not self.setup.system or any(message.role == "system" for message in messages):
            return ()
        return (Message(role="system", content=self.setup.system),)

    async def _let_in(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        for guard in self.setup.incoming:
            sample = TextSample(prompt=messages, completion="")
            verdict = await review(guard, sample, timeout_s=self.setup.guard_timeout_s)
            if verdict.decision == "allow":
                continue
            if verdict.decision == "modify" and not _is_prompt(verdict.replacement):
                verdict = failed(guard, "its replacement is no prompt")
            await run_in_threadpool(self.records.note_act, Act(guard=guard.name, verdict=verdict), "incoming")
            if verdict.decision == "modify":
                messages = tuple(verdict.replacement)
                continue
            if verdict.evidence.get("failed"):
                raise ChatProblem(503, "a guard failed, and so nothing is let in; try again", code="guard_failed")
            words = verdict.reason or f"the guard {guard.name} keeps it out"
            raise ChatProblem(400, f"messages: {words}", code="content_filter", field="messages")
        return messages

    def close(self) -> None:
        """Let go of the model."""
        self.setup.engine.close()


class Place:
    """Room for a request's answers, until it is closed.

    Args:
        num_each: answers on their way, by credential.
        credential: of who asks.
        number: of answers.
    """

    answers: Answers | None = None

    def __init__(self, num_each: dict[str, int], credential: str, number: int) -> None:
        self._num_each, self._credential, self._number = num_each, credential, number
        num_each[credential] = num_each.get(credential, 0) + number

    def close(self) -> None:
        """Give the room back, and end what is on its way; a second time does nothing."""
        if self.answers is not None:
            self.answers.close()
        left = self._num_each.get(self._credential, 0) - self._number
        self._number = 0
        if left > 0:
            self._num_each[self._credential] = left
        else:
            self._num_each.pop(self._credential, None)


def _is_prompt(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Message) for one in value)
