"""`report.html`: one page about a run that needs nothing else, made at its end and on demand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heeler.core.errors import RunError
from heeler.core.rundir import REPORT_NAME, RunDirectory, write_atomically
from heeler.feedback.stores import TEXTS
from heeler.loop.config import REWARD_MODEL
from heeler.loop.evaluative.config import is_evaluative_config
from heeler.loop.evaluative.report import evaluative_page
from heeler.loop.language.config import is_language_config
from heeler.loop.language.report import language_page
from heeler.loop.offline.config import is_offline_config
from heeler.loop.offline.report import offline_page
from heeler.loop.report_data import gather
from heeler.loop.report_figures import charts
from heeler.loop.report_page import page
from heeler.loop.reward_report import reward_page


def write_report(run: Path | str) -> Path:
    """Write the report of a run, finished or not; one that is there is replaced.

    What it lacks is made first: fresh episodes of the newest policy (`evaluation.json`) and the clips (`media/`).

    Args:
        run: the run's directory.

    Returns:
        The page.

    Raises:
        RunError: there is no run, it has nothing to report yet, or the directory cannot be written.
    """
    directory = RunDirectory.open(Path(run))
    config, rows = directory.config(), directory.metrics()
    if config.get("recipe") == TEXTS:
        raise RunError(
            f"{directory.path}: this is a folder of texts, in which nothing learns; there is no report of it"
        )
    if not rows:
        raise RunError(f"{directory.path} has no metrics yet, so there is nothing to report; let it run a little")
    path = directory.path / REPORT_NAME
    write_atomically(path, _page(directory, config, rows).encode())
    return path


def _page(directory: RunDirectory, config: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    if config.get("recipe") == REWARD_MODEL:
        return reward_page(directory, rows)
    if is_evaluative_config(config):
        return evaluative_page(directory, rows)
    if is_offline_config(config):
        return offline_page(directory, rows)
    if is_language_config(config):
        return language_page(directory, rows)
    data = gather(directory)
    return page(data, charts(data))
