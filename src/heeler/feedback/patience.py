"""Patience with a store whose server is away: each call waits and is made again, for a set time.

Every call of a store may be made twice, as the same again changes nothing. So it does not matter where a server was
lost, even if that was during a commit whose outcome nobody was told.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from heeler.core.errors import StoreAway
from heeler.feedback.store import Store

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_T = TypeVar("_T")


class Watcher(Protocol):
    """Is told while a server is away."""

    def away(self, away_s: float, error: StoreAway) -> None:
        """It has been away for so long; called when that is noticed, with 0, and after every try."""
        ...

    def back(self, away_s: float) -> None:
        """It is back, after so long."""
        ...


class Patience:
    """Makes calls again while a store's server is away.

    Args:
        patience_s: for how long, in seconds; 0 to give up at once.
        watcher: is told.
    """

    def __init__(self, patience_s: float, watcher: Watcher) -> None:
        self._patience_s, self._watcher = patience_s, watcher

    def repeat(self, call: Callable[[], _T]) -> _T:
        """What `call` returns, once it does.

        Raises:
            StoreAway: the server has been away for as long as the patience lasts.
        """
        try:
            return call()
        except StoreAway as error:
            if self._patience_s <= 0:
                raise
            return self._wait(call, error)

    def _wait(self, call: Callable[[], _T], error: StoreAway) -> _T:
        began_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
        self._watcher.away(0.0, error)
        while True:
            left_s = self._patience_s - (time.monotonic() - began_s)
            if left_s <= 0:
                raise StoreAway(f"{error}. It was waited for, for {self._patience_s:g} s (store_patience_s)") from error
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                found = call()
            except StoreAway as again:
                error = again
                self._watcher.away(time.monotonic() - began_s, error)
            else:
                self._watcher.back(time.monotonic() - began_s)
                return found


def patient(store: Store, patience: Patience) -> Store:
    """The store, each of whose methods, and of its parts' methods, is called again while its server is away.

    Args:
        store: open; who opened it closes it.
        patience: how long, and who is told.
    """
    return cast(Store, _Patient(store, patience))


class _Patient:
    def __init__(self, part: object, patience: Patience) -> None:
        self._part, self._patience = part, patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return _Patient(found, self._patience)

        def call(*arguments: Any, **named: Any) -> Any:
            return self._patience.repeat(lambda: found(*arguments, **named))

        return call
