"""What can be told of a folder of runs without serving it: which runs are served, by whom, and where. Light."""

import json
import os
import re
from pathlib import Path

from heeler.core.locks import is_held
from heeler.core.rundir import write_atomically

LOCK_NAME = ".service.lock"
"""Held by the service of the folder for as long as it lives."""
ADDRESS_NAME = ".service.json"
"""Where that service is; what is in it holds only while the lock is held."""
_RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")


def may_be_served(path: Path) -> bool:
    """Whether a run's directory has a name under which it can be asked for, and lies in its folder itself."""
    # A link may lead anywhere.
    return bool(_RUN_NAME.fullmatch(path.name)) and not path.is_symlink()


def is_served(folder: Path) -> bool:
    """Whether a service serves this folder."""
    return is_held(folder / LOCK_NAME)


def last_address(folder: Path) -> str | None:
    """The address that the folder's last service told; whether it still lives, `is_served` says."""
    try:
        told = json.loads((folder / ADDRESS_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    url = told.get("url") if isinstance(told, dict) else None
    return url if isinstance(url, str) else None


def tell_address(folder: Path, url: str) -> None:
    """Leave the address for others to find.

    Raises:
        RunError: it cannot be written.
    """
    write_atomically(folder / ADDRESS_NAME, json.dumps({"url": url, "pid": os.getpid()}).encode())
