"""Talking to the model that is served, and saying what its answers are worth.

What is written for OpenAI's API works with the service as it is: `OpenAI(base_url=f"{url}/v1", api_key=key)`. This is
for programs that have no such client, and for what that API does not know.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from heeler.service.bodies import Page, ReceiptOut
from heeler.service.bodies_chat import ChatOut, ConversationDetailOut, ConversationOut
from heeler.service.chat.asking import CompletionOut, ModelOut, ModelsOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat, at


class Chat(Calls):
    """A chat."""

    def state(self) -> ChatOut:
        """What is talked to, and whether it answers."""
        return self._transport.read("GET", "/chat", ChatOut)

    def models(self) -> list[ModelOut]:
        """The names by which it can be asked."""
        return self._transport.read("GET", "/v1/models", ModelsOut).data

    def model(self, name: str) -> ModelOut:
        """One of them."""
        return self._transport.read("GET", at("/v1/models/{name}", name=name), ModelOut)

    def ask(
        self, model: str, messages: Sequence[Mapping[str, str]], *, conversation: str | None = None, **fields: Any
    ) -> CompletionOut:
        """Have messages answered, whole.

        Args:
            model: its name, or name and version.
            messages: `role` and `content` of each, the oldest first.
            conversation: a UUID of your own, under which it is listed; None for no list.
            fields: others of OpenAI's, such as `temperature`, `max_tokens`, `n` or `seed`.

        Raises:
            Unreachable: nobody knows whether it was answered; ask again if you want another answer.
        """
        body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in messages], **fields}
        if conversation is not None:
            body["metadata"] = {"conversation": conversation}
        return self._transport.read("POST", "/v1/chat/completions", CompletionOut, body=body, repeat=Repeat.UNSENT)

    def say(
        self,
        completion_id: str,
        kind: str,
        value: Mapping[str, Any],
        *,
        choice: int = 0,
        time_taken_s: float | None = None,
        confidence: float | None = None,
        key: str | None = None,
    ) -> ReceiptOut:
        """Say something of an answer; when this returns it is on the service's disk, once.

        Args:
            completion_id: of the answer.
            kind: evaluation, rating, preference, correction or critique.
            value: by kind; `heeler.service.chat.saying` says how each looks.
            choice: which of those given at once.
            time_taken_s: by the person, in seconds.
            confidence: from 0 to 1.
            key: a UUID, by which the same can be sent again after this has failed; a new one if not given.
        """
        body = {"key": key or str(uuid.uuid4()), "completion_id": completion_id, "choice": choice, "kind": kind}
        body |= {"value": dict(value), "time_taken_s": time_taken_s, "confidence": confidence}
        return self._transport.read("POST", "/chat/feedback", ReceiptOut, body=body)

    def conversations(self) -> Iterator[ConversationOut]:
        """One's own conversations, the newest first."""
        return self._transport.pages("/chat/conversations", Page[ConversationOut])

    def conversation(self, conversation: str) -> ConversationDetailOut:
        """One of them, as it was kept."""
        path = at("/chat/conversations/{conversation}", conversation=conversation)
        return self._transport.read("GET", path, ConversationDetailOut)

    def stop(self) -> None:
        """Have nobody answered from the next request on."""
        self._transport.send("POST", "/chat/stop")

    def resume(self) -> None:
        """Have people answered again."""
        self._transport.send("POST", "/chat/resume")
