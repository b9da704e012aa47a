"""What the service refuses, as exceptions: each carries the fields of the problem that it was told by."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx2
from pydantic import ValidationError

from heeler.core.errors import ConflictError, DataError, HeelerError, StoreError
from heeler.service.bodies import ProblemBody


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What was told beside the message."""

    status: int | None = None
    """Of HTTP; None where there was no answer."""
    title: str = ""
    """Of the problem."""
    field: str | None = None
    """Of the request, where one is to blame."""
    retry_after_s: float | None = None
    """When to ask again, where the service said so."""


class ServiceError(HeelerError, RuntimeError):
    """The service refused, failed, or could not be reached.

    Args:
        message: what it said.
        refusal: what else it told.
    """

    def __init__(self, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal or Refusal()

    @property
    def status(self) -> int | None:
        """Of HTTP; None where there was no answer."""
        return self.refusal.status

    @property
    def field(self) -> str | None:
        """Of the request, where one is to blame."""
        return self.refusal.field

    @property
    def retry_after_s(self) -> float | None:
        """When to ask again, where the service said so."""
        return self.refusal.retry_after_s


class Unreachable(ServiceError, StoreError):
    """There was no answer."""


class Unavailable(ServiceError, StoreError):
    """502, 503 or 504: it cannot do it now, or is stopping."""


class NotSignedIn(ServiceError):
    """401: the key, the session, or name and password are none, or have ended."""


class Forbidden(ServiceError):
    """403: this key or person may not do it."""


class NotFound(ServiceError, LookupError):
    """404: there is no such thing, or it is not to be seen."""


class Conflict(ServiceError, ConflictError):
    """409: it does not go with what is there."""


class Invalid(ServiceError, DataError):
    """400 or 422: the request does not hold; `field` names what is wrong."""


class TooMany(ServiceError):
    """429: too much was asked, or a day's work is over; `retry_after_s` says when it goes on."""


_KINDS: Mapping[int, type[ServiceError]] = {
    400: Invalid,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(response: httpx2.Response) -> ServiceError:
    """The exception of a refusal; its body must have been read."""
    status, text = response.status_code, response.headers.get("retry-after", "")
    retry_after_s = float(text) if text.isascii() and text.isdigit() else None
    detail, title, field = f"HTTP {status}", "", None
    try:
        problem = ProblemBody.model_validate_json(response.content)
        detail, title, field = problem.detail, problem.title, problem.field
    except ValidationError:
        # In OpenAI's form; or not by the service, but by something on the way.
        with suppress(ValueError, KeyError, TypeError):
            error = json.loads(response.content)["error"]
            detail, title, field = str(error["message"]), str(error["type"]), error["param"]
    refusal = Refusal(status=status, title=title, field=field, retry_after_s=retry_after_s)
    return _KINDS.get(status, ServiceError)(detail, refusal)
