"""How much one caller may ask: token buckets that fill by a clock which no jump of the day's time can move."""

import threading
import time
from collections import OrderedDict

from heeler.service.problems import Problem

_MAX_BUCKETS = 100_000


class RateLimit:
    """One bucket for each name: `burst` at once, `per_s` on average.

    The buckets that were used last are kept; who was forgotten starts with a full one.

    Args:
        per_s: tokens that come in each second.
        burst: the most that a bucket holds.
    """

    def __init__(self, *, per_s: float, burst: int) -> None:
        self.per_s, self.burst = per_s, burst
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Take one token.

        Raises:
            Problem: 429, with `Retry-After`.
        """
        now = time.monotonic()
        with self._lock:
            tokens, filled_s = self._buckets.pop(name, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - filled_s) * self.per_s)
            is_enough = tokens >= 1
            self._buckets[name] = (tokens - 1 if is_enough else tokens, now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        if not is_enough:
            wait_s = int((1 - tokens) / self.per_s) + 1
            raise Problem(429, f"too many requests; try again in {wait_s} s", headers={"Retry-After": str(wait_s)})

    def forgive(self, name: str) -> None:
        """Fill a bucket again."""
        with self._lock:
            self._buckets.pop(name, None)
