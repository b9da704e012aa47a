"""What an operator sees of a run beside its metrics: charts, alarms, and what the agent did just now."""

import shutil
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from heeler.core import live
from heeler.core.audit import AUDIT_NAME, entries, newest_number
from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory
from heeler.envs import DRAWN_IDS
from heeler.feedback.staleness import staleness
from heeler.feedback.stores import has_store
from heeler.feedback.told import DRIFTED, GROUPED, HELD, ONLY_HELD_OUT, WARNED
from heeler.service import metrics_file
from heeler.service.alarms import NUM_ROWS, RunFacts, alarms
from heeler.service.bodies_operate import AlarmOut, AlarmsOut, ClipOut, SeriesOut
from heeler.service.clip import sheet_of
from heeler.service.context import service_of
from heeler.service.permissions import Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry
from heeler.service.run_state import state_of
from heeler.service.runs import Runs

MAX_NAMES = 40
Names = Annotated[str, Query(max_length=2000, description="names of metrics, with commas between")]
MaxPoints = Annotated[int, Query(ge=2, le=5000)]


def get_series(request: Request, run: str, names: Names, max_points: MaxPoints = 1000) -> SeriesOut:
    """Metrics over steps for charts, with rows left out where there are more than `max_points`."""
    wanted = [name for name in dict.fromkeys(names.split(",")) if name]
    if not 1 <= len(wanted) <= MAX_NAMES:
        raise Problem(422, f"names: expected 1 to {MAX_NAMES} names, got {len(wanted)}", field="names")
    path = service_of(request).runs.directory(run).metrics_path
    return SeriesOut(**asdict(metrics_file.series(path, wanted, max_points=max_points)))


def get_alarms(request: Request, run: str) -> AlarmsOut:
    """What somebody should look at now, the bad ones first."""
    runs = service_of(request).runs
    directory = runs.directory(run)
    rows = metrics_file.newest_rows(directory.metrics_path, NUM_ROWS)
    found = alarms(rows, _facts(runs, directory, rows))
    return AlarmsOut(items=[AlarmOut(**asdict(alarm)) for alarm in found])


def get_clip(request: Request, run: str) -> ClipOut:
    """What the agent did just now. To ask is to watch: the learner records as long as somebody asks now and then."""
    directory = service_of(request).runs.directory(run)
    if _env_id(directory.config()) not in DRAWN_IDS:
        return ClipOut(can_be_drawn=False, step=None, fps=None, sheet=None)
    live.say_watching(directory.path)
    stretch = live.newest(directory.path)
    if stretch is None:
        return ClipOut(can_be_drawn=True, step=None, fps=None, sheet=None)
    return ClipOut(can_be_drawn=True, step=stretch.step, fps=stretch.fps, sheet=sheet_of(len(stretch.snapshot)))


def get_clip_sheet(request: Request, run: str, step: int) -> Response:
    """The pictures of the newest clip as one WebP."""
    service = service_of(request)
    directory = service.runs.directory(run)
    env_id, stretch = _env_id(directory.config()), live.newest(directory.path)
    if env_id not in DRAWN_IDS or stretch is None or stretch.step != step:
        raise unknown("clip of step", str(step), "step")
    try:
        content = service.clips.drawn(directory.path, env_id, stretch)
    except ValueError as error:
        raise RunError(f"{directory.path}/media: what its learner left cannot be drawn: {error}") from error
    return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"})


def _facts(runs: Runs, directory: RunDirectory, rows: list[dict[str, Any]]) -> RunFacts:
    config, now_s = directory.config(), time.time()
    asking = config.get("preferences") or config.get("kinds")
    num_open, last_answer_s, stale, held, warned, drifted, grouped = 0, None, None, None, None, None, None
    only_held_out = None
    if has_store(directory):
        store = runs.open(directory.path.name).store
        num_open, last_answer_s = store.answering()
        stale = staleness(directory, store).in_words
        held, warned = store.setting(HELD, None), store.setting(WARNED, None)
        drifted, grouped = store.setting(DRIFTED, None), store.setting(GROUPED, None)
        only_held_out = store.setting(ONLY_HELD_OUT, None)
    if last_answer_s is None:
        last_answer_s = (directory.path / "config.yaml").stat().st_mtime
    return RunFacts(
        state=state_of(runs, directory, config=config, row=rows[-1] if rows else None),
        now_unix_s=now_s,
        last_row_unix_s=metrics_file.written_unix_s(directory.metrics_path),
        asks_people=isinstance(asking, dict) and asking.get("teacher") == "people",
        num_open_queries=num_open,
        last_answer_unix_s=last_answer_s,
        free_bytes=shutil.disk_usage(directory.path).free,
        stale_reward_model=stale,
        drifted=drifted,
        grouped=grouped,
        only_held_out=only_held_out,
        last_act=_last_act(directory),
        held=held,
        warned=warned,
    )


def _last_act(directory: RunDirectory) -> str | None:
    path = directory.path / AUDIT_NAME
    try:
        number = newest_number(path)
        return entries(path, after=number - 1, limit=1)[0].act if number else None
    except RunError:
        # That the log is damaged is told where it is shown.
        return None


def _env_id(config: dict[str, Any]) -> str:
    env = config.get("env")
    return str(env.get("id")) if isinstance(env, dict) else ""


_READ, _RUN = Permission.READ_RUNS, "/runs/{run}"
ROUTES = (
    Entry(method="GET", path=f"{_RUN}/series", permission=_READ, endpoint=get_series, answer=SeriesOut),
    Entry(method="GET", path=f"{_RUN}/alarms", permission=_READ, endpoint=get_alarms, answer=AlarmsOut),
    Entry(method="GET", path=f"{_RUN}/clip", permission=_READ, endpoint=get_clip, answer=ClipOut),
    Entry(
        method="GET",
        path=f"{_RUN}/clip/{{step}}",
        permission=_READ,
        endpoint=get_clip_sheet,
        media_type="image/webp",
    ),
)
