"""What belongs to one run beside its learning: releases, queries, gold items, flags; and who did what."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from heeler.service.bodies import Page
from heeler.service.bodies_care import AskedOut, FlagOut, QueryOut, SetAsideOut
from heeler.service.bodies_gold import GoldOut, GoldResultOut
from heeler.service.bodies_operate import AuditCheckOut, AuditEntryOut, AuditPageOut, OperatorOut, ReleaseOut
from heeler.service.bodies_shown import ShownOut
from heeler.service.bodies_trust import TrustOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat, at

_RELEASE = "/runs/{run}/releases/{release_id}"
_QUERY = "/runs/{run}/queries/{query_id}"
_ASIDE = "/runs/{run}/set-aside"


class Releases(Calls):
    """Checkpoints that were proposed for release. To propose and to approve, somebody has to sign in."""

    def all(self, run: str) -> list[ReleaseOut]:
        """Releases, the newest proposal first."""
        return self._transport.read("GET", at("/runs/{run}/releases", run=run), Page[ReleaseOut]).items

    def propose(self, run: str, step: int, *, release_id: str | None = None) -> ReleaseOut:
        """Propose the checkpoint of a step; it is kept from now on.

        Args:
            run: its name.
            step: of the checkpoint.
            release_id: a UUID, by which the same can be proposed again after this has failed; a new one if not given.
        """
        body = {"id": release_id or str(uuid.uuid4()), "step": step}
        return self._transport.read("POST", at("/runs/{run}/releases", run=run), ReleaseOut, body=body)

    def approve(self, run: str, release_id: str) -> ReleaseOut:
        """Put what another person proposed into use."""
        path = at(_RELEASE + "/approve", run=run, release_id=release_id)
        return self._transport.read("POST", path, ReleaseOut)

    def withdraw(self, run: str, release_id: str) -> ReleaseOut:
        """Take a proposal or a release back."""
        path = at(_RELEASE + "/withdraw", run=run, release_id=release_id)
        return self._transport.read("POST", path, ReleaseOut)


class Queries(Calls):
    """What a run asks, and what it asks of nobody any more."""

    def all(self, run: str) -> Iterator[AskedOut]:
        """Queries, the newest first."""
        return self._transport.pages(at("/runs/{run}/queries", run=run), Page[AskedOut])

    def get(self, run: str, query_id: str) -> QueryOut:
        """What a query asks."""
        return self._transport.read("GET", at(_QUERY, run=run, query_id=query_id), QueryOut)

    def shown(self, run: str, query_id: str, place: int) -> ShownOut:
        """What the segment at a place of a query shows, the first at 0."""
        path = at(_QUERY + "/segments/{place}", run=run, query_id=query_id, place=place)
        return self._transport.read("GET", path, ShownOut)

    def film(self, run: str, query_id: str, place: int) -> bytes:
        """Its pictures as one sheet, a WebP; `shown` tells how they lie on it."""
        path = at(_QUERY + "/segments/{place}/film", run=run, query_id=query_id, place=place)
        return self._transport.send("GET", path).content

    def set_aside(self, run: str, query_id: str) -> None:
        """Ask a query of nobody any more; a second time changes nothing. Its answers stay."""
        self._transport.send("POST", at(_ASIDE, run=run), body={"query_id": query_id})

    def all_set_aside(self, run: str) -> Iterator[SetAsideOut]:
        """What is asked of nobody any more, by query."""
        return self._transport.pages(at(_ASIDE, run=run), Page[SetAsideOut])

    def put_back(self, run: str, query_id: str) -> None:
        """Ask a query again that was set aside."""
        path = at(_ASIDE + "/{query_id}", run=run, query_id=query_id)
        self._transport.send("DELETE", path, repeat=Repeat.GONE)


class Gold(Calls):
    """Queries whose right answer is known."""

    def all(self, run: str) -> Iterator[GoldOut]:
        """Gold items by query."""
        return self._transport.pages(at("/runs/{run}/gold", run=run), Page[GoldOut])

    def add(self, run: str, query_id: str, value: Mapping[str, Any]) -> None:
        """Say what the right answer to a query is; the same again changes nothing."""
        body = {"query_id": query_id, "value": dict(value)}
        self._transport.send("POST", at("/runs/{run}/gold", run=run), body=body)

    def remove(self, run: str, query_id: str) -> None:
        """Make a gold item an ordinary query again; its answers stay."""
        path = at("/runs/{run}/gold/{query_id}", run=run, query_id=query_id)
        self._transport.send("DELETE", path, repeat=Repeat.GONE)

    def results(self, run: str) -> list[GoldResultOut]:
        """How everybody did who was asked any."""
        return self._transport.read("GET", at("/runs/{run}/gold-results", run=run), Page[GoldResultOut]).items


class Trust(Calls):
    """Who can be trusted, for operators."""

    def of(self, run: str) -> TrustOut:
        """What is known of everybody who answered in a run, those to look at first."""
        return self._transport.read("GET", at("/runs/{run}/trust", run=run), TrustOut)


class Flags(Calls):
    """Queries that show what not everybody wants to see; `Client.flag` adds one."""

    def all(self, run: str) -> Iterator[FlagOut]:
        """Flags by query."""
        return self._transport.pages(at("/runs/{run}/flags", run=run), Page[FlagOut])

    def remove(self, run: str, query_id: str, category: str) -> None:
        """Take a flag away, whoever set it; everybody may be asked the query again."""
        path = at("/runs/{run}/flags/{query_id}/{category}", run=run, query_id=query_id, category=category)
        self._transport.send("DELETE", path, repeat=Repeat.GONE)


class Audit(Calls):
    """Who did what."""

    def service(self, *, answers: bool = True) -> Iterator[AuditEntryOut]:
        """The service's log, the newest entry first; without a line for every group of answers if so wished."""
        return self._transport.pages("/audit", AuditPageOut, query={"answers": answers})

    def run(self, run: str, *, answers: bool = True) -> Iterator[AuditEntryOut]:
        """What was done to a run, by its learner and through the service, the newest entry first."""
        return self._transport.pages(at("/runs/{run}/audit", run=run), AuditPageOut, query={"answers": answers})

    def check_service(self) -> list[AuditCheckOut]:
        """Whether the service's log is as it was written."""
        return self._check("/audit")

    def check_run(self, run: str) -> list[AuditCheckOut]:
        """Whether the logs of a run and of the service are as they were written."""
        return self._check(at("/runs/{run}/audit", run=run))

    def operators(self) -> list[OperatorOut]:
        """Names of those who steer runs."""
        return self._transport.read("GET", "/operators", Page[OperatorOut]).items

    def _check(self, path: str) -> list[AuditCheckOut]:
        return self._transport.read("GET", path, AuditPageOut, query={"check": True, "limit": 1}).checks or []
