"""A client of the service for programs: it holds a key, makes the keys of answers, and repeats what can be repeated.

with Client("http://127.0.0.1:8642", key="hlr_...") as client:
    for lease in client.lease("my-run", count=10):
        client.answer("my-run", lease, {"choice": "left"})
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel

from heeler.core.errors import ConflictError, DataError, HeelerError, StoreError
from heeler.core.nouns import CommandKind
from heeler.service.bodies import (
    CheckpointOut,
    CommandOut,
    FeedbackOut,
    LeaseOut,
    MeOut,
    Page,
    ReceiptOut,
    ReceiptsOut,
    RunDetailOut,
    RunOut,
    SettingsOut,
    TaskOut,
)

M = TypeVar("M", bound=BaseModel)
_RETRIED = frozenset({429, 502, 503, 504})
_KINDS: Mapping[int, type[HeelerError]] = {409: ConflictError, 422: DataError, 503: StoreError}


class ServiceError(HeelerError, RuntimeError):
    """The service refused, or could not be reached.

    Args:
        message: what it said.
        status: of HTTP; None where there was no answer.
        field: of the request, where one is to blame.
    """

    def __init__(self, message: str, *, status: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.field = status, field


class Client:
    """Talks to one service. Its methods may be called from any thread.

    Args:
        url: of the service, such as `http://127.0.0.1:8642`.
        key: made by an admin, `hlr_...`.
        timeout_s: how long one try may take.
        patience_s: for how long what failed on the way is tried again; what was written is never written twice.
    """

    def __init__(self, url: str, *, key: str, timeout_s: float = 30.0, patience_s: float = 60.0) -> None:
        self._patience_s = patience_s
        self._http = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1", timeout=timeout_s, headers={"Authorization": f"Bearer {key}"}
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def me(self) -> MeOut:
        """Whose key it is, and what it may."""
        return self._read("GET", "/session", MeOut)

    def tasks(self) -> list[str]:
        """Names of the runs that ask people."""
        return [task.run for task in self._read("GET", "/tasks", Page[TaskOut]).items]

    def lease(self, run: str, *, count: int = 1) -> list[LeaseOut]:
        """Be asked at most `count` queries; those that are held already come first."""
        return self._read("POST", f"/runs/{run}/leases", Page[LeaseOut], body={"count": count}).items

    def give_back(self, run: str, query_id: str) -> None:
        """Leave a query to others."""
        self._send("DELETE", f"/runs/{run}/leases/{query_id}")

    def answer(
        self,
        run: str,
        lease: LeaseOut,
        value: Mapping[str, Any],
        *,
        time_taken_s: float | None = None,
        confidence: float | None = None,
    ) -> ReceiptOut:
        """Answer a query; when this returns the answer is on the service's disk, once.

        Raises:
            DataError: the answer does not hold; the message names the field.
            ConflictError: the lease ran out and others answer it now.
        """
        body = answer_body(lease, value, time_taken_s=time_taken_s, confidence=confidence)
        return self._read("POST", f"/runs/{run}/feedback", ReceiptOut, body=body)

    def answer_all(self, run: str, bodies: Sequence[Mapping[str, Any]]) -> list[ReceiptOut]:
        """Answer several queries, all or none; `answer_body` makes the bodies."""
        body = {"feedback": list(bodies)}
        return self._read("POST", f"/runs/{run}/feedback/batch", ReceiptsOut, body=body).items

    def feedback(self, run: str, *, after: int = 0) -> Iterator[FeedbackOut]:
        """Everybody's answers after a position, in order."""
        cursor = str(after)
        while True:
            page = self._read("GET", f"/runs/{run}/feedback", Page[FeedbackOut], {"cursor": cursor, "limit": 1000})
            yield from page.items
            if not page.items:
                return
            cursor = page.next or cursor

    def runs(self) -> list[RunOut]:
        """The runs of the service."""
        return list(self._pages("/runs", Page[RunOut]))

    def run(self, run: str) -> RunDetailOut:
        """One run."""
        return self._read("GET", f"/runs/{run}", RunDetailOut)

    def checkpoints(self, run: str) -> list[CheckpointOut]:
        """Checkpoints, the newest first."""
        return list(self._pages(f"/runs/{run}/checkpoints", Page[CheckpointOut]))

    def command(self, run: str, kind: CommandKind, value: int | None = None) -> CommandOut:
        """Tell the learner something; it obeys between two updates."""
        body = {"id": str(uuid.uuid4()), "kind": kind, "value": value}
        return self._read("POST", f"/runs/{run}/commands", CommandOut, body=body)

    def commands(self, run: str) -> list[CommandOut]:
        """Commands and what came of them, the newest first."""
        return list(self._pages(f"/runs/{run}/commands", Page[CommandOut]))

    def settings(self, run: str, **changes: float) -> SettingsOut:
        """How a run asks people, after `overlap` or `lease_s` were changed where they are given."""
        if changes:
            return self._read("PATCH", f"/runs/{run}/settings", SettingsOut, body=changes)
        return self._read("GET", f"/runs/{run}/settings", SettingsOut)

    def metrics(self, run: str, *, after_step: int | None = None) -> list[dict[str, Any]]:
        """Rows of metrics so far, those of later steps than `after_step`."""
        rows: list[dict[str, Any]] = []
        query: dict[str, Any] = {} if after_step is None else {"after_step": after_step}
        while True:
            page = self._read("GET", f"/runs/{run}/metrics", Page[dict[str, Any]], query | {"limit": 1000})
            rows += page.items
            if not page.items:
                return rows
            query = {"cursor": page.next}

    def watch(self, run: str, *, after_step: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """New rows as they come, for ever: ("metrics", row), or ("rewind", {"step": n}) where the run went back.

        A connection that breaks is made anew where it was; no row is missed.
        """
        place: str | None = None
        failing_since: float | None = None
        while True:
            headers = {} if place is None else {"Last-Event-ID": place}
            query = {} if after_step is None else {"after_step": after_step}
            try:
                with self._http.stream("GET", f"/runs/{run}/events", params=query, headers=headers) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise _error(response)
                    failing_since = None
                    for name, event_id, value in _events(response.iter_lines()):
                        place = event_id or place
                        yield name, value
            except httpx2.TransportError as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > self._patience_s:
                    raise ServiceError(f"the service cannot be reached: {error}") from error
            time.sleep(0.5)

    def _pages(self, path: str, model: type[Page[M]]) -> Iterator[M]:
        cursor: str | None = None
        while True:
            page = self._read("GET", path, model, {} if cursor is None else {"cursor": cursor})
            yield from page.items
            if page.next is None:
                return
            cursor = page.next

    def _read(
        self,
        method: str,
        path: str,
        model: type[M],
        query: Mapping[str, Any] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> M:
        return model.model_validate_json(self._send(method, path, query, body))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Ask until there is an answer. All that is asked may be asked twice: what is new carries a UUID of ours."""
        deadline, pause_s = time.monotonic() + self._patience_s, 0.1
        while True:
            try:
                response = self._http.request(method, path, params=query, json=body)
                if response.status_code < 400:
                    return response.content
                failure, wait_s = _error(response), _retry_after_s(response)
                if response.status_code not in _RETRIED:
                    raise failure
            except httpx2.TransportError as error:
                failure, wait_s = ServiceError(f"the service cannot be reached: {error}"), 0.0
            pause_s = max(min(2 * pause_s, 5.0), wait_s)
            if time.monotonic() + pause_s > deadline:
                raise failure
            time.sleep(pause_s)


def answer_body(
    lease: LeaseOut,
    value: Mapping[str, Any],
    *,
    time_taken_s: float | None = None,
    confidence: float | None = None,
) -> dict[str, Any]:
    """An answer with a new key, for `Client.answer_all`."""
    body = {"key": str(uuid.uuid4()), "query_id": lease.query_id, "kind": lease.kind, "value": dict(value)}
    return body | {"time_taken_s": time_taken_s, "confidence": confidence}


def _error(response: httpx2.Response) -> HeelerError:
    """The error of heeler that a refusal resembles."""
    try:
        problem = response.json()
        detail, field = str(problem["detail"]), problem.get("field")
    except (ValueError, KeyError, TypeError):
        detail, field = f"HTTP {response.status_code}", None
    kind = _KINDS.get(response.status_code)
    return ServiceError(detail, status=response.status_code, field=field) if kind is None else kind(detail)


def _retry_after_s(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """(name, id, value) of each whole event."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, text = line.partition(": ")
            fields[name] = text
        else:
            if "data" in fields:
                yield fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])
            fields = {}
