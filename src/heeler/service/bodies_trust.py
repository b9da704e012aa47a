"""What goes out about who can be trusted."""

from pydantic import BaseModel


class TrustedOut(BaseModel):
    """What is known of one person who answered."""

    person_id: str
    kind: str
    verdict: str
    reason: str
    num_answers: int
    reliability: float
    low: float
    high: float
    hostile: float
    lean: float
    looked: float
    weight: float
    with_others: list[str]


class TrustOut(BaseModel):
    """What is known of everybody who answered in a run."""

    told_by: str
    num_answers: int
    too_fast_s: float
    changed_after: list[int]
    people: list[TrustedOut]
