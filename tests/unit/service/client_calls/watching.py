"""Watching a run while it acts."""

import uuid

import pytest

from heeler.service.client import Invalid
from tests.unit.service.client_calls.world import WEBP, Calls, World

calls = Calls()


@calls.of("GET /runs/{run}/watch")
def _(w: World) -> None:
    newest = w.ann.watching.stretches("grid").items
    assert len(newest) == 2 and newest[0].number < newest[1].number
    later = w.ann.watching.stretches("grid", after=newest[0].number)
    assert [one.query_id for one in later.items] == [newest[1].query_id]
    assert later.steps_per_second == 2.0


@calls.of("GET /runs/{run}/watch/{query_id}/film")
def _(w: World) -> None:
    (first, _) = w.ann.watching.stretches("grid").items
    assert w.ann.watching.film("grid", first.query_id).startswith(WEBP)


@calls.of("POST /runs/{run}/watch/marks")
def _(w: World) -> None:
    (first, _), key = w.ann.watching.stretches("grid").items, str(uuid.uuid4())
    receipt = w.ann.watching.mark("grid", first.query_id, 0.75, 1, key=key)
    assert w.ann.watching.mark("grid", first.query_id, 0.75, 1, key=key) == receipt
    assert w.ann.watching.mark("grid", first.query_id, 0.8, -1).position == receipt.position + 1
    with pytest.raises(Invalid, match="time_s: expected 0 to"):
        w.ann.watching.mark("grid", first.query_id, 99.0, 1)
