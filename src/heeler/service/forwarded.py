"""What a proxy on this machine says of who asks it: their address, and the scheme and host that they asked for."""

import ipaddress
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

_PROXIES = ("127.0.0.1", "::1")


class Forwarded:
    """ASGI middleware of a service behind a proxy. Without it nobody can say that they are somebody else.

    Args:
        app: inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the proxy's word; nobody else's."""
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and client[0] in _PROXIES:
            scope = {**scope, **_told(scope["headers"])}
        await self._app(scope, receive, send)


def _told(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What of a request the proxy's headers change."""
    told: dict[str, Any] = {}
    proto, host = _last(headers, b"x-forwarded-proto"), _last(headers, b"x-forwarded-host")
    if proto in ("http", "https"):
        told["scheme"] = proto
    address = _address(headers)
    if address is not None:
        told["client"] = (address, 0)
    if host:
        told["headers"] = [*((name, value) for name, value in headers if name != b"host"), (b"host", host.encode())]
    return told


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    lines = [value.decode("latin-1") for name, value in headers if name == wanted]
    return [part.strip() for line in lines for part in line.split(",")]


def _last(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    # A proxy adds at the end: what stands before came from whoever asked it.
    values = _values(headers, wanted)
    return values[-1].lower() if values and values[-1].isascii() else None


def _address(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The last address that is not a proxy's of this machine."""
    for value in reversed(_values(headers, b"x-forwarded-for")):
        try:
            address = str(ipaddress.ip_address(value.removeprefix("[").removesuffix("]")))
        except ValueError:
            return None
        if address not in _PROXIES:
            return address
    return None
