"""Calling a function that may never come back."""

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

_MAX_ABANDONED = 32
_abandoned: set[threading.Thread] = set()
_idle: "list[_Caller]" = []
"""Threads that wait for a call: starting one takes as long as many of the functions that are called."""
_lock = threading.Lock()


def within(timeout_s: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or what it raises.

    It runs in a thread that nothing else runs in meanwhile. A thread cannot be stopped: one that takes too long is left
    to itself, and ends with its call.

    Raises:
        TimeoutError: it took longer, or too many that did are still running.
    """
    with _lock:
        _abandoned.intersection_update({thread for thread in _abandoned if thread.is_alive()})
        if len(_abandoned) >= _MAX_ABANDONED:
            raise TimeoutError(f"{len(_abandoned)} calls that took too long are still running")
        caller = _idle.pop() if _idle else None
    caller = caller or _Caller()
    caller.calls.put((function, arguments))
    try:
        succeeded, value = caller.outcomes.get(timeout=timeout_s)
    except Empty:
        _leave(caller)
        raise TimeoutError(f"it took longer than {timeout_s:g} s") from None
    except BaseException:
        # An interrupt from the keyboard: what comes of the call must not be taken for the next one's.
        _leave(caller)
        raise
    with _lock:
        _idle.append(caller)
    if not succeeded:
        raise value
    return value


class _Caller:
    """A thread that makes one call after the other."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self.outcomes: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True, name="guard")
        self.thread.start()

    def _run(self) -> None:
        while (call := self.calls.get()) is not None:
            outcome = _outcome(*call)
            # What was asked about must not live on for as long as nothing else is.
            del call
            self.outcomes.put(outcome)
            del outcome


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except BaseException as error:
        return False, error


def _leave(caller: _Caller) -> None:
    caller.calls.put(None)
    with _lock:
        _abandoned.add(caller.thread)


def _forget() -> None:
    """Threads do not come along into a forked process."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()
    _abandoned.clear()


os.register_at_fork(after_in_child=_forget)
