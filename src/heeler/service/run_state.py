"""What a run does at this moment, as far as it can be seen from outside."""

from collections.abc import Mapping
from typing import Any, Literal

from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import has_store
from heeler.feedback.told import PAUSED, WAITING
from heeler.service.runs import Runs

RunState = Literal["learning", "waiting for people", "paused", "finished", "stopped"]


def state_of(
    runs: Runs, directory: RunDirectory, *, config: Mapping[str, Any], row: Mapping[str, Any] | None
) -> RunState:
    """Whether a learner is at work on a run, and what keeps it from learning where one is.

    Args:
        runs: of the service.
        directory: of the run.
        config: as it was saved.
        row: the newest of its metrics.
    """
    if not directory.is_locked():
        return "finished" if _is_finished(config, row) else "stopped"
    if has_store(directory):
        store = runs.open(directory.path.name).store
        if store.setting(PAUSED, None) is not None:
            return "paused"
        if store.setting(WAITING, None) is not None:
            return "waiting for people"
    return "learning"


def _is_finished(config: Mapping[str, Any], row: Mapping[str, Any] | None) -> bool:
    """Whether the newest row is that of the last update; the run may have been rolled back since it finished."""
    env = config.get("env")
    if row is None or not isinstance(env, dict):
        return False
    total, num_steps, num_envs = config.get("total_steps"), config.get("num_steps"), env.get("num_envs")
    if not (isinstance(total, int) and isinstance(num_steps, int) and isinstance(num_envs, int)):
        return False
    return row.get("update", 0) >= total // max(1, num_steps * num_envs)
