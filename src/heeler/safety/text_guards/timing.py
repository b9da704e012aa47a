"""Calling a function that may never come back."""

import threading
from collections.abc import Callable
from typing import Any

_MAX_ABANDONED = 32
_abandoned: set[threading.Thread] = set()
_lock = threading.Lock()


def within(timeout_s: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or what it raises.

    It runs in a thread of its own, which cannot be stopped: one that takes too long is left to itself.

    Raises:
        TimeoutError: it took longer, or too many that did are still running.
    """
    with _lock:
        _abandoned.intersection_update({thread for thread in _abandoned if thread.is_alive()})
        if len(_abandoned) >= _MAX_ABANDONED:
            raise TimeoutError(f"{len(_abandoned)} calls that took too long are still running")
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, function(*arguments)))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True, name="guard")
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        with _lock:
            _abandoned.add(thread)
        raise TimeoutError(f"it took longer than {timeout_s:g} s")
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    return value
