"""Releases, queries, gold items, flags and audit."""

import uuid

import pytest

from heeler.service.client import NotFound
from tests.unit.service.client_calls.world import WEBP, Calls, World

calls = Calls()


@calls.of("GET /runs/{run}/releases")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 100)
    assert w.boss.releases.all("run")[0].id == release.id


@calls.of("POST /runs/{run}/releases")
def _(w: World) -> None:
    release_id = str(uuid.uuid4())
    release = w.olga.releases.propose("run", 200, release_id=release_id)
    assert w.olga.releases.propose("run", 200, release_id=release_id) == release
    assert (release.id, release.state) == (release_id, "proposed")


@calls.of("POST /runs/{run}/releases/{release_id}/approve")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 200)
    assert w.omar.releases.approve("run", release.id).state == "in use"


@calls.of("POST /runs/{run}/releases/{release_id}/withdraw")
def _(w: World) -> None:
    release = w.olga.releases.propose("run", 200)
    assert w.omar.releases.withdraw("run", release.id).state == "withdrawn"


@calls.of("GET /runs/{run}/queries")
def _(w: World) -> None:
    asked = list(w.boss.queries.all("run"))
    assert (len(asked), {query.kind for query in asked}) == (40, {"preference"})
    assert w.lease().query_id in [query.query_id for query in asked]


@calls.of("GET /runs/{run}/queries/{query_id}")
def _(w: World) -> None:
    query = w.boss.queries.get("cart", next(w.boss.queries.all("cart")).query_id)
    assert (query.kind, query.num_segments, query.set_aside) == ("demonstration", 1, False)


@calls.of("GET /runs/{run}/queries/{query_id}/segments/{place}")
def _(w: World) -> None:
    query_id = w.lease().query_id
    assert w.boss.queries.shown("run", query_id, 1) == w.ann.shown("run", query_id, 1)


@calls.of("GET /runs/{run}/queries/{query_id}/segments/{place}/film")
def _(w: World) -> None:
    query_id = next(w.boss.queries.all("run")).query_id
    film = w.boss.queries.film("run", query_id, 0)
    assert film.startswith(WEBP)
    assert film != w.boss.queries.film("run", query_id, 1)


@calls.of("POST /runs/{run}/set-aside")
def _(w: World) -> None:
    query_id = w.lease().query_id
    for _ in range(2):
        w.boss.queries.set_aside("run", query_id)
    with pytest.raises(NotFound):
        w.ann.shown("run", query_id, 0)
    w.boss.queries.put_back("run", query_id)


@calls.of("GET /runs/{run}/set-aside")
def _(w: World) -> None:
    query_id = next(w.boss.queries.all("run")).query_id
    w.boss.queries.set_aside("run", query_id)
    (aside,) = w.boss.queries.all_set_aside("run")
    assert (aside.query_id, aside.person) == (query_id, w.boss.me().person.id)
    w.boss.queries.put_back("run", query_id)


@calls.of("DELETE /runs/{run}/set-aside/{query_id}")
def _(w: World) -> None:
    query_id = next(w.boss.queries.all("run")).query_id
    w.boss.queries.set_aside("run", query_id)
    assert w.boss.queries.get("run", query_id).set_aside
    w.boss.queries.put_back("run", query_id)
    assert not w.boss.queries.get("run", query_id).set_aside
    with pytest.raises(NotFound):
        w.boss.queries.put_back("run", query_id)


@calls.of("POST /runs/{run}/gold")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.boss.gold.add("run", query_id, {"choice": "left"})
    assert query_id in [item.query_id for item in w.boss.gold.all("run")]
    w.boss.gold.remove("run", query_id)


@calls.of("GET /runs/{run}/gold")
def _(w: World) -> None:
    assert list(w.boss.gold.all("cart")) == []


@calls.of("DELETE /runs/{run}/gold/{query_id}")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.boss.gold.add("run", query_id, {"choice": "left"})
    w.boss.gold.remove("run", query_id)
    assert query_id not in [item.query_id for item in w.boss.gold.all("run")]


@calls.of("GET /runs/{run}/gold-results")
def _(w: World) -> None:
    assert w.boss.gold.results("cart") == []


@calls.of("GET /runs/{run}/flags")
def _(w: World) -> None:
    assert list(w.boss.flags.all("cart")) == []


@calls.of("DELETE /runs/{run}/flags/{query_id}/{category}")
def _(w: World) -> None:
    query_id = w.lease().query_id
    w.ann.flag("run", query_id, "violence")
    w.boss.flags.remove("run", query_id, "violence")
    assert query_id not in [flag.query_id for flag in w.boss.flags.all("run")]


@calls.of("GET /audit")
def _(w: World) -> None:
    told = w.boss.command("run", "pause")
    assert told.id in [entry.details.get("id") for entry in w.boss.audit.service()]
    assert [check.is_sound for check in w.boss.audit.check_service()] == [True]


@calls.of("GET /runs/{run}/audit")
def _(w: World) -> None:
    told = w.boss.command("run", "resume")
    acts = [entry.act for entry in w.boss.audit.run("run", answers=False) if entry.details.get("id") == told.id]
    assert acts == ["command.resume"]
    assert all(check.is_sound for check in w.boss.audit.check_run("run"))


@calls.of("GET /operators")
def _(w: World) -> None:
    assert {"olga", "omar"} <= {person.name for person in w.boss.audit.operators()}


@calls.of("GET /runs/{run}/trust")
def _(w: World) -> None:
    assert w.boss.trust.of("cart").people == []
