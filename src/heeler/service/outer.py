"""Around the whole app: what every answer carries, and the last word where something fails."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heeler.service.problems import problem_of
from heeler.service.trouble import answered

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NO_STORE = (b"cache-control", b"no-store")
ALWAYS = [
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
"""Headers of every answer."""
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class Outer:
    """ASGI middleware.

    Args:
        app: inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        more = [*ALWAYS, _HSTS] if scope["scheme"] == "https" else ALWAYS
        has_started = False

        async def send_more(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = message["headers"]
                own = {name for name, _ in headers}
                headers = [*headers, *more]
                if b"cache-control" not in own:
                    headers.append(_NO_STORE)
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_more)
        except Exception as error:
            response = answered(scope, problem_of(error))
            if has_started:
                raise
            await response(scope, receive, send_more)
