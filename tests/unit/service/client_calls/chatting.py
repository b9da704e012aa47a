"""Calls about chat."""

import uuid

import pytest

from heeler.service.client import Invalid, NotFound
from tests.unit.service.client_calls.world import Calls, World

calls = Calls()

HI = [{"role": "user", "content": "Hi"}]


@calls.of("GET /chat")
def _(w: World) -> None:
    assert (w.ann.chat.state().model, w.ann.chat.state().version) == ("tiny", 3)


@calls.of("POST /v1/chat/completions")
def _(w: World) -> None:
    found = w.ann.chat.ask("tiny", HI, n=2, temperature=0.5)
    assert found.model == "tiny@3"
    assert all(choice.message.content.startswith("You said Hi") for choice in found.choices)
    with pytest.raises(Invalid, match=r"'surprise': unknown field") as refused:
        w.ann.chat.ask("tiny", HI, surprise=1)
    assert refused.value.field == "'surprise'"
    with pytest.raises(NotFound, match="expected 'tiny'"):
        w.ann.chat.ask("other", HI)


@calls.of("GET /v1/models")
def _(w: World) -> None:
    assert [model.id for model in w.ann.chat.models()] == ["tiny", "tiny@3"]


@calls.of("GET /v1/models/{model}")
def _(w: World) -> None:
    assert w.ann.chat.model("tiny@3").owned_by == "heeler"


@calls.of("POST /chat/feedback")
def _(w: World) -> None:
    answer, key = w.ann.chat.ask("tiny", HI), str(uuid.uuid4())
    first = w.ann.chat.say(answer.id, "rating", {"stars": 5}, key=key)
    assert w.ann.chat.say(answer.id, "rating", {"stars": 5}, key=key) == first
    with pytest.raises(NotFound):
        w.boss.chat.say(answer.id, "rating", {"stars": 5})


@calls.of("GET /chat/conversations")
def _(w: World) -> None:
    conversation = str(uuid.uuid4())
    w.ann.chat.ask("tiny", HI, conversation=conversation)
    assert next(w.ann.chat.conversations()).id == conversation


@calls.of("GET /chat/conversations/{conversation}")
def _(w: World) -> None:
    conversation = str(uuid.uuid4())
    answer = w.ann.chat.ask("tiny", HI, conversation=conversation)
    messages = w.ann.chat.conversation(conversation).messages
    assert [message.completion_id for message in messages] == [None, answer.id]


@calls.of("POST /chat/stop")
def _(w: World) -> None:
    w.boss.chat.stop()
    assert "stopped" in (w.ann.chat.state().stopped or "")
    w.boss.chat.resume()


@calls.of("POST /chat/resume")
def _(w: World) -> None:
    w.boss.chat.resume()
    assert w.ann.chat.ask("tiny", HI).choices
