"""How long a run will still take, from how long its updates have taken."""

import time


class TimeLeft:
    """Looks at the clock with each update."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def begin_anew(self, update: int) -> None:
        """Count from here on: what was before says nothing of what comes."""
        self._first = (update, time.monotonic())

    def in_words(self, update: int, total: int) -> str:
        """Such as `, 2 min left`, to be put behind how far it is; empty while nobody can tell, and at the end."""
        from heeler.loop.words import duration

        if self._first is None:
            self.begin_anew(update)
        assert self._first is not None
        first, first_s = self._first
        if update <= first or update >= total:
            return ""
        return f", {duration((total - update) * (time.monotonic() - first_s) / (update - first))} left"
