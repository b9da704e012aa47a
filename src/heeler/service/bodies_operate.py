"""What operators see and send, as pydantic models."""

from typing import Any

from pydantic import BaseModel, Field

from heeler.service.bodies import Body, Page


class SeriesOut(BaseModel):
    """Figures over steps for a chart."""

    step: list[int]
    values: dict[str, list[float | None]]
    every: int = Field(description="one row of so many is here; the newest always is")


class AlarmOut(BaseModel):
    """Something that somebody should look at."""

    name: str
    severity: str = Field(description="warn or bad")
    since_step: int | None
    words: str
    advice: str


class AlarmsOut(BaseModel):
    """Every alarm that stands."""

    items: list[AlarmOut]


class SheetOut(BaseModel):
    """How the pictures of a clip lie on their sheet: in rows, from left to right and down."""

    columns: int
    rows: int
    num_pictures: int
    width: int = Field(description="pixels of one picture")
    height: int


class ClipOut(BaseModel):
    """The newest clip of a run."""

    can_be_drawn: bool = Field(description="whether heeler can draw this run's world; where not, there are no clips")
    step: int | None = Field(description="environment steps at its end; null where nothing was recorded yet")
    fps: float | None
    sheet: SheetOut | None


class AuditEntryOut(BaseModel):
    """A line of an audit log."""

    log: str = Field(description="service, or run for what the learner wrote")
    number: int
    unix_s: float
    person: str
    act: str
    subject: str
    details: dict[str, Any]
    sha256: str


class AuditCheckOut(BaseModel):
    """Whether a log is as it was written."""

    log: str
    is_sound: bool
    num_entries: int
    head: str
    problems: list[str]


class AuditPageOut(Page[AuditEntryOut]):
    """A page of one or two logs, the newest entry first."""

    checks: list[AuditCheckOut] | None = Field(description="of each log; null where it was not asked for")


class OperatorOut(BaseModel):
    """Somebody who steers runs."""

    id: str
    name: str


class ReleaseBody(Body):
    """A checkpoint that is proposed for release."""

    id: str = Field(description="a UUID that the client made")
    step: int = Field(ge=0, le=10**15)


class ReleaseOut(BaseModel):
    """A release and where it stands."""

    id: str
    state: str = Field(description="proposed, in use, approved (another is in use), or withdrawn")
    step: int
    checkpoint_sha256: str
    policy_version: int | None
    answers: int | None
    audit_head: str
    proposed_by: str
    proposed_unix_s: float
    approved_by: str | None
    approved_unix_s: float | None
    withdrawn_by: str | None
    withdrawn_unix_s: float | None
