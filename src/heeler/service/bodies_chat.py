"""What comes in and goes out where people talk to a model, beside OpenAI's form, as pydantic models."""

from typing import Any

from pydantic import BaseModel, Field

from heeler.service.bodies import UUID, Body


class ChatFeedbackBody(Body):
    """What somebody says of an answer."""

    key: str = Field(
        description="a UUID that the client made: the same again is the same answer", json_schema_extra=UUID
    )
    completion_id: str = Field(max_length=64, description="`id` of the completion")
    choice: int = Field(
        default=0, ge=0, lt=2**31, description="`index` of the answer, where several were given at once"
    )
    kind: str = Field(description="evaluation, rating, preference, correction or critique")
    value: dict[str, Any] = Field(
        description='{"thumbs": "up" or "down"}; {"stars": 1 to 5}; {"other": id, "other_choice": index, '
        '"better": "this", "other", "equal" or "cant_tell"}; {"text"}; {"text", "start", "end"}'
    )
    time_taken_s: float | None = None
    confidence: float | None = None


class ChatOut(BaseModel):
    """What is talked to."""

    run: str = Field(description="in whose store it is all kept")
    model: str | None = Field(description="by which it is asked; null where nobody is answered now")
    version: int | None
    system: str = Field(
        description="what the model is told first where who asks gives no system message; empty for nothing"
    )
    stopped: str | None = Field(description="in words, why nobody is answered; null where everybody is")
    compare_share: float = Field(description="how often two answers are to be asked for and compared")
    max_tokens: int | None = Field(description="of a prompt and its answer together")


class ConversationOut(BaseModel):
    """A conversation at a glance."""

    id: str
    title: str = Field(description="what it began with")
    updated_unix_s: float


class SaidOut(BaseModel):
    """A message of a conversation, as it was kept."""

    role: str
    content: str
    completion_id: str | None = Field(default=None, description="of the model's own answers")
    choice: int = 0
    version: int | None = None


class ConversationDetailOut(BaseModel):
    """A conversation, without what the model is told first in each. E-mail addresses, numbers and the like stand in it
    as marks: they are not kept.
    """

    id: str
    title: str
    messages: list[SaidOut]
