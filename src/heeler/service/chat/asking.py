"""A request for an answer in OpenAI's form, read strictly: what would be ignored is refused by name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from heeler.core.chat import ChatRequest
from heeler.core.errors import did_you_mean
from heeler.core.nouns import Message
from heeler.service.bodies import Body
from heeler.service.chat.openai_problem import ChatProblem

CONVERSATION = "conversation"
MAX_CHOICES = 8
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROLES = {"developer": "system"}

_DOES_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_key": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (True,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "user": (),
    "verbosity": (),
    "web_search_options": (),
}
"""Fields of OpenAI's that are not supported, with the values that ask for nothing and so are let be."""


class TextPart(Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class MessageBody(Body):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]


class StreamOptions(Body):
    """What a stream tells beside the answer."""

    include_usage: bool = False


class CompletionBody(Body):
    """What is asked, as OpenAI's API takes it; null is as good as nothing."""

    model: str = Field(max_length=300, description="`NAME`, or `NAME@VERSION` for that version and no other")
    messages: list[MessageBody] = Field(min_length=1, max_length=1000)
    n: int = Field(default=1, ge=1, le=MAX_CHOICES, description="answers that are given at once")
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] = Field(default_factory=list[str], description="at most four")
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool = False
    metadata: dict[str, str] = Field(
        default_factory=dict[str, str], description="`conversation`: a UUID that the client made, for its own list"
    )


class UsageOut(BaseModel):
    """How much it was."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class MessageOut(BaseModel):
    """The answer."""

    role: str
    content: str


class ChoiceOut(BaseModel):
    """One answer of those that were given at once."""

    index: int
    message: MessageOut
    finish_reason: str = Field(description="stop, length, or content_filter where a guard kept something back")
    logprobs: dict[str, Any] | None


class CompletionOut(BaseModel):
    """What came of it. The id names it in feedback."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: str
    created: int
    model: str = Field(description="NAME@VERSION")
    choices: list[ChoiceOut]
    usage: UsageOut


class ModelOut(BaseModel):
    """A model that can be asked."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelsOut(BaseModel):
    """All of them."""

    object: str
    data: list[ModelOut]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that holds."""

    model: str
    request: ChatRequest
    num_choices: int
    stream: bool
    include_usage: bool
    conversation: str | None


_BODY = TypeAdapter(CompletionBody)


def read(body: bytes) -> Asked:
    """A request.

    Raises:
        ChatProblem: 400, naming the field.
    """
    fields = _fields(body)
    try:
        parsed = _BODY.validate_python(fields)
    except ValidationError as error:
        raise _of_validation(error) from error
    if parsed.max_tokens is not None and parsed.max_completion_tokens is not None:
        raise _refused("max_tokens", "is the older name of max_completion_tokens; give one of the two")
    if parsed.stream_options is not None and not parsed.stream:
        raise _refused("stream_options", "goes with stream: true only")
    conversation = _conversation(parsed.metadata)
    return Asked(
        model=parsed.model,
        request=ChatRequest(
            messages=tuple(_message(message, index) for index, message in enumerate(parsed.messages)),
            max_tokens=parsed.max_completion_tokens or parsed.max_tokens,
            temperature=parsed.temperature,
            top_p=parsed.top_p,
            stop=_stop(parsed.stop),
            seed=parsed.seed,
            logprobs=parsed.logprobs,
            conversation=conversation,
        ),
        num_choices=parsed.n,
        stream=parsed.stream,
        include_usage=parsed.stream_options is not None and parsed.stream_options.include_usage,
        conversation=conversation,
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        # Numbers that JSON does not know, and nests that no parser survives, are refused as all else that is no JSON.
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ChatProblem(
            400, f"the body is not the JSON that was expected: {error!s:.200}", code="invalid_json"
        ) from error
    if not isinstance(value, dict):
        raise ChatProblem(400, "the body is not the JSON that was expected: no object", code="invalid_json")
    given = _without_null(value)
    if isinstance(given.get("messages"), list):
        given["messages"] = [_without_null(one) if isinstance(one, dict) else one for one in given["messages"]]
    known = CompletionBody.model_fields
    for name in [name for name in given if name not in known]:
        if name not in _DOES_NOTHING:
            near = did_you_mean(name, known)
            raise ChatProblem(
                400, f"{name!a:.80}: unknown field.{near}", code="unknown_parameter", field=f"{name!a:.80}"
            )
        if not any(_same(given[name], value) for value in _DOES_NOTHING[name]):
            raise ChatProblem(
                400, f"{name}: is not supported here; leave it out", code="unsupported_parameter", field=name
            )
        del given[name]
    return given


def _without_null(fields: dict[str, Any]) -> dict[str, Any]:
    """null is how clients leave something out."""
    return {name: one for name, one in fields.items() if one is not None}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _message(message: MessageBody, index: int) -> Message:
    content = message.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    found = _UNSTORABLE.search(text)
    if found:
        raise _refused(f"messages[{index}].content", f"expected no NUL and no half surrogates, got {found[0]!a}")
    return Message(role=_ROLES.get(message.role, message.role), content=text)


def _stop(stop: str | list[str]) -> tuple[str, ...]:
    found = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(found) > 4 or any(not 1 <= len(one) <= 200 or _UNSTORABLE.search(one) for one in found):
        raise _refused("stop", "expected at most four texts of 1 to 200 characters")
    return found


def _conversation(metadata: Mapping[str, str]) -> str | None:
    for name in metadata:
        if name != CONVERSATION:
            raise _refused("metadata", f"only {CONVERSATION!r} is kept, got {name!a:.80}")
    found = metadata.get(CONVERSATION)
    if found is not None and not _UUID.fullmatch(found):
        raise _refused(f"metadata.{CONVERSATION}", f"expected a UUID in lower case, got {found!a:.80}")
    return found


def _refused(field: str, words: str) -> ChatProblem:
    return ChatProblem(400, f"{field}: {words}", code="invalid_value", field=field)


def _of_validation(error: ValidationError) -> ChatProblem:
    first = error.errors(include_url=False, include_input=False)[0]
    field = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in first["loc"]).lstrip(".")
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return ChatProblem(400, f"{field:.200}: {first['msg']}", code=code, field=f"{field:.200}")
