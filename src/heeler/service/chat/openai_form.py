"""Answers in OpenAI's form: whole, or as the chunks of a stream."""

import json
import time
from typing import Any

from heeler.core.chat import ChatToken, label_of
from heeler.service.chat.answers import Answers, Part

DONE = b"data: [DONE]\n\n"


class Form:
    """How one request's answers are told.

    Args:
        answers: to be told.
        flip: for two answers that are to be compared, whether the second is to be shown on the left; None where nothing
            is compared.
    """

    def __init__(self, answers: Answers, *, flip: bool | None = None) -> None:
        self._answers, self._flip = answers, flip
        self._created = int(time.time())

    def first(self, choice: int, version: int) -> bytes:
        """The chunk with which an answer begins."""
        return self._chunk(version, [self._choice(choice, {"role": "assistant", "content": ""})])

    def chunk(self, part: Part) -> bytes:
        """The chunk of a part; of the last part one more, which says why it ended."""
        told = b""
        logprobs = _logprobs(part.tokens) if self._answers.asked.request.logprobs else None
        if part.text or part.tokens:
            told += self._chunk(part.version, [self._choice(part.choice, {"content": part.text}, logprobs=logprobs)])
        if part.finish_reason is not None:
            told += self._chunk(part.version, [self._choice(part.choice, {}, finish_reason=part.finish_reason)])
        return told

    def usage_chunk(self, version: int) -> bytes:
        """The chunk that says how much it was, where that was asked for."""
        return self._chunk(version, [], usage=self._usage())

    def whole(self, parts: list[Part]) -> dict[str, Any]:
        """All of it at once."""
        choices: list[dict[str, Any]] = []
        for choice in range(self._answers.asked.num_choices):
            mine = [part for part in parts if part.choice == choice]
            tokens = tuple(token for part in mine for token in part.tokens)
            message = {"role": "assistant", "content": "".join(part.text for part in mine)}
            logprobs = _logprobs(tokens) if self._answers.asked.request.logprobs else None
            finish = mine[-1].finish_reason
            choices.append({"index": choice, "message": message, "finish_reason": finish, "logprobs": logprobs})
        head = self._head("chat.completion", parts[0].version)
        return head | {"choices": choices, "usage": self._usage()}

    def _head(self, kind: str, version: int) -> dict[str, Any]:
        model = label_of(self._answers.model.name, version)
        return {"id": self._answers.id, "object": kind, "created": self._created, "model": model}

    def _choice(self, choice: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"index": choice, "delta": delta, "finish_reason": None, "logprobs": None} | more

    def _chunk(self, version: int, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = self._head("chat.completion.chunk", version) | {"choices": choices} | more
        if self._answers.asked.include_usage and not more:
            body["usage"] = None
        if self._flip is not None:
            body["flip"] = self._flip
        return b"data: %b\n\n" % json.dumps(body, separators=(",", ":")).encode()

    def _usage(self) -> dict[str, int]:
        asked, given = self._answers.num_prompt_tokens, self._answers.num_tokens
        return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}


def _logprobs(tokens: tuple[ChatToken, ...]) -> dict[str, Any]:
    told = [
        {
            "token": one.text,
            "logprob": one.logprob,
            "bytes": list(one.text.encode("utf-8", "replace")),
            "top_logprobs": [],
        }
        for one in tokens
    ]
    return {"content": told, "refusal": None}
