"""Every request passes here before its route does anything: who asks, whether they may, how often, and how much.

A route is an `ApiRoute` with one permission. An app with a route of another sort refuses to start.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from heeler.core.errors import ConfigError
from heeler.service.callers import COOKIE, SECURE_COOKIE, Caller, Callers
from heeler.service.config import ServiceConfig
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.rate_limits import RateLimit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WRONG_CREDENTIALS_PER_S, _WRONG_CREDENTIALS_BURST = 0.5, 30
Headers = Mapping[bytes, bytes]


class MustChangePassword(Problem):
    """Somebody signed in with their one-time password, which is good for nothing but another."""


class ApiRoute(APIRoute):
    """A route that says what it needs of its caller.

    Args:
        path: of the URL.
        endpoint: the function that answers.
        permission: what its caller must have.
        is_plain: the endpoint takes the request and returns a response itself, without FastAPI's help.
        takes_json: it has a body, which must be JSON.
        options: of FastAPI.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        permission: Permission,
        is_plain: bool = False,
        takes_json: bool = False,
        **options: Any,
    ) -> None:
        self.permission = Permission(permission)
        self._is_plain, self._takes_json = is_plain, takes_json
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, or the endpoint itself."""
        return self.endpoint if self._is_plain else super().get_route_handler()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through to the endpoint, or raise a Problem."""
        guard: Guard = scope["app"].state.service.guard
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scope.setdefault("state", {})["caller"] = await guard.admitted(scope, headers, self.permission)
        if scope["method"] not in self.methods:
            raise self._wrong_method(scope)
        body = b""
        if scope["method"] not in SAFE_METHODS:
            body = await guard.body(headers, receive)
            if self._takes_json and body:
                check_is_json(headers)
        await super().handle(scope, _with_body(body, receive), send)

    def _wrong_method(self, scope: Scope) -> Problem:
        """405, with the methods of every route of this path: each of them is a route of its own."""
        same = [route for route in scope["app"].router.routes if route.path == self.path]
        allowed = sorted({method for route in same for method in route.methods})
        detail = f"the method {scope['method']:.20} is not for this path; it takes {', '.join(allowed)}"
        return Problem(405, detail, headers={"Allow": ", ".join(allowed)})


def check_guarded(app: FastAPI) -> None:
    """Refuse an app that has a route without a permission.

    Raises:
        ConfigError: naming the route.
    """
    for route in app.router.routes:
        if not isinstance(route, ApiRoute):
            path = getattr(route, "path", repr(route))
            raise ConfigError(f"route {path}: no permission is declared; make it an ApiRoute that names one")


class Guard:
    """What every request must pass.

    Args:
        config: of the service.
        callers: finds who asks.
    """

    def __init__(self, config: ServiceConfig, callers: Callers) -> None:
        self._config, self._callers = config, callers
        self._asked = RateLimit(per_s=config.requests_per_s, burst=config.request_burst)
        self._strangers = RateLimit(per_s=config.requests_per_s, burst=config.request_burst)
        self._wrong = RateLimit(per_s=_WRONG_CREDENTIALS_PER_S, burst=_WRONG_CREDENTIALS_BURST)

    async def admitted(self, scope: Scope, headers: Headers, permission: Permission) -> Caller | None:
        """Who asks; None where anybody may and nobody is signed in.

        Raises:
            Problem: 401, 403 or 429.
        """
        is_unsafe = scope["method"] not in SAFE_METHODS
        if permission is Permission.PUBLIC:
            self._strangers.take(address(scope))
            if is_unsafe and (b"origin" in headers or b"sec-fetch-site" in headers):
                check_origin(scope, headers)
            return None
        caller = await self._caller(scope, headers)
        self._asked.take(caller.credential)
        if permission not in caller.permissions:
            raise _forbidden(caller, permission)
        if is_unsafe and caller.session is not None:
            check_origin(scope, headers)
        return caller

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        authorization = headers.get(b"authorization")
        if authorization is not None:
            kind, _, text = authorization.decode("latin-1").partition(" ")
            found = await self._callers.by_key(text.strip()) if kind.lower() == "bearer" else None
        else:
            token = session_token(headers)
            found = None if token is None else await self._callers.by_session(token)
            if token is None:
                raise _unauthorized("sign in, or send a key as `Authorization: Bearer hlr_...`")
        if found is None:
            self._wrong.take(address(scope))
            raise _unauthorized("this key or session is unknown, or has ended")
        return found

    async def body(self, headers: Headers, receive: Receive) -> bytes:
        """All of a request's body.

        Raises:
            Problem: 413 once it is too long, whatever its head said; 408 where it is too slow.
        """
        limit = self._config.max_body_bytes
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > limit:
            raise _too_long(limit)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Problem(400, "the body ended before it was complete")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _too_long(limit)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            reason = f"the body took longer than {self._config.body_timeout_s:g} s"
            raise Problem(408, reason, headers={"Connection": "close"}) from None


def address(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return client[0] if client else "local"


def session_token(headers: Headers) -> str | None:
    """The session's token in the cookies."""
    raw = headers.get(b"cookie")
    if raw is None:
        return None
    try:
        cookies = SimpleCookie(raw.decode("latin-1"))
    except CookieError:
        return None
    found = cookies.get(SECURE_COOKIE) or cookies.get(COOKIE)
    return None if found is None else found.value


def check_origin(scope: Scope, headers: Headers) -> None:
    """Refuse a change that another site's page asks for, with this site's cookies.

    Raises:
        Problem: 403.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None and site not in (b"same-origin", b"none"):
        raise Problem(403, f"a page of another site asks (Sec-Fetch-Site: {site.decode('latin-1'):.40})")
    own = f"{scope['scheme']}://".encode() + headers.get(b"host", b"")
    origin = headers.get(b"origin")
    if origin is None and site is None:
        raise Problem(403, "a session's change needs the header Origin or Sec-Fetch-Site; programs use a key")
    if origin is not None and origin.lower() != own.lower():
        raise Problem(403, f"a page of {origin.decode('latin-1')!r:.120} asks, not of {own.decode('latin-1')!r:.120}")


def check_is_json(headers: Headers) -> None:
    """Refuse a body that does not say that it is JSON: a form of another site's page cannot say so.

    Raises:
        Problem: 415.
    """
    kind = headers.get(b"content-type", b"").decode("latin-1")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, f"Content-Type: expected application/json, got {kind!r:.60}", field="Content-Type")


def _with_body(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _forbidden(caller: Caller, permission: Permission) -> Problem:
    if caller.session is not None and caller.person.must_change_password:
        return MustChangePassword(403, "change the one-time password first: PUT /api/v1/session/password")
    return Problem(403, f"this needs the permission {permission.value!r}")


def _too_long(limit: int) -> Problem:
    return Problem(413, f"the body is longer than {limit} bytes; send less at once", headers={"Connection": "close"})
