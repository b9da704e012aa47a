"""Seeing runs and steering them; the service itself."""

import uuid

from tests.unit.service.client_calls.world import WEBP, Calls, World

calls = Calls()


@calls.of("GET /runs")
def _(w: World) -> None:
    assert [run.name for run in w.boss.runs()] == ["cart", "grid", "run", "talks"]


@calls.of("GET /runs/{run}")
def _(w: World) -> None:
    assert w.boss.run("run").step == 7


@calls.of("GET /runs/{run}/feedback")
def _(w: World) -> None:
    receipt = w.ann.answer("run", w.lease(), {"choice": "right"})
    (found,) = w.boss.feedback("run", after=receipt.position - 1)
    assert (found.key, found.value) == (receipt.key, {"choice": "right"})


@calls.of("GET /runs/{run}/metrics")
def _(w: World) -> None:
    assert [row["step"] for row in w.boss.metrics("run")] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["step"] for row in w.boss.metrics("run", after_step=5)] == [6, 7]


@calls.of("GET /runs/{run}/series")
def _(w: World) -> None:
    assert w.boss.series("run", ["update", "none"]).values["update"] == [1, 2, 3, 4, 5, 6, 7]


@calls.of("GET /runs/{run}/checkpoints")
def _(w: World) -> None:
    assert [checkpoint.step for checkpoint in w.boss.checkpoints("run")] == [200, 100]


@calls.of("GET /runs/{run}/alarms")
def _(w: World) -> None:
    assert all(alarm.advice for alarm in w.boss.alarms("run"))


@calls.of("GET /runs/{run}/clip")
def _(w: World) -> None:
    clip = w.boss.clip("run")
    assert (clip.can_be_drawn, clip.step) == (True, 5)


@calls.of("GET /runs/{run}/clip/{step}")
def _(w: World) -> None:
    assert w.boss.clip_sheet("run", 5).startswith(WEBP)


@calls.of("POST /runs/{run}/commands")
def _(w: World) -> None:
    command_id = str(uuid.uuid4())
    told = w.boss.command("run", "set_budget", 30, command_id=command_id)
    assert w.boss.command("run", "set_budget", 30, command_id=command_id) == told
    assert (told.id, told.value) == (command_id, 30)
    told = w.boss.command("run", "slow", because="it learns too fast")
    (line,) = [line for line in w.boss.audit.service() if line.details.get("id") == told.id]
    assert line.details["because"] == "it learns too fast"


@calls.of("GET /runs/{run}/commands")
def _(w: World) -> None:
    told = w.boss.command("run", "pause")
    assert next(w.boss.commands("run")) == told


@calls.of("GET /runs/{run}/settings")
def _(w: World) -> None:
    assert w.boss.settings("run").overlap >= 1


@calls.of("PATCH /runs/{run}/settings")
def _(w: World) -> None:
    assert w.boss.change_settings("run", lease_s=900.0).lease_s == 900


@calls.of("GET /runs/{run}/events")
def _(w: World) -> None:
    stream = w.boss.watch("run", after_step=6)
    name, row = next(stream)
    assert (name, row["step"]) == ("metrics", 7)
    stream.close()  # type: ignore[attr-defined]


@calls.of("GET /health")
def _(w: World) -> None:
    with w.stranger() as client:
        assert client.health().status == "ok"


@calls.of("GET /openapi.json")
def _(w: World) -> None:
    with w.stranger() as client:
        assert "/api/v1/tasks" in client.description()["paths"]
