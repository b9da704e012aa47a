"""Breaks and limits of a day, and what people choose not to see."""

from fastapi import Request

from heeler.feedback.flags import CATEGORIES
from heeler.service.accounts.care_settings import (
    CareSettings,
    Preferences,
    care_of,
    change_care,
    change_care_of,
    change_preferences,
    own_care,
    preferences_of,
)
from heeler.service.bodies_care import (
    CareBody,
    CareOut,
    OwnCareBody,
    PersonCareOut,
    PreferencesBody,
    PreferencesOut,
    TodayOut,
)
from heeler.service.care import today_of
from heeler.service.context import caller_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import unknown
from heeler.service.routes.table import Entry


def today(request: Request) -> TodayOut:
    """How long who asks has worked today, when a break is due, and how much of the day is left."""
    found = today_of(service_of(request), caller_of(request).person.id)
    return TodayOut(
        day=found.day,
        time_zone=found.preferences.time_zone,
        next_day_unix_s=found.next_day_unix_s,
        items=found.items,
        worked_s=found.milliseconds / 1000,
        left_s=found.left_s,
        left_items=found.left_items,
        day_hours=found.care.day_hours,
        day_items=found.care.day_items,
        break_in_s=found.break_in_s,
        break_due=found.break_in_s == 0,
        break_min=found.care.break_min,
        over=found.over,
    )


def get_preferences(request: Request) -> PreferencesOut:
    """What who asks chose."""
    return _preferences_out(preferences_of(service_of(request).accounts.options, caller_of(request).person.id))


def choose(request: Request, body: PreferencesBody) -> PreferencesOut:
    """Choose what not to be shown, and where the day begins; it holds from the next lease on."""
    service, person_id = service_of(request), caller_of(request).person.id
    service.runs.count_work()
    changes = body.model_dump(exclude_unset=True)
    return _preferences_out(change_preferences(service.accounts.options, person_id, changes))


def get_care(request: Request) -> CareOut:
    """What holds for everybody who has nothing of their own."""
    return _care_out(care_of(service_of(request).accounts.options))


def set_care(request: Request, body: CareBody) -> CareOut:
    """Change limits, breaks and pay, from the next answer on; what was worked before keeps its rate."""
    service = service_of(request)
    service.runs.count_work()
    changes = body.model_dump(exclude_unset=True)
    return _care_out(change_care(service.accounts.options, caller_of(request).person.id, changes))


def get_care_of(request: Request, person_id: str) -> PersonCareOut:
    """What holds for one person."""
    _expect_person(request, person_id)
    return _care_of_out(request, person_id)


def set_care_of(request: Request, person_id: str, body: OwnCareBody) -> PersonCareOut:
    """Change what holds for one person; null goes back to what holds for everybody."""
    _expect_person(request, person_id)
    service = service_of(request)
    service.runs.count_work()
    changes = body.model_dump(exclude_unset=True)
    change_care_of(service.accounts.options, caller_of(request).person.id, person_id, changes)
    return _care_of_out(request, person_id)


def _expect_person(request: Request, person_id: str) -> None:
    try:
        service_of(request).accounts.people.get(person_id)
    except KeyError:
        raise unknown("person", person_id, "person_id") from None


def _care_out(care: CareSettings) -> CareOut:
    return CareOut.model_validate(care, from_attributes=True)


def _care_of_out(request: Request, person_id: str) -> PersonCareOut:
    options = service_of(request).accounts.options
    care, own = care_of(options, person_id), own_care(options, person_id)
    return PersonCareOut.model_validate(vars(care) | {"own": own})


def _preferences_out(preferences: Preferences) -> PreferencesOut:
    avoid = list(preferences.avoid)
    return PreferencesOut(avoid=avoid, categories=list(CATEGORIES), time_zone=preferences.time_zone)


_CARE, _OWN = Permission.CARE, Permission.SIGNED_IN
_OF_PERSON = "/people/{person_id}/care"
ROUTES = (
    Entry(method="GET", path="/session/care", permission=_OWN, endpoint=today, answer=TodayOut),
    Entry(method="GET", path="/session/preferences", permission=_OWN, endpoint=get_preferences, answer=PreferencesOut),
    Entry(
        method="PATCH",
        path="/session/preferences",
        permission=Permission.SESSION,
        endpoint=choose,
        answer=PreferencesOut,
    ),
    Entry(method="GET", path="/care", permission=_CARE, endpoint=get_care, answer=CareOut),
    Entry(method="PATCH", path="/care", permission=_CARE, endpoint=set_care, answer=CareOut),
    Entry(method="GET", path=_OF_PERSON, permission=_CARE, endpoint=get_care_of, answer=PersonCareOut),
    Entry(method="PATCH", path=_OF_PERSON, permission=_CARE, endpoint=set_care_of, answer=PersonCareOut),
)
