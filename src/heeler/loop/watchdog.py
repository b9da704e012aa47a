"""A thread that notices when nothing happens any more: a world that hangs cannot say so itself."""

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls out once when it was not told of anything for too long, and again only after it was.

    Args:
        patience_s: for how long silence is taken; asked each time anew.
        on_silence: called in the thread, with the seconds of silence.
    """

    def __init__(self, patience_s: Callable[[], float], on_silence: Callable[[float], None]) -> None:
        self._patience_s, self._on_silence = patience_s, on_silence
        self._over = threading.Event()
        self._last_s = time.monotonic()
        self._told_of = -1.0
        self._thread: threading.Thread | None = None

    def beat(self) -> None:
        """Something happened."""
        self._last_s = time.monotonic()

    def start(self) -> None:
        """Begin to listen."""
        self.beat()
        self._over.clear()
        self._thread = threading.Thread(target=self._listen, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _listen(self) -> None:
        while True:
            last_s, patience_s = self._last_s, self._patience_s()
            silent_s = time.monotonic() - last_s
            if silent_s >= patience_s and self._told_of != last_s:
                self._told_of = last_s
                self._on_silence(silent_s)
            # While there is silence that was told of, it is enough to look now and then.
            if self._over.wait(
                max(0.05, patience_s - silent_s) if silent_s < patience_s else max(0.05, patience_s / 4)
            ):
                return
