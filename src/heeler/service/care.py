"""What stands between a person and the next question: their consent, and the limits of their day."""

import time
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from heeler.service.accounts.care_settings import CareSettings, Preferences, care_of, preferences_of
from heeler.service.callers import Caller
from heeler.service.context import Service, caller_of
from heeler.service.problems import Problem

_MS_AN_HOUR = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Today:
    """Where a person's day stands."""

    care: CareSettings
    preferences: Preferences
    day: str
    items: int
    milliseconds: int
    stretch_s: float
    """Worked since the last break."""
    next_day_unix_s: float

    @property
    def left_s(self) -> float | None:
        """Working time that is left of the day; None where there is no limit."""
        if self.care.day_hours is None:
            return None
        return max(0.0, self.care.day_hours * 3600 - self.milliseconds / 1000)

    @property
    def left_items(self) -> int | None:
        """Answers that are left of the day; None where there is no limit."""
        return None if self.care.day_items is None else max(0, self.care.day_items - self.items)

    @property
    def break_in_s(self) -> float | None:
        """Working time until a break is due, 0 where one is; None where none is offered."""
        if self.care.break_after_min is None:
            return None
        return max(0.0, self.care.break_after_min * 60 - self.stretch_s)

    @property
    def over(self) -> str | None:
        """Why nothing more is asked today, in words; None while something is."""
        hours = self.milliseconds / _MS_AN_HOUR
        if self.left_s == 0:
            return f"you have answered for {hours:.1f} hours today, and {self.care.day_hours:g} is the limit"
        if self.left_items == 0:
            word = "answer" if self.items == 1 else "answers"
            return f"you have given {self.items} {word} today, and {self.care.day_items} is the limit"
        return None


def require_consent(request: Request) -> Caller:
    """Who asks, once they have agreed to the text that is in force.

    Raises:
        Problem: 403, they have not.
    """
    caller = caller_of(request)
    if not caller.has_agreed:
        how = "read it with GET /api/v1/session/consent, and agree with POST"
        raise Problem(403, f"consent: agree to the text on your answers first: {how}", field="consent")
    return caller


def today_of(service: Service, person_id: str) -> Today:
    """Where a person's day stands, to the last answer."""
    service.runs.count_work()
    options = service.accounts.options
    care, preferences = care_of(options, person_id), preferences_of(options, person_id)
    now_s = time.time()
    day = preferences.day(now_s)
    amount = service.book.on_day(person_id, day)
    return Today(
        care=care,
        preferences=preferences,
        day=day,
        items=amount.items,
        milliseconds=amount.milliseconds,
        stretch_s=service.book.stretch_s(person_id, now_s, care.break_min * 60),
        next_day_unix_s=preferences.next_day_unix_s(now_s),
    )


def check_day(today: Today) -> None:
    """Refuse to ask more than a day holds.

    Raises:
        Problem: 429, and when it goes on.
    """
    if today.over is None:
        return
    begins = datetime.fromtimestamp(today.next_day_unix_s, today.preferences.zone)
    wait_s = max(1, round(today.next_day_unix_s - time.time()))
    raise Problem(
        429,
        f"care: {today.over}; it goes on at {begins:%Y-%m-%d %H:%M} ({today.preferences.time_zone}). What you were "
        "asked already is still taken",
        field="care",
        headers={"Retry-After": str(wait_s)},
    )
