"""Being asked and answering."""

import uuid

import pytest

from heeler.core.errors import DataError
from heeler.service.client import NotFound, answer_body
from tests.unit.service.client_calls.world import WEBP, Calls, World

calls = Calls()


@calls.of("GET /tasks")
def _(w: World) -> None:
    assert w.ann.tasks() == ["cart", "grid", "run", "talks"]


@calls.of("POST /runs/{run}/leases")
def _(w: World) -> None:
    held = w.ann.lease("run", count=2)
    assert [lease.query_id for lease in w.ann.lease("run", count=2)] == [lease.query_id for lease in held]
    assert held[0].form.controls[0].field == "choice"


@calls.of("DELETE /runs/{run}/leases/{query_id}")
def _(w: World) -> None:
    lease = w.lease()
    w.ann.give_back("run", lease.query_id)
    with pytest.raises(NotFound):
        w.ann.shown("run", lease.query_id, 0)


@calls.of("GET /runs/{run}/leases/{query_id}/segments/{place}")
def _(w: World) -> None:
    assert w.ann.shown("run", w.lease().query_id, 1).film is not None


@calls.of("GET /runs/{run}/leases/{query_id}/segments/{place}/film")
def _(w: World) -> None:
    assert w.ann.film("run", w.lease().query_id, 0).startswith(WEBP)


@calls.of("POST /runs/{run}/feedback")
def _(w: World) -> None:
    lease, key = w.lease(), str(uuid.uuid4())
    receipt = w.ann.answer("run", lease, {"choice": "left"}, time_taken_s=1.0, confidence=0.5, key=key)
    assert w.ann.answer("run", lease, {"choice": "left"}, time_taken_s=1.0, confidence=0.5, key=key) == receipt
    assert receipt.key == key
    with pytest.raises(DataError, match=r"view_opened: the lease of .* came with no model's view"):
        w.ann.answer("run", w.lease(), {"choice": "left"}, view_opened=True)


@calls.of("POST /runs/{run}/feedback/batch")
def _(w: World) -> None:
    bodies = [answer_body(lease, {"choice": "equal"}) for lease in w.ann.lease("run", count=2)]
    receipts = w.ann.answer_all("run", bodies)
    assert [receipt.key for receipt in receipts] == [body["key"] for body in bodies]


@calls.of("POST /runs/{run}/leases/{query_id}/flag")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.ann.flag("run", query_id, "violence", note="a fall")
    assert (query_id, "a fall") in [(flag.query_id, flag.note) for flag in w.boss.flags.all("run")]


@calls.of("POST /runs/{run}/leases/{query_id}/drive")
def _(w: World) -> None:
    assert w.ann.drive("cart", w.lease("cart").query_id).num_steps == 0


@calls.of("POST /runs/{run}/leases/{query_id}/drive/steps")
def _(w: World) -> None:
    query_id = w.lease("cart").query_id
    w.ann.drive("cart", query_id)
    assert w.ann.drive_on("cart", query_id, [(0,), (1,)]).num_steps == 2


@calls.of("POST /runs/{run}/leases/{query_id}/drive/finish")
def _(w: World) -> None:
    query_id = w.lease("cart").query_id
    w.ann.drive("cart", query_id)
    w.ann.drive_on("cart", query_id, [[1]])
    driven = w.ann.finish_drive("cart", query_id)
    assert driven.num_steps == 1
    assert w.ann.finish_drive("cart", query_id) == driven
