"""What comes in and goes out about people's care: consent, limits, preferences, flags, time, pay, being forgotten."""

from typing import Literal

from pydantic import BaseModel, Field

from heeler.service.bodies import Body


class ConsentBody(Body):
    """What somebody agrees to."""

    version: str = Field(min_length=1, max_length=40)
    text_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ConsentTextBody(Body):
    """A new text; everybody is asked again."""

    text: str = Field(min_length=1, max_length=20_000)


class ConsentTextOut(BaseModel):
    """The text that people agree to before they answer."""

    version: str
    text: str
    text_sha256: str
    created_unix_s: float


class ConsentOut(BaseModel):
    """What somebody agreed to, and when."""

    version: str
    text_sha256: str
    agreed_unix_s: float


class OwnConsentOut(ConsentTextOut):
    """The text, and whether who asks agreed to it, or to earlier ones."""

    agreed: bool
    earlier: list[ConsentOut]


class CareBody(Body):
    """How people are cared for and paid; what is left out stays, null is no limit, or what holds for everybody."""

    break_after_min: float | None = Field(default=None, ge=5, le=480)
    break_min: float = Field(default=5, ge=1, le=120)
    day_hours: float | None = Field(default=None, gt=0, le=24)
    day_items: int | None = Field(default=None, ge=1, le=100_000)
    longest_item_s: float = Field(default=120, ge=5, le=3600)
    rate_minor: int | None = Field(default=None, ge=0, le=10_000_000, description="an hour's pay in the smallest unit")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$", description="ISO 4217")


class OwnCareBody(CareBody):
    """What holds for one person; null goes back to what holds for everybody."""

    break_min: float | None = Field(default=None, ge=1, le=120)
    longest_item_s: float | None = Field(default=None, ge=5, le=3600)


class CareOut(BaseModel):
    """How people are cared for and paid."""

    break_after_min: float | None
    break_min: float
    day_hours: float | None
    day_items: int | None
    longest_item_s: float
    rate_minor: int | None
    currency: str | None


class PersonCareOut(CareOut):
    """What holds for one person."""

    own: list[str] = Field(description="which of it was set for this person, and is not what holds for everybody")


class TodayOut(BaseModel):
    """Where somebody's day stands."""

    day: str = Field(description="the date in the person's own time zone")
    time_zone: str
    next_day_unix_s: float = Field(description="when the next day begins, and limits begin anew")
    items: int
    worked_s: float
    left_s: float | None = Field(description="of the day's working time; null where there is no limit")
    left_items: int | None
    day_hours: float | None
    day_items: int | None
    break_in_s: float | None = Field(description="working time until a break is due; null where none is offered")
    break_due: bool
    break_min: float = Field(description="how long a break is")
    over: str | None = Field(description="why nothing more is asked today")


class PreferencesBody(Body):
    """What somebody chooses; what is left out stays, null goes back to how it was at first."""

    avoid: list[str] | None = Field(default=None, max_length=20, description="categories of content not to be shown")
    time_zone: str | None = Field(default=None, max_length=60, description="such as Europe/Berlin")


class PreferencesOut(BaseModel):
    """What somebody chose."""

    avoid: list[str]
    categories: list[str] = Field(description="all that there are")
    time_zone: str


class FlagBody(Body):
    """What a query shows that not everybody wants to see."""

    category: str
    note: str = Field(default="", max_length=1000)


class FlagOut(BaseModel):
    """A flag."""

    query_id: str
    annotator: str
    category: str
    note: str
    flagged_unix_s: float


class QueryOut(BaseModel):
    """What a query asks."""

    query_id: str
    kind: str
    question: str
    num_segments: int
    set_aside: bool = Field(description="it is asked of nobody any more")


class AskedOut(BaseModel):
    """A query, and how far it has come."""

    query_id: str
    kind: str
    num_answers: int


class SetAsideBody(Body):
    """A query that nobody is to be asked any more."""

    query_id: str = Field(max_length=64)


class SetAsideOut(BaseModel):
    """That a query is asked of nobody any more."""

    query_id: str
    person: str = Field(description="who said so")
    since_unix_s: float


class WorkDayOut(BaseModel):
    """A day's work at one rate."""

    day: str
    items: int
    worked_s: float
    currency: str | None
    rate_minor: int | None
    pay_minor: int | None


class ReversalOut(BaseModel):
    """That a payment was taken back, which was noted by mistake."""

    reason: str
    reversed_unix_s: float


class PaymentOut(BaseModel):
    """That somebody was paid."""

    id: str
    amount_minor: int
    currency: str
    paid_unix_s: float
    note: str
    reversal: ReversalOut | None = Field(description="where it was taken back; it then counts for nothing")


class WorkOut(BaseModel):
    """What somebody worked, is owed, and was paid."""

    person_id: str
    days: list[WorkDayOut]
    items: int
    worked_s: float
    owed_minor: dict[str, int] = Field(description="by currency, in its smallest unit")
    payments: list[PaymentOut]


class WorkSumOut(BaseModel):
    """What somebody worked and is owed, all in all."""

    person_id: str
    name: str
    items: int
    worked_s: float
    owed_minor: dict[str, int]


class PaymentBody(Body):
    """A payment that was made."""

    id: str = Field(description="a UUID that the client made: the same again is the same payment")
    amount_minor: int = Field(ge=1, le=10**12)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    note: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f]*$")


class ReversalBody(Body):
    """Why a payment is taken back."""

    reason: str = Field(max_length=200, pattern=r"^[^\x00-\x1f]*$", description="which the person reads")


class ForgetBody(Body):
    """What becomes of the answers of somebody who is forgotten."""

    answers: Literal["keep", "remove"]


class ForgetMeBody(ForgetBody):
    """The same for oneself."""

    password: str = Field(max_length=1000)


class ForgottenOut(BaseModel):
    """That somebody was forgotten."""

    answers: str
    num_runs: int
    num_answers: int
