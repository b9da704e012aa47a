"""`report.html`: one page about a run that needs nothing else, made at its end and on demand."""

from pathlib import Path

from heeler.core.rundir import REPORT_NAME, RunDirectory, write_atomically
from heeler.loop.config import REWARD_MODEL
from heeler.loop.evaluative.config import is_evaluative_config
from heeler.loop.evaluative.report import write_evaluative_report
from heeler.loop.language.config import is_language_config
from heeler.loop.language.report import write_language_report
from heeler.loop.offline.config import is_offline_config
from heeler.loop.offline.report import write_offline_report
from heeler.loop.report_data import gather
from heeler.loop.report_figures import charts
from heeler.loop.report_page import page
from heeler.loop.reward_report import write_reward_report


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
    if directory.config().get("recipe") == REWARD_MODEL:
        return write_reward_report(directory.path)
    if is_evaluative_config(directory.config()):
        return write_evaluative_report(directory.path)
    if is_offline_config(directory.config()):
        return write_offline_report(directory.path)
    if is_language_config(directory.config()):
        return write_language_report(directory.path)
    data = gather(directory)
    path = directory.path / REPORT_NAME
    write_atomically(path, page(data, charts(data)).encode())
    return path
