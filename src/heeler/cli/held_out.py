"""Before a run of people begins: whether anybody who may answer is somebody from whom it learns."""

from pathlib import Path
from typing import TYPE_CHECKING

from heeler.cli.console import missing_package

if TYPE_CHECKING:
    from heeler.loop.config import RunConfig


def refuse_only_held_out(config: "RunConfig", run: Path) -> None:
    """Refuse a run that is to begin where everybody who may answer it is held out.

    Who may answer is known where the run's folder has been served before. A run that goes on is let be: it tells of it
    while it waits.

    Raises:
        ConfigError: naming the field.
    """
    asking = config.preferences
    if asking is None or asking.teacher != "people" or not asking.held_out_people or (run / "config.yaml").exists():
        return
    from heeler.loop.held_out import refuse_all_held_out

    refuse_all_held_out(_who_may_answer(run.absolute().parent), config.seed, asking.held_out_people)


def _who_may_answer(folder: Path) -> list[str]:
    """Ids of those who may sign in to answer, or answer by a key."""
    # Without these packages nobody is served here.
    if missing_package() is not None:
        return []
    from heeler.core.audit import AUDIT_NAME, AuditLog
    from heeler.service.accounts.accounts import Accounts
    from heeler.service.accounts.database import FILE_NAME
    from heeler.service.permissions import ROLES, Permission

    if not (folder / FILE_NAME).is_file():
        return []
    accounts = Accounts(folder / FILE_NAME, AuditLog(folder / AUDIT_NAME), session_idle_s=1.0, session_s=1.0)
    try:
        everybody = accounts.people.page(after="", limit=1_000_000)
    finally:
        accounts.close()
    able = [one for one in everybody if one.disabled_unix_s is None and Permission.ANSWER in ROLES[one.role]]
    return [one.id for one in able]
