"""How people are cared for and paid: breaks, limits of a day, what an hour is worth; for all, or apart for a person."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from heeler.core.errors import DataError
from heeler.feedback.flags import CATEGORIES, check_category
from heeler.service.accounts.options import Options

CARE = "care"
"""Name of the setting, of the service's and of a person's."""
TIME_ZONE, AVOID = "time_zone", "avoid"


@dataclass(frozen=True, kw_only=True)
class CareSettings:
    """What holds for a person."""

    break_after_min: float | None = 50.0
    """Minutes of answering after which a break is offered; None for never."""
    break_min: float = 5.0
    """Minutes without an answer that count as a break."""
    day_hours: float | None = 8.0
    """Hours of answering in a day, after which nothing more is asked; None for no limit."""
    day_items: int | None = None
    """Answers in a day; None for no limit."""
    longest_item_s: float = 120.0
    """The most that one answer counts as working time."""
    rate_minor: int | None = None
    """What an hour is worth, in the currency's smallest unit; None where nobody is paid."""
    currency: str | None = None
    """ISO 4217, such as EUR."""

    def __post_init__(self) -> None:
        if self.rate_minor is not None and self.currency is None:
            raise DataError("currency: expected one such as EUR, for a rate needs it; got none")


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What a person chose for themselves."""

    avoid: tuple[str, ...] = CATEGORIES
    """Categories of flagged content that they do not want to see: all, unless they choose otherwise."""
    time_zone: str = "UTC"
    """Where their days begin and end."""

    @property
    def zone(self) -> tzinfo:
        """The time zone, or UTC where this machine does not know it."""
        try:
            return ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            return UTC

    def day(self, unix_s: float) -> str:
        """The person's date at a time."""
        try:
            return datetime.fromtimestamp(unix_s, self.zone).date().isoformat()
        except (ValueError, OverflowError, OSError):
            # A clock that has lost its mind.
            return "1970-01-01"

    def next_day_unix_s(self, unix_s: float) -> float:
        """When the person's next day begins."""
        today = datetime.fromtimestamp(unix_s, self.zone)
        begins = datetime.combine(today.date() + timedelta(days=1), datetime.min.time(), self.zone)
        return begins.timestamp()


def care_of(options: Options, person_id: str | None = None) -> CareSettings:
    """What holds for a person, or for everybody who has nothing of their own."""
    chosen = dict(options.get(CARE, {}))
    if person_id is not None:
        chosen |= options.own(person_id).get(CARE, {})
    return CareSettings(**chosen)


def own_care(options: Options, person_id: str) -> list[str]:
    """Names of the settings that a person has apart from everybody's."""
    return sorted(options.own(person_id).get(CARE, {}))


def change_care(options: Options, by: str, changes: Mapping[str, Any]) -> CareSettings:
    """Change what holds for everybody.

    Raises:
        DataError: a rate without a currency.
    """
    chosen = options.get(CARE, {}) | dict(changes)
    CareSettings(**chosen)
    options.set(by, CARE, chosen)
    return care_of(options)


def change_care_of(options: Options, by: str, person_id: str, changes: Mapping[str, Any]) -> CareSettings:
    """Change what holds for one person; None goes back to what holds for everybody.

    Raises:
        KeyError: there is no such person.
        DataError: a rate without a currency.
    """
    own = options.own(person_id).get(CARE, {}) | dict(changes)
    own = {name: value for name, value in own.items() if value is not None}
    CareSettings(**(options.get(CARE, {}) | own))
    options.set_own(by, person_id, {CARE: own or None})
    return care_of(options, person_id)


def preferences_of(options: Options, person_id: str) -> Preferences:
    """What a person chose."""
    own = options.own(person_id)
    avoid = tuple(own.get(AVOID, CATEGORIES))
    return Preferences(avoid=avoid, time_zone=own.get(TIME_ZONE, "UTC"))


def change_preferences(options: Options, person_id: str, changes: Mapping[str, Any]) -> Preferences:
    """Choose anew.

    Raises:
        DataError: an unknown category or time zone.
    """
    for index, category in enumerate(changes.get(AVOID) or ()):
        check_category(category, f"avoid[{index}]")
    name = changes.get(TIME_ZONE)
    if name is not None and not _is_zone(name):
        raise DataError(f"time_zone: expected a name such as Europe/Berlin or UTC, got {name!r:.80}")
    known = {field.name for field in fields(Preferences)}
    values = {name: value for name, value in changes.items() if name in known}
    if values.get(AVOID) is not None:
        values[AVOID] = sorted(set(values[AVOID]))
    options.set_own(person_id, person_id, values)
    return preferences_of(options, person_id)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
