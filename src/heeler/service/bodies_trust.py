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


class LabellerOut(BaseModel):
    """What is known of one person by their labels of one kind."""

    person_id: str
    kind: str
    verdict: str
    reason: str
    num_labels: int
    right: float
    low: float
    high: float
    says: dict[str, dict[str, float]]


class LabelsOut(BaseModel):
    """What labels of one kind tell of those who gave them."""

    kind: str
    num_labels: int
    num_shared: int
    people: list[LabellerOut]


class TrustOut(BaseModel):
    """What is known of everybody who answered in a run."""

    told_by: str
    num_answers: int
    too_fast_s: float
    changed_after: list[int]
    people: list[TrustedOut]
    labels: list[LabelsOut] = []
