"""What somebody who is asked is shown of a segment, as pydantic models."""

from pydantic import BaseModel, Field

from heeler.service.bodies import Body


class FilmOut(BaseModel):
    """A sheet of pictures in rows, from left to right and down."""

    columns: int
    width: int = Field(description="pixels of one picture")
    height: int
    steps: list[int] = Field(description="the step that each picture shows")


class ActionsOut(BaseModel):
    """What an agent may do."""

    discrete: bool
    size: int
    low: list[float | None] | None = Field(description="of each number; null where there is no bound, or it is unknown")
    high: list[float | None] | None
    counts: list[int] | None = Field(description="of discrete actions, how many there are; null where it is unknown")


class CurvesOut(BaseModel):
    """Numbers over time, some steps left out of a long segment and some numbers of a wide one."""

    steps: list[int]
    observation: list[list[float]] = Field(description="of each step, the first numbers")
    action: list[list[float]] = Field(description="of each step")


class MessageOut(BaseModel):
    """A message of a prompt."""

    role: str = Field(description="`text` where the prompt is plain text and no chat")
    content: str


class TextOut(BaseModel):
    """A prompt and what came of it."""

    prompt: list[MessageOut]
    completion: str


class ShownOut(BaseModel):
    """What is to be judged: a text, or a stretch of behaviour in a world. Who made it and what it was worth are not
    told.
    """

    num_steps: int = Field(description="of a text, the characters (Unicode code points) of its completion")
    text: TextOut | None = None
    step_s: float | None = Field(default=None, description="seconds of the world's own time that a step takes")
    film: FilmOut | None = Field(default=None, description="null where the world cannot be drawn")
    actions: ActionsOut | None = None
    curves: CurvesOut | None = None
    can_drive: bool = Field(default=False, description="whether somebody may show how it is done, by keyboard")


class DriveStepsBody(Body):
    """What is done next."""

    actions: list[list[float]] = Field(min_length=1, max_length=100)


class DriveOut(BaseModel):
    """Where a driven world stands."""

    num_steps: int
    max_steps: int
    step_s: float
    actions: ActionsOut
    observation: list[float]
    picture: str | None = Field(description="a WebP picture in base64; null where the world cannot be drawn")
    ended: bool = Field(description="the episode is over: nothing but finishing or beginning anew is left")


class DrivenOut(BaseModel):
    """What was shown, now a segment."""

    segment_id: str
    num_steps: int
