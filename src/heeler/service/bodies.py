"""What comes in and goes out over HTTP, as pydantic models: the OpenAPI document is made from them."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
UUID: dict[str, Any] = {"format": "uuid"}
"""Told in the document; a UUID is checked where it is kept, which names it better."""


class Body(BaseModel):
    """What a client sends: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Page(BaseModel, Generic[T]):
    """Some of many; `next` is the cursor of the rest, null at the end."""

    items: list[T]
    next: str | None


class ProblemBody(BaseModel):
    """What goes wrong."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None


class LoginBody(Body):
    """Who signs in."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class PasswordBody(Body):
    """Another password."""

    old: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


class PersonBody(Body):
    """A new person."""

    name: str
    email: str | None = None
    kind: str = "person"
    role: str = "annotator"


class PersonChangeBody(Body):
    """What changes; what is left out stays."""

    name: str | None = None
    email: str | None = None
    role: str | None = None
    disabled: bool | None = None


class KeyBody(Body):
    """A new key."""

    person_id: str
    label: str
    scopes: list[str]
    days: float = Field(default=90, description="until it ends")


class CommandBody(Body):
    """What the learner is told."""

    id: str = Field(description="a UUID that the client made", json_schema_extra=UUID)
    kind: str
    value: int | None = None
    because: str | None = Field(
        default=None, description="why; it stands in the audit log for good, beside who did it, so name nobody"
    )


class LeaseBody(Body):
    """How many queries somebody would like to answer."""

    count: int = Field(default=1, ge=1, le=100)


class SettingsBody(Body):
    """How a run asks people; what is left out stays."""

    overlap: int | None = Field(default=None, ge=1, le=1000, description="answers of different people to each query")
    lease_s: float | None = Field(default=None, ge=5, le=7 * 86400, description="how long a query is held for somebody")
    gold_share: float | None = Field(default=None, ge=0, le=0.5, description="how often a gold item comes instead")
    compare_share: float | None = Field(
        default=None, ge=0, le=1, description="how often a chat gives two answers, to be compared"
    )


class SeenViewBody(Body):
    """What a model thought of the query, as the lease told it, and whether the person opened it."""

    opened: bool = Field(description="whether the person looked at it before the answer")
    first_better: float | None = Field(description="chance that the first of two segments is preferred, else null")
    best: list[tuple[int, int]] = Field(description="of each segment the steps that it likes most, end excluded")
    worst: list[tuple[int, int]] = Field(description="of each segment the steps that it likes least, end excluded")


class AnswerBody(Body):
    """One answer."""

    key: str = Field(
        description="a UUID that the client made: the same again is the same answer", json_schema_extra=UUID
    )
    query_id: str
    kind: str
    value: dict[str, Any]
    time_taken_s: float | None = None
    confidence: float | None = None
    view: SeenViewBody | None = Field(
        default=None, description="where the lease came with a model's view that was offered to the person; else null"
    )


class BatchBody(Body):
    """Answers that are kept all or none."""

    feedback: list[AnswerBody] = Field(min_length=1)


class PersonOut(BaseModel):
    """A person."""

    id: str
    name: str
    email: str | None
    kind: str
    role: str
    must_change_password: bool
    created_unix_s: float
    disabled_unix_s: float | None


class MeOut(BaseModel):
    """Who asks, and what they may."""

    person: PersonOut
    permissions: list[str]
    expires_unix_s: float


class OneTimePasswordOut(BaseModel):
    """A person, and the password that is told once; a program has none."""

    person: PersonOut
    one_time_password: str | None


class KeyOut(BaseModel):
    """A key without its secret."""

    id: str
    person_id: str
    prefix: str
    label: str
    scopes: list[str]
    created_unix_s: float
    expires_unix_s: float
    revoked_unix_s: float | None


class NewKeyOut(BaseModel):
    """A key, and its text, which is told once."""

    key: KeyOut
    text: str


class RunOut(BaseModel):
    """A run at a glance."""

    name: str
    recipe: str | None
    env_id: str | None
    seed: int | None
    step: int | None
    has_store: bool
    state: str = Field(description="learning, waiting for people, paused, finished, or stopped: no learner is running")
    last_row_unix_s: float | None = Field(description="when the newest row of metrics was written")


class RunDetailOut(RunOut):
    """A run."""

    config: dict[str, Any]
    metrics: dict[str, Any] | None
    stale_reward_model: str | None = Field(description="in words, where it learned from answers that were withdrawn")
    paused_by: str | None
    held: dict[str, Any] | None = Field(
        description="how interventions hold it (level: slow, freeze or fall_back), since when and why; null while free"
    )
    counts: dict[str, Any] | None


class CheckpointOut(BaseModel):
    """A checkpoint."""

    step: int
    saved_unix_s: float
    sha256: str


class CommandOut(BaseModel):
    """A command and what came of it."""

    id: str
    kind: str
    value: int | None
    person: str
    asked_unix_s: float
    done_unix_s: float | None
    outcome: str | None


class ControlOut(BaseModel):
    """One thing with which a field of the value is filled."""

    field: str
    label: str
    input: str
    choices: list[tuple[str, str]]


class FormOut(BaseModel):
    """What is asked, and how it is answered."""

    question: str
    controls: list[ControlOut]


class ShownSegmentOut(BaseModel):
    """What is to be judged; who made it and what it was worth are not told."""

    id: str
    num_steps: int


class ModelViewOut(BaseModel):
    """What the learned reward thinks of what is shown: a critique by a model, to be shown as such."""

    first_better: float | None = Field(description="chance that the first of two segments is preferred")
    best: list[tuple[int, int]] = Field(description="of each segment the steps that it likes most, end excluded")
    worst: list[tuple[int, int]] = Field(description="of each segment the steps that it likes least, end excluded")


class SeenViewOut(ModelViewOut):
    """What somebody was offered of it with a query, and whether they opened it before they answered."""

    opened: bool


class LeaseOut(BaseModel):
    """A query that waits for the caller's answer."""

    query_id: str
    kind: str
    form: FormOut
    segments: list[ShownSegmentOut]
    expires_unix_s: float
    flip: bool = Field(description="show the second segment on the left; answers name the sides as `segments` does")
    aids: bool = Field(description="people find this kind hard to judge: show it slowly, and the numbers behind them")
    view: ModelViewOut | None = Field(description="of a kind that people find hard to judge: what a model thinks of it")


class TaskOut(BaseModel):
    """A run that asks people."""

    run: str


class ReceiptOut(BaseModel):
    """An answer is on the disk."""

    key: str
    position: int


class ReceiptsOut(BaseModel):
    """Answers are on the disk, in the order of the post."""

    items: list[ReceiptOut]


class FeedbackOut(BaseModel):
    """An answer as it is kept."""

    position: int
    key: str
    query_id: str
    kind: str
    value: dict[str, Any]
    annotator: str
    time_taken_s: float | None
    confidence: float | None
    answered_step: int | None
    view: SeenViewOut | None = Field(
        description="what was offered of a model's view; null where nothing was, or nobody says"
    )


class SettingsOut(BaseModel):
    """How a run asks people."""

    overlap: int
    lease_s: float
    gold_share: float
    compare_share: float


class HealthOut(BaseModel):
    """Whether the service can do its work."""

    status: str
