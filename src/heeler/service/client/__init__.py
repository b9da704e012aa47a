"""A client of the service for programs: every route of the API, with typed results.

with Client("http://127.0.0.1:8642", key="hlr_...") as client:
    for lease in client.lease("my-run", count=10):
        client.answer("my-run", lease, {"choice": "left"})
"""

from heeler.service.client.answering import answer_body
from heeler.service.client.client import Client
from heeler.service.client.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    ServiceError,
    TooMany,
    Unavailable,
    Unreachable,
)

__all__ = [
    "Client",
    "Conflict",
    "Forbidden",
    "Invalid",
    "NotFound",
    "NotSignedIn",
    "ServiceError",
    "TooMany",
    "Unavailable",
    "Unreachable",
    "answer_body",
]
