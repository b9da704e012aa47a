"""What comes in and goes out about gold items."""

from typing import Any

from pydantic import BaseModel

from heeler.service.bodies import Body


class GoldBody(Body):
    """A query, and the right answer to it."""

    query_id: str
    value: dict[str, Any]


class GoldOut(BaseModel):
    """A gold item."""

    query_id: str
    kind: str
    value: dict[str, Any]
    person: str
    added_unix_s: float


class GoldResultOut(BaseModel):
    """How somebody did on gold items."""

    person_id: str
    num_asked: int
    num_right: int
