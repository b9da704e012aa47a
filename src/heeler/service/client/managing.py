"""What belongs to one run beside its learning: releases, gold items, flags; and who did what."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from heeler.service.bodies import Page
from heeler.service.bodies_care import FlagOut
from heeler.service.bodies_gold import GoldOut, GoldResultOut
from heeler.service.bodies_operate import AuditCheckOut, AuditEntryOut, AuditPageOut, OperatorOut, ReleaseOut
from heeler.service.client.calls import Calls
from heeler.service.client.transport import Repeat, at

_RELEASE = "/runs/{run}/releases/{release_id}"


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
