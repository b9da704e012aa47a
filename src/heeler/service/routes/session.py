"""Signing in and out, and one's own account."""

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from heeler.service.accounts.sessions import token_sha256
from heeler.service.bodies import LoginBody, MeOut, PasswordBody, PersonOut
from heeler.service.callers import COOKIE, SECURE_COOKIE, Caller
from heeler.service.context import caller_of, service_of
from heeler.service.guard import address, session_token
from heeler.service.permissions import Permission, of_session
from heeler.service.problems import Problem
from heeler.service.routes.table import Entry


async def login(request: Request, response: Response, body: LoginBody) -> MeOut:
    """Sign in with name and password; the session's token comes as a cookie that no script can read."""
    service = service_of(request)
    here, name = address(request.scope), body.name.strip().casefold()
    service.logins_from.take(here)
    service.logins_of_name.take(f"{here} {name}")
    person = await run_in_threadpool(service.accounts.people.with_password, body.name, body.password)
    if person is None:
        raise Problem(401, "name or password is wrong", headers={"WWW-Authenticate": "Bearer"})
    service.logins_of_name.forgive(f"{here} {name}")
    former = session_token(dict(request.scope["headers"]))
    sessions = service.accounts.sessions
    ended = None if former is None else token_sha256(former)
    token = await run_in_threadpool(lambda: sessions.begin(person, instead_of=ended))
    session = await run_in_threadpool(sessions.find, token_sha256(token))
    if session is None:
        raise Problem(401, "this session has been ended already; sign in again")
    _set_cookie(request, response, token)
    allowed = of_session(person.role, must_change_password=person.must_change_password)
    return _me(Caller(person=person, permissions=allowed, session=session))


def logout(request: Request, response: Response) -> None:
    """Sign out; the session ends."""
    session = caller_of(request).session
    assert session is not None
    service_of(request).accounts.sessions.end(session)
    for name in (COOKIE, SECURE_COOKIE):
        response.delete_cookie(name, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="strict")


def me(request: Request) -> MeOut:
    """Who asks, and what they may."""
    return _me(caller_of(request))


def change_password(request: Request, response: Response, body: PasswordBody) -> MeOut:
    """Take another password: every session of this person ends, and this browser gets a new one."""
    service, caller = service_of(request), caller_of(request)
    people, sessions, name = service.accounts.people, service.accounts.sessions, caller.person.name
    service.logins_of_name.take(f"password {caller.person.id}")
    if people.with_password(name, body.old) is None:
        raise Problem(403, "old: this is not the present password", field="old")
    if body.new == body.old or body.new.strip().casefold() == name.casefold():
        raise Problem(422, "new: expected a password that is new, and not the name", field="new")
    try:
        people.set_password(caller.person.id, caller.person.id, body.new)
    except ValueError as error:
        raise Problem(422, f"new: {str(error).partition(': ')[2]}", field="new") from error
    person = people.get(caller.person.id)
    token = sessions.begin(person, instead_of=None)
    session = sessions.find(token_sha256(token))
    assert session is not None
    _set_cookie(request, response, token)
    allowed = of_session(person.role, must_change_password=False)
    return _me(Caller(person=person, permissions=allowed, session=session))


def _set_cookie(request: Request, response: Response, token: str) -> None:
    is_secure = request.url.scheme == "https"
    lifetime_s = int(service_of(request).config.session_s)
    name = SECURE_COOKIE if is_secure else COOKIE
    response.set_cookie(name, token, max_age=lifetime_s, path="/", secure=is_secure, httponly=True, samesite="strict")


def _me(caller: Caller) -> MeOut:
    credential = caller.session or caller.key
    assert credential is not None
    return MeOut(
        person=PersonOut.model_validate(caller.person, from_attributes=True),
        permissions=sorted(caller.permissions),
        expires_unix_s=credential.expires_unix_s,
    )


ROUTES = (
    Entry(method="POST", path="/session", permission=Permission.PUBLIC, endpoint=login, answer=MeOut, also=(401,)),
    Entry(method="GET", path="/session", permission=Permission.SIGNED_IN, endpoint=me, answer=MeOut),
    Entry(method="DELETE", path="/session", permission=Permission.SESSION, endpoint=logout, status=204),
    Entry(
        method="PUT", path="/session/password", permission=Permission.SESSION, endpoint=change_password, answer=MeOut
    ),
)
