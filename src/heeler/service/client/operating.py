"""Seeing runs and steering them."""

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

import httpx2

from heeler.core.nouns import CommandKind
from heeler.service.bodies import CheckpointOut, CommandOut, FeedbackOut, Page, RunDetailOut, RunOut, SettingsOut
from heeler.service.bodies_operate import AlarmOut, AlarmsOut, ClipOut, SeriesOut
from heeler.service.client.calls import Calls
from heeler.service.client.errors import Unreachable
from heeler.service.client.transport import at, given

_RECONNECT_S = 0.5


class SettingsChanges(TypedDict, total=False):
    """How a run asks people; what is left out stays."""

    overlap: int
    lease_s: float
    gold_share: float
    compare_share: float


class Operating(Calls):
    """What an operator needs of runs."""

    def runs(self) -> Iterator[RunOut]:
        """The runs of the service, by name."""
        return self._transport.pages("/runs", Page[RunOut])

    def run(self, run: str) -> RunDetailOut:
        """One run: its configuration, its newest metrics, and what its store holds."""
        return self._transport.read("GET", at("/runs/{run}", run=run), RunDetailOut)

    def feedback(self, run: str, *, after: int = 0) -> Iterator[FeedbackOut]:
        """Everybody's answers after a position, in order."""
        path, query = at("/runs/{run}/feedback", run=run), {"cursor": str(after)}
        return self._transport.pages(path, Page[FeedbackOut], query=query, until_empty=True)

    def metrics(self, run: str, *, after_step: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows of metrics so far, those of later steps than `after_step`.

        Raises:
            ConflictError: the run was rolled back meanwhile; begin anew with `after_step`.
        """
        path, query = at("/runs/{run}/metrics", run=run), given(after_step=after_step)
        return self._transport.pages(path, Page[dict[str, Any]], query=query, until_empty=True)

    def series(self, run: str, names: Sequence[str], *, max_points: int = 1000) -> SeriesOut:
        """Metrics over steps for a chart, with rows left out where there are more than `max_points`."""
        query = {"names": ",".join(names), "max_points": max_points}
        return self._transport.read("GET", at("/runs/{run}/series", run=run), SeriesOut, query=query)

    def checkpoints(self, run: str) -> Iterator[CheckpointOut]:
        """Checkpoints, the newest first."""
        return self._transport.pages(at("/runs/{run}/checkpoints", run=run), Page[CheckpointOut])

    def alarms(self, run: str) -> list[AlarmOut]:
        """What somebody should look at now, the bad ones first."""
        return self._transport.read("GET", at("/runs/{run}/alarms", run=run), AlarmsOut).items

    def clip(self, run: str) -> ClipOut:
        """What the agent did just now. The learner records for as long as somebody asks now and then."""
        return self._transport.read("GET", at("/runs/{run}/clip", run=run), ClipOut)

    def clip_sheet(self, run: str, step: int) -> bytes:
        """The pictures of the newest clip, whose step `clip` told, as one WebP."""
        return self._transport.send("GET", at("/runs/{run}/clip/{step}", run=run, step=step)).content

    def command(
        self,
        run: str,
        kind: CommandKind,
        value: int | None = None,
        *,
        because: str | None = None,
        command_id: str | None = None,
    ) -> CommandOut:
        """Tell the learner something; it obeys between two updates, or at its next step where that is urgent.

        A `hard_stop` has ended the learner's process when this returns, where the service runs on its machine.

        Args:
            run: its name.
            kind: of the command.
            value: the step to roll back to, or the budget.
            because: why; it stands in the audit log for good, so name nobody.
            command_id: a UUID, by which the same can be told again after this has failed; a new one if not given.
        """
        body = {"id": command_id or str(uuid.uuid4()), "kind": kind, "value": value}
        body |= {} if because is None else {"because": because}
        return self._transport.read("POST", at("/runs/{run}/commands", run=run), CommandOut, body=body)

    def commands(self, run: str) -> Iterator[CommandOut]:
        """Commands and what came of them, the newest first."""
        return self._transport.pages(at("/runs/{run}/commands", run=run), Page[CommandOut])

    def settings(self, run: str) -> SettingsOut:
        """How a run asks people."""
        return self._transport.read("GET", at("/runs/{run}/settings", run=run), SettingsOut)

    def change_settings(self, run: str, **changes: Unpack[SettingsChanges]) -> SettingsOut:
        """Change how a run asks people, from the next lease on."""
        return self._transport.read("PATCH", at("/runs/{run}/settings", run=run), SettingsOut, body=changes)

    def watch(self, run: str, *, after_step: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """New rows as they come, for ever: ("metrics", row), or ("rewind", {"step": n}) where the run went back.

        A connection that breaks is made anew where it was; no row is missed.

        Raises:
            Unreachable: for as long as the client has patience.
        """
        path, query = at("/runs/{run}/events", run=run), given(after_step=after_step)
        place: str | None = None
        failing_since_s: float | None = None
        while True:
            try:
                for name, event_id, value in self._transport.events(path, query=query, place=place):
                    failing_since_s, place = None, event_id or place
                    yield name, value
            except httpx2.TransportError as error:
                failing_since_s = failing_since_s or time.monotonic()
                if time.monotonic() - failing_since_s > self._transport.patience_s:
                    raise Unreachable(f"the service cannot be reached: {error}") from error
            time.sleep(_RECONNECT_S)
