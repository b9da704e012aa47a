"""Being asked and answering."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from heeler.core.errors import DataError
from heeler.service.bodies import LeaseOut, Page, ReceiptOut, ReceiptsOut, TaskOut
from heeler.service.bodies_shown import DrivenOut, DriveOut, ShownOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat, at

_QUERY = "/runs/{run}/leases/{query_id}"


class Answering(Calls):
    """What an annotator needs."""

    def tasks(self) -> list[str]:
        """Names of the runs that ask people."""
        return [task.run for task in self._transport.read("GET", "/tasks", Page[TaskOut]).items]

    def lease(self, run: str, *, count: int = 1) -> list[LeaseOut]:
        """Be asked at most `count` queries; those that are held already come first."""
        path = at("/runs/{run}/leases", run=run)
        return self._transport.read("POST", path, Page[LeaseOut], body={"count": count}).items

    def give_back(self, run: str, query_id: str) -> None:
        """Leave a query to others; one that is not held is let be."""
        self._transport.send("DELETE", at(_QUERY, run=run, query_id=query_id))

    def shown(self, run: str, query_id: str, place: int) -> ShownOut:
        """What the segment at a place of a query that is held shows, the first at 0."""
        path = at(_QUERY + "/segments/{place}", run=run, query_id=query_id, place=place)
        return self._transport.read("GET", path, ShownOut)

    def film(self, run: str, query_id: str, place: int) -> bytes:
        """Its pictures as one sheet, a WebP; `shown` tells how they lie on it."""
        path = at(_QUERY + "/segments/{place}/film", run=run, query_id=query_id, place=place)
        return self._transport.send("GET", path).content

    def answer(
        self,
        run: str,
        lease: LeaseOut,
        value: Mapping[str, Any],
        *,
        time_taken_s: float | None = None,
        confidence: float | None = None,
        view_opened: bool | None = None,
        key: str | None = None,
    ) -> ReceiptOut:
        """Answer a query; when this returns the answer is on the service's disk, once.

        Args:
            run: its name.
            lease: of the query.
            value: the answer.
            time_taken_s: by the person, in seconds.
            confidence: from 0 to 1.
            view_opened: of a lease that came with a model's view, whether the person looked at it; None where they
                were not offered it.
            key: a UUID, by which the same answer can be sent again after this has failed; a new one if not given.

        Raises:
            DataError: the answer does not hold, or there was no view to open; the message names the field.
            ConflictError: the lease ran out and others answer it now.
        """
        body = answer_body(
            lease, value, time_taken_s=time_taken_s, confidence=confidence, view_opened=view_opened, key=key
        )
        return self._transport.read("POST", at("/runs/{run}/feedback", run=run), ReceiptOut, body=body)

    def answer_all(self, run: str, bodies: Sequence[Mapping[str, Any]]) -> list[ReceiptOut]:
        """Answer several queries, all or none; `answer_body` makes the bodies."""
        path, body = at("/runs/{run}/feedback/batch", run=run), {"feedback": list(bodies)}
        return self._transport.read("POST", path, ReceiptsOut, body=body).items

    def flag(self, run: str, query_id: str, category: str, *, note: str = "") -> None:
        """Say that a query shows what not everybody wants to see, and give it back."""
        path = at(_QUERY + "/flag", run=run, query_id=query_id)
        self._transport.send("POST", path, body={"category": category, "note": note})

    def drive(self, run: str, query_id: str) -> DriveOut:
        """Begin a world, to show in it how it is done; one that was begun before is closed."""
        return self._transport.read("POST", at(_QUERY + "/drive", run=run, query_id=query_id), DriveOut)

    def drive_on(self, run: str, query_id: str, actions: Sequence[Sequence[float]]) -> DriveOut:
        """Do something in it, for as many steps as there are actions.

        Raises:
            Unreachable: nobody knows whether it was done; `drive` begins anew.
        """
        path, body = at(_QUERY + "/drive/steps", run=run, query_id=query_id), {"actions": [list(a) for a in actions]}
        return self._transport.read("POST", path, DriveOut, body=body, repeat=Repeat.UNSENT)

    def finish_drive(self, run: str, query_id: str) -> DrivenOut:
        """Keep what was done as a segment, whose id is then the value of the demonstration."""
        return self._transport.read("POST", at(_QUERY + "/drive/finish", run=run, query_id=query_id), DrivenOut)


def answer_body(
    lease: LeaseOut,
    value: Mapping[str, Any],
    *,
    time_taken_s: float | None = None,
    confidence: float | None = None,
    view_opened: bool | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """An answer for `Client.answer_all`, with a key of its own if none is given; the rest is as of `Client.answer`."""
    body = {"key": key or str(uuid.uuid4()), "query_id": lease.query_id, "kind": lease.kind, "value": dict(value)}
    body |= {"time_taken_s": time_taken_s, "confidence": confidence}
    if view_opened is None:
        return body
    if lease.view is None:
        raise DataError(f"view_opened: the lease of {lease.query_id} came with no model's view; leave it out")
    return body | {"view": {**lease.view.model_dump(), "opened": view_opened}}
