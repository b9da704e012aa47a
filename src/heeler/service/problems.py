"""What goes wrong, as `application/problem+json`: {type, title, status, detail, field}. Never a traceback."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from heeler.core.errors import ConfigError, ConflictError, DataError, HeelerError, RunError, StoreError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

_log = logging.getLogger("heeler.service")
# Messages of the store begin with the place of what is wrong: `feedback[0].value.choice: expected ...`.
_FIELD = re.compile(r"^(?:feedback\[0\]\.)?([a-z_]\w*(?:\[\d+\])*(?:\.\w+(?:\[\d+\])*)*): ")
_STATUS: tuple[tuple[type[HeelerError], int], ...] = (
    (ConflictError, 409),
    (DataError, 422),
    (ConfigError, 422),
    (StoreError, 503),
    (RunError, 503),
)


class Problem(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        detail: what came, what was expected, how to mend it.
        field: of the request, where one is to blame.
        headers: of the response.
    """

    def __init__(
        self, status: int, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field, self.headers = status, detail, field, dict(headers or {})

    def response(self) -> Response:
        """The answer that tells of it."""
        return Response(self.body(), self.status, self.all_headers(), MEDIA_TYPE)

    def all_headers(self) -> dict[str, str]:
        """Of the answer; who is told 503 is told too when to come back."""
        return ({"Retry-After": str(RETRY_AFTER_S)} if self.status == 503 else {}) | self.headers

    def body(self) -> bytes:
        """The JSON object."""
        title = HTTPStatus(self.status).phrase
        slug = re.sub(r"\W+", "-", title.lower())
        fields: dict[str, Any] = {"type": f"urn:heeler:problem:{slug}", "title": title, "status": self.status}
        return json.dumps(fields | {"detail": self.detail, "field": self.field}).encode()


def unknown(what: str, name: str, field: str | None = None) -> Problem:
    """404: there is no such thing, or it is not to be seen."""
    return Problem(404, f"there is no {what} {name!r:.120}", field=field)


def problem_of(error: Exception, *, is_batch: bool = False) -> Problem:
    """What an error means to a client.

    Args:
        error: raised on the way to an answer.
        is_batch: the request's body was a batch, so that its places are named as they stand.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, HeelerError):
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        found = _FIELD.match(str(error))
        if status >= 500:
            _log.error("%s", error)
        if found is None or status >= 500:
            return Problem(status, str(error))
        detail = str(error) if is_batch else str(error).removeprefix("feedback[0].")
        return Problem(status, detail, field=detail.partition(": ")[0])
    if isinstance(error, RequestValidationError | ValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, str(error.detail), headers=error.headers)
    _log.error("a request failed", exc_info=error)
    return Problem(500, "the service failed to answer; its log says why")


def _of_validation(error: RequestValidationError | ValidationError) -> Problem:
    first = error.errors()[0]
    places = list(first["loc"])
    if isinstance(error, RequestValidationError) and places and places[0] in ("body", "query", "path", "header"):
        places = places[1:]
    field = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places).lstrip(".")
    if first["type"] in ("json_invalid", "json_type"):
        return Problem(400, f"the body is not the JSON that was expected: {first['msg']}")
    return Problem(422, f"{field}: {first['msg']}" if field else first["msg"], field=field or None)


def install(app: FastAPI, answered: Callable[[Scope, Problem], Response]) -> None:
    """Have every error of the app answered as a problem.

    Args:
        app: whose errors.
        answered: the answer to a request that came to nothing.
    """

    async def handle(request: Request, error: Exception) -> Response:
        return answered(request.scope, problem_of(error))

    for kind in (Problem, HeelerError, RequestValidationError, ValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
