"""Runs as operators see them, and how they ask people."""

import hashlib
from typing import Any

from fastapi import Request

from heeler.core.rundir import RunDirectory
from heeler.feedback.staleness import staleness
from heeler.feedback.stores import has_store, shown_config
from heeler.feedback.told import HELD, PAUSED
from heeler.service import metrics_file
from heeler.service.bodies import CheckpointOut, Page, RunDetailOut, RunOut, SettingsBody, SettingsOut, TaskOut
from heeler.service.context import Cursor, Limit, caller_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem
from heeler.service.routes.table import Entry
from heeler.service.run_state import state_of
from heeler.service.runs import COMPARE_SHARE, DEFAULTS, GOLD_SHARE, LEASE_S, OVERLAP, OpenRun, Runs


def list_runs(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Page[RunOut]:
    """The runs of this service, by name."""
    runs = service_of(request).runs
    names = [name for name in runs.names() if name > (cursor or "")]
    items = [RunOut(**_glance(runs, runs.directory(name))) for name in names[:limit]]
    return Page(items=items, next=names[limit - 1] if len(names) > limit else None)


def get_run(request: Request, run: str) -> RunDetailOut:
    """One run: its configuration, its newest metrics, and what its store holds."""
    runs = service_of(request).runs
    directory = runs.directory(run)
    fields = _glance(runs, directory)
    counts = paused_by = held = stale = None
    if fields["has_store"]:
        store = runs.open(run).store
        stale = staleness(directory, store).in_words
        counts, paused_by, held = store.counts(), store.setting(PAUSED, None), store.setting(HELD, None)
    metrics = metrics_file.last_row(directory.metrics_path)
    return RunDetailOut(
        **fields,
        config=shown_config(directory),
        metrics=metrics,
        stale_reward_model=stale,
        paused_by=paused_by,
        held=held,
        counts=counts,
    )


def get_metrics(
    request: Request, run: str, limit: Limit = 100, cursor: Cursor = None, after_step: int | None = None
) -> Page[dict[str, Any]]:
    """Rows of metrics, the oldest first; with `after_step` from the first later row on. `next` is never null: what
    comes later is asked for by it.
    """
    path = service_of(request).runs.directory(run).metrics_path
    if cursor is not None and after_step is not None:
        raise Problem(422, "after_step: goes with the first page only; a cursor knows its place", field="after_step")
    offset = number_of(cursor, 0) if after_step is None else metrics_file.place_after_step(path, after_step)
    if not metrics_file.is_place(path, offset):
        raise Problem(409, "cursor: the run went back behind this place; begin anew with after_step", field="cursor")
    page = metrics_file.read_page(path, offset=offset, limit=limit)
    return Page(items=page.rows, next=str(page.offset))


def list_checkpoints(request: Request, run: str, limit: Limit = 100, cursor: Cursor = None) -> Page[CheckpointOut]:
    """Checkpoints, the newest first; a run can be rolled back to any of them."""
    directory, before = service_of(request).runs.directory(run), number_of(cursor, 10**18)
    steps = [step for step in reversed(directory.checkpoint_steps()) if step < before]
    found = [_checkpoint(directory, step) for step in steps[:limit]]
    items = [checkpoint for checkpoint in found if checkpoint is not None]
    return Page(items=items, next=str(steps[limit - 1]) if len(steps) > limit else None)


def get_settings(request: Request, run: str) -> SettingsOut:
    """How the run asks people."""
    return _settings(service_of(request).runs.open(run))


def change_settings(request: Request, run: str, body: SettingsBody) -> SettingsOut:
    """Change how the run asks people, from the next lease on."""
    service, by = service_of(request), caller_of(request).person.id
    opened = service.runs.open(run)
    for name, value in body.model_dump(exclude_none=True).items():
        opened.store.set_setting(
            name, value, before_commit=lambda n=name, v=value: service.audit.append(by, f"settings.{n}", run, value=v)
        )
    return _settings(opened)


def list_tasks(request: Request) -> Page[TaskOut]:
    """Runs that somebody may be asked about: their names, and nothing else of them."""
    runs = service_of(request).runs
    items = [TaskOut(run=name) for name in runs.names() if runs.has_store(name)]
    return Page(items=items, next=None)


def _settings(run: OpenRun) -> SettingsOut:
    return SettingsOut(**{name: run.setting(name) for name in DEFAULTS})


def _glance(runs: Runs, directory: RunDirectory) -> dict[str, Any]:
    config = directory.config()
    env = config.get("env")
    row = metrics_file.last_row(directory.metrics_path)
    return {
        "name": directory.path.name,
        "recipe": config.get("recipe"),
        "env_id": env.get("id") if isinstance(env, dict) else None,
        "seed": config.get("seed"),
        "step": None if row is None else int(row["step"]),
        "has_store": has_store(directory),
        "state": state_of(runs, directory, config=config, row=row),
        "last_row_unix_s": metrics_file.written_unix_s(directory.metrics_path),
    }


def _checkpoint(directory: RunDirectory, step: int) -> CheckpointOut | None:
    manifest = directory.path / "checkpoints" / f"step-{step}" / "manifest.json"
    try:
        sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
        return CheckpointOut(step=step, saved_unix_s=manifest.stat().st_mtime, sha256=sha256)
    except OSError:
        # The learner removed it just now, as a newer one took its place.
        return None


_READ = Permission.READ_RUNS
ROUTES = (
    Entry(method="GET", path="/tasks", permission=Permission.ANSWER, endpoint=list_tasks, answer=Page[TaskOut]),
    Entry(method="GET", path="/runs", permission=_READ, endpoint=list_runs, answer=Page[RunOut]),
    Entry(method="GET", path="/runs/{run}", permission=_READ, endpoint=get_run, answer=RunDetailOut),
    Entry(
        method="GET", path="/runs/{run}/metrics", permission=_READ, endpoint=get_metrics, answer=Page[dict[str, Any]]
    ),
    Entry(
        method="GET",
        path="/runs/{run}/checkpoints",
        permission=_READ,
        endpoint=list_checkpoints,
        answer=Page[CheckpointOut],
    ),
    Entry(method="GET", path="/runs/{run}/settings", permission=_READ, endpoint=get_settings, answer=SettingsOut),
    Entry(
        method="PATCH",
        path="/runs/{run}/settings",
        permission=Permission.SETTINGS,
        endpoint=change_settings,
        answer=SettingsOut,
    ),
)
assert {OVERLAP, LEASE_S, GOLD_SHARE, COMPARE_SHARE} == SettingsOut.model_fields.keys()
