"""A route that answers a browser's address bar: who must sign in first is led there instead of being told a problem."""

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from heeler.service.guard import ApiRoute, MustChangePassword
from heeler.service.problems import Problem

SIGN_IN, PASSWORD = "/sign-in", "/password"


class PageRoute(ApiRoute):
    """A page of the console."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through to the page, or lead the browser to where it can be let through."""
        try:
            await super().handle(scope, receive, send)
        except MustChangePassword:
            await _led_to(PASSWORD)(scope, receive, send)
        except Problem as problem:
            if problem.status != 401:
                raise
            await _led_to(f"{SIGN_IN}?next={quote(_place(scope), safe='')}")(scope, receive, send)


def _led_to(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def _place(scope: Scope) -> str:
    """The path that was asked for, with its query."""
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"])
    return f"{path}?{query}" if query else path
