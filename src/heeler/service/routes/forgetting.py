"""Being forgotten: by an admin's hand, or by one's own."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict

from fastapi import Request, Response

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.service.bodies_care import ForgetBody, ForgetMeBody, ForgottenOut
from heeler.service.callers import COOKIE, SECURE_COOKIE
from heeler.service.context import Service, caller_of, service_of
from heeler.service.forgetting import OpenStore, forget
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry


def forget_person(request: Request, person_id: str, body: ForgetBody) -> ForgottenOut:
    """Forget a person for good: name, address, keys, consents, time and pay go, and their answers if that is said.

    Reward models that learned from answers that were removed are marked as stale.
    """
    return _forget(service_of(request), caller_of(request).person.id, person_id, body.answers)


def forget_me(request: Request, response: Response, body: ForgetMeBody) -> ForgottenOut:
    """Delete one's own account; the password is asked for again."""
    service, caller = service_of(request), caller_of(request)
    service.logins_of_name.take(f"password {caller.person.id}")
    if service.accounts.people.with_password(caller.person.name, body.password) is None:
        raise Problem(403, "password: this is not the present password", field="password")
    done = _forget(service, caller.person.id, caller.person.id, body.answers)
    for name in (COOKIE, SECURE_COOKIE):
        response.delete_cookie(name, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="strict")
    return done


def _forget(service: Service, by: str, person_id: str, answers: str) -> ForgottenOut:
    try:
        done = forget(service.accounts, _runs(service), service.audit, by=by, person_id=person_id, answers=answers)
    except KeyError:
        raise unknown("person", person_id, "person_id") from None
    service.book.forget(person_id)
    service.drives.run(lambda: service.drives.end(person_id))
    return ForgottenOut(**asdict(done))


def _runs(service: Service) -> Generator[tuple[RunDirectory, OpenStore | None]]:
    for name in service.runs.names():
        has_store = service.runs.has_store(name)
        yield service.runs.directory(name), (lambda name=name: _opened(service, name)) if has_store else None


@contextmanager
def _opened(service: Service, name: str) -> Generator[Store]:
    yield service.runs.open(name).store


ROUTES = (
    Entry(
        method="POST",
        path="/people/{person_id}/forget",
        permission=Permission.PEOPLE,
        endpoint=forget_person,
        answer=ForgottenOut,
        also=(409,),
    ),
    Entry(
        method="POST",
        path="/session/forget",
        permission=Permission.SESSION,
        endpoint=forget_me,
        answer=ForgottenOut,
        also=(409,),
    ),
)
