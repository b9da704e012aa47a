"""Group commit: posts that wait at the same time share one durable transaction.

A commit that survives a power cut costs milliseconds, however much is in it. One thread writes for a store: it takes
all posts that came while it wrote the last ones. A post is acknowledged after its commit, by itself: one that is
refused does not touch the others.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heeler.core.errors import HeelerError, StoreAway, StoreError
from heeler.core.nouns import Feedback
from heeler.feedback.writing import Outcome
from heeler.service.problems import RETRY_AFTER_S, Problem

Post = Sequence[Feedback]
Write = Callable[[Sequence[Post]], list[Outcome]]
_TRY_AGAIN_S = 0.5
_log = logging.getLogger("heeler.service")


@dataclass(frozen=True, eq=False)
class _Waiting:
    post: Post
    future: "asyncio.Future[list[int]]"


class GroupCommit:
    """The one writer of a store's answers.

    Args:
        write: keeps posts in one transaction and returns what came of each; called in the writer's thread.
        max_waiting: answers that may wait; a post that would exceed it is refused.
        max_answers: answers in one transaction, beyond its first post.
    """

    def __init__(self, write: Write, *, max_waiting: int, max_answers: int) -> None:
        self._write, self._max_waiting, self._max_answers = write, max_waiting, max_answers
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._num_waiting = 0
        self._closing = False
        self._away: StoreAway | None = None
        self._away_s = 0.0
        self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
        self._thread.start()

    async def submit(self, post: Post) -> list[int]:
        """Keep a post; returns the positions of its answers once they are on the disk.

        Raises:
            Problem: 503, too much is waiting, or the service is stopping; the post was not kept.
            DataError, ConflictError: as `Store.add_feedback`.
            StoreError: the store cannot be written; nothing of the post was kept.
            StoreAway: its server is away; if it went during the commit, the post may have been kept: the same again,
                with the same keys, tells.
        """
        waiting = _Waiting(post, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._closing:
                raise Problem(503, "the service is stopping; send this again, with the same keys, when it is back")
            if self._queue and self._num_waiting + len(post) > self._max_waiting:
                raise Problem(503, f"{self._num_waiting} answers wait for the disk; again in {RETRY_AFTER_S} s")
            self._queue.append(waiting)
            self._num_waiting += len(post)
            self._changed.notify()
        return await waiting.future

    def close(self) -> None:
        """Write what waits, then end the thread; a second time does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closing:
                        return
                    self._changed.wait()
                group = self._take()
            outcomes = self._outcomes([waiting.post for waiting in group])
            try:
                group[0].future.get_loop().call_soon_threadsafe(_tell, group, outcomes)
            except RuntimeError:
                # The loop has ended, and with it everybody who could be told; what was committed stays.
                _log.warning("%d posts were written after their senders had gone", len(group))

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        num_answers = 0
        while self._queue and (not group or num_answers + len(self._queue[0].post) <= self._max_answers):
            group.append(self._queue.popleft())
            num_answers += len(group[-1].post)
        self._num_waiting -= num_answers
        return group

    def _outcomes(self, posts: Sequence[Post]) -> list["list[int] | Exception"]:
        """What came of each; a post on which the writer fails takes no other with it."""
        if self._away is not None and time.monotonic() - self._away_s < _TRY_AGAIN_S:
            # A server may take seconds to refuse: those who waited meanwhile would all wait for it once more.
            return [self._away] * len(posts)
        try:
            return [*self._write(posts)]
        except StoreAway as error:
            self._away, self._away_s = error, time.monotonic()
            return [error] * len(posts)
        except HeelerError as error:
            return [error] * len(posts)
        except Exception as error:
            if len(posts) > 1:
                return [outcome for post in posts for outcome in self._outcomes([post])]
            _log.error("a post could not be written", exc_info=error)
            return [StoreError("the service failed to keep this; its log says why")]


def _tell(group: Sequence[_Waiting], outcomes: Sequence["list[int] | Exception"]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        # Who has gone meanwhile has cancelled.
        if waiting.future.done():
            continue
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)
