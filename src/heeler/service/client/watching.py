"""Watching a run while it acts, and saying good or bad."""

import uuid
from typing import Literal

from heeler.service.bodies import ReceiptOut
from heeler.service.bodies_watch import WatchOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import at, given


class Watching(Calls):
    """What somebody needs who teaches an agent while it acts."""

    def stretches(self, run: str, *, after: int | None = None) -> WatchOut:
        """What comes next on the screen after the stretch of this number; without it the newest two.

        To ask is to watch: the agent acts for as long as somebody asks every few seconds.
        """
        return self._transport.read("GET", at("/runs/{run}/watch", run=run), WatchOut, query=given(after=after))

    def film(self, run: str, query_id: str) -> bytes:
        """The pictures of a stretch as one sheet, a WebP; `stretches` tells how they lie on it."""
        return self._transport.send("GET", at("/runs/{run}/watch/{query_id}/film", run=run, query_id=query_id)).content

    def mark(
        self, run: str, query_id: str, time_s: float, sign: Literal[-1, 1], *, key: str | None = None
    ) -> ReceiptOut:
        """Say good (1) or bad (-1); when this returns it is on the service's disk, once.

        Args:
            run: its name.
            query_id: of the stretch that is on the screen.
            time_s: since it came on the screen, in seconds.
            sign: 1 for good, -1 for bad.
            key: a UUID, by which the same can be sent again after this has failed; a new one if not given.
        """
        body = {"key": key or str(uuid.uuid4()), "query_id": query_id, "time_s": time_s, "sign": sign}
        return self._transport.read("POST", at("/runs/{run}/watch/marks", run=run), ReceiptOut, body=body)
