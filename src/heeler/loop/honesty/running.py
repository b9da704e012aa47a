"""The check of any run that learned a reward, kept in its directory and shown in its report."""

from collections.abc import Sequence
from pathlib import Path

from heeler.core.errors import ConfigError, RunError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import REWARD_MODEL
from heeler.loop.evaluative.config import is_evaluative_config
from heeler.loop.honesty.examining import Effort, examine
from heeler.loop.honesty.found import Honesty, save_honesty
from heeler.loop.honesty.probes import probes as own_suites
from heeler.loop.language.config import is_language_config
from heeler.loop.offline.config import is_offline_config
from heeler.loop.report import write_report


def examine_run(path: Path, effort: Effort, own: Sequence[str] = (), probes: str | None = None) -> tuple[Honesty, Path]:
    """Examine a run, keep what was found as `honesty.json`, and write its report.

    Args:
        path: of the run.
        effort: how much is played.
        own: shortcuts of one's own.
        probes: a file of one's own questions for a language model, as `heeler.loop.honesty.probes` reads it.

    Returns:
        What was found, and the report.

    Raises:
        HeelerError: there is nothing to examine; nothing is changed then.
    """
    directory = RunDirectory.open(path)
    values = directory.config()
    if is_language_config(values):
        if own:
            raise ConfigError("--shortcut is for runs in a world; leave it out")
        from heeler.loop.honesty.language import examine_language

        found = examine_language(directory, effort, () if probes is None else own_suites(probes))
    elif is_evaluative_config(values) or is_offline_config(values) or values.get("recipe") == REWARD_MODEL:
        raise RunError(
            f"{path} learned no reward that a policy acts by; heeler honesty is for runs by preferences, kinds or "
            "imitation, and of language models by helpdesk or chat"
        )
    elif probes is not None:
        raise ConfigError("--probes is for runs of language models; leave it out")
    else:
        found = examine(path, effort, own)
    save_honesty(directory, found)
    return found, write_report(path)
