"""How the client asks: one request, tried again where that does no harm; pages of many; streams of events."""

import json
import time
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from heeler.core.errors import DataError
from heeler.service.bodies import Page
from heeler.service.chat.openai_problem import OPENAI_PREFIX
from heeler.service.client.errors import NotFound, ServiceError, TooMany, Unavailable, Unreachable, error_of

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
Query = Mapping[str, Any]
Event = tuple[str, str | None, dict[str, Any]]
PAGE_SIZE = 1000
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0


class Repeat(Enum):
    """Whether a request may be sent again when nobody knows whether it was carried out."""

    ANY = "twice does what once does"
    GONE = "twice does what once does, but the second time is told 404"
    UNSENT = "only where it surely was not carried out"


class Transport:
    """One service, asked over HTTP. Its methods may be called from any thread.

    Args:
        url: of the service, such as `http://127.0.0.1:8642`.
        key: made by an admin, `hlr_...`; None to sign in.
        timeout_s: how long one try may wait for the service.
        patience_s: for how long what failed on the way is tried again.
    """

    def __init__(self, url: str, *, key: str | None, timeout_s: float, patience_s: float) -> None:
        self.url, self.has_key, self.patience_s = url.rstrip("/"), key is not None, patience_s
        parts = urlsplit(self.url)
        # A session's change must say where it comes from, as a browser does.
        own = {"Origin": f"{parts.scheme}://{parts.netloc}"} if key is None else {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=f"{self.url}/api/v1", timeout=timeout_s, headers=own)

    def read(
        self,
        method: str,
        path: str,
        model: type[M],
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        repeat: Repeat = Repeat.ANY,
    ) -> M:
        """Ask; the answer as `model`.

        Raises:
            ServiceError: it was refused, failed, or its answer is none of a heeler service.
        """
        return self.parsed(model, self.send(method, path, query=query, body=body, repeat=repeat).content)

    def pages(
        self, path: str, model: type[Page[T]], *, query: Query | None = None, until_empty: bool = False
    ) -> Iterator[T]:
        """The items of page after page.

        Args:
            path: of the first page.
            model: of a page.
            query: of the first page; later ones are told by the cursor.
            until_empty: there is always a next page; the first without items is the end.
        """
        asked: dict[str, Any] = {"limit": PAGE_SIZE, **(query or {})}
        while True:
            page = self.read("GET", path, model, query=asked)
            yield from page.items
            if page.next is None or (until_empty and not page.items):
                return
            asked = {**asked, "cursor": page.next}
            # A cursor knows its place.
            asked.pop("after_step", None)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        repeat: Repeat = Repeat.ANY,
    ) -> httpx2.Response:
        """Ask until there is an answer, or patience is over.

        Raises:
            ServiceError: it was refused, or failed.
        """
        deadline, pause_s, may_be_done = time.monotonic() + self.patience_s, _FIRST_PAUSE_S, False
        while True:
            try:
                return _accepted(self.http.request(method, self._address(path), params=query, json=body))
            except NotFound:
                if may_be_done and repeat is Repeat.GONE:
                    return httpx2.Response(204)
                raise
            except TooMany as error:
                failure, is_safe = error, True
            except Unavailable as error:
                failure, is_safe, may_be_done = error, repeat is not Repeat.UNSENT, True
            except _NEVER_SENT as error:
                failure, is_safe = Unreachable(f"the service cannot be reached: {error}"), True
            except httpx2.TransportError as error:
                failure, is_safe, may_be_done = _lost(error, repeat), repeat is not Repeat.UNSENT, True
            wait_s = max(pause_s, failure.retry_after_s or 0.0)
            if not is_safe or time.monotonic() + wait_s > deadline:
                raise failure
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _address(self, path: str) -> str:
        """Of a route: what is in OpenAI's form stands beside the rest of the API."""
        return self.url + path if path.startswith(f"{OPENAI_PREFIX}/") else path

    def events(self, path: str, *, query: Query | None = None, place: str | None = None) -> Iterator[Event]:
        """(name, id, value) of each whole event of one connection, from after the id `place` on.

        Raises:
            ServiceError: it was refused.
            httpx2.TransportError: the connection broke.
        """
        headers = {} if place is None else {"Last-Event-ID": place}
        with self.http.stream("GET", path, params=query, headers=headers) as response:
            if response.status_code >= 300:
                response.read()
            yield from _events(_accepted(response).iter_lines())

    def parsed(self, model: type[M], content: bytes) -> M:
        """An answer.

        Raises:
            ServiceError: it is none of a heeler service.
        """
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the answer"
            raise ServiceError(
                f"what answers at {self.url} is no heeler service, or one of another version: {where}: {first['msg']}"
            ) from error


def at(path: str, **names: object) -> str:
    """A path with its names filled in.

    Raises:
        DataError: a name is empty, or would lead elsewhere.
    """
    for name, value in names.items():
        if str(value) in ("", ".", ".."):
            raise DataError(f"{name}: expected a name, got {value!r}")
    return path.format_map({name: quote(str(value), safe="") for name, value in names.items()})


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _accepted(response: httpx2.Response) -> httpx2.Response:
    if response.status_code >= 400:
        raise error_of(response)
    if response.status_code >= 300:
        target = response.headers.get("location", "elsewhere")
        raise ServiceError(f"the service sends to {target}; give the client that address")
    return response


def _lost(error: httpx2.TransportError, repeat: Repeat) -> Unreachable:
    unknown = ". Whether it was done is not known: look before you ask again" if repeat is Repeat.UNSENT else ""
    return Unreachable(f"the service cannot be reached: {error or type(error).__name__}{unknown}")


def _events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
        else:
            if "data" in fields:
                yield fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])
            fields = {}
