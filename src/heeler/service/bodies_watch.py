"""A run that is watched while it acts, and what is pressed meanwhile, as pydantic models."""

from typing import Literal

from pydantic import BaseModel, Field

from heeler.service.bodies import UUID, Body
from heeler.service.bodies_shown import FilmOut


class StretchOut(BaseModel):
    """A stretch of what the agent did, to be shown once, at the run's pace, after the one before it."""

    number: int = Field(description="what comes later is asked for by it")
    query_id: str
    first_step: int = Field(description="of the run")
    num_steps: int
    begins: bool = Field(description="whether an episode begins with it")
    film: FilmOut | None = Field(description="null where the world cannot be drawn")
    observation: list[list[float]] = Field(description="of each step, the first numbers")
    action: list[list[float]] = Field(description="of each step, what was done")


class WatchOut(BaseModel):
    """What there is to see."""

    env_id: str
    steps_per_second: float
    held_s: float = Field(description="for how long after a stretch's end a press about it is still taken")
    minutes: float = Field(description="shown so far")
    num_signals: int = Field(description="that were learned from")
    state: str = Field(description="of the run")
    items: list[StretchOut]


class MarkBody(Body):
    """Somebody pressed good or bad."""

    key: str = Field(
        description="a UUID that the client made: the same again is the same press", json_schema_extra=UUID
    )
    query_id: str = Field(description="of the stretch that was on the screen")
    time_s: float = Field(description="since the stretch came on the screen, by the clock of whoever saw it")
    sign: Literal[-1, 1] = Field(description="1 for good, -1 for bad")
