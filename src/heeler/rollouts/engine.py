"""Serving: completions begin and end whenever they like, and all that are on their way share each step of the model."""

import logging
import threading
from collections import deque
from collections.abc import Sequence

import torch

from heeler.core.errors import ConfigError, RunError
from heeler.models.language.model import LanguageModel
from heeler.rollouts.generation import GenerationParams, OnPiece, Ticket, check_prompt
from heeler.rollouts.lanes import Lane, lane_for
from heeler.rollouts.stream import Stream

_log = logging.getLogger(__name__)


class Engine:
    """A thread that makes completions by continuous batching (Yu et al., Orca, OSDI 2022).

    A model that is given must not change any more while it is used here: give `frozen_copy()` of one that learns.

    Args:
        model: makes the completions.
        version: of it; told with each piece.
        max_streams: completions at a time; more wait for their turn.
        max_length: tokens of a prompt and its completion together; the model's context where it is None.
    """

    def __init__(
        self, model: LanguageModel, version: int, *, max_streams: int = 64, max_length: int | None = None
    ) -> None:
        if max_streams < 1:
            raise ConfigError(f"max_streams must be >= 1, got {max_streams}")
        self._max_streams = max_streams
        self._limit = max_length
        self._changed = threading.Condition()
        self._waiting: deque[Stream] = deque()
        self._is_closed = False
        self._num_going = 0
        # The newest last; whoever begins, begins there.
        self._lanes: list[Lane] = [self._lane(model, version)]
        self._newest = (model, version)
        self._beside: tuple[LanguageModel, int] | None = None
        self._aside: Lane | None = None
        """Among the lanes, that of the model beside the newest."""
        self._thread = threading.Thread(target=self._run, name="heeler-engine", daemon=True)
        self._thread.start()

    def _length_of(self, model: LanguageModel) -> int:
        return min(model.max_length, self._limit or model.max_length)

    @property
    def version(self) -> int:
        """See `TextEngine`."""
        return self._newest[1]

    @property
    def model(self) -> LanguageModel:
        """What new completions come from."""
        return self._newest[0]

    @property
    def max_length(self) -> int:
        """See `TextEngine`."""
        return self._length_of(self._newest[0])

    @property
    def num_waiting(self) -> int:
        """Completions that have not begun."""
        return len(self._waiting)

    @property
    def num_going(self) -> int:
        """Completions that are on their way."""
        return self._num_going

    def submit(
        self, prompt_ids: Sequence[int], params: GenerationParams, on_piece: OnPiece, *, version: int | None = None
    ) -> Ticket:
        """See `TextEngine`."""
        check_prompt(prompt_ids, num_tokens=self.model.vocabulary_size, max_length=self.max_length)
        stream = Stream(prompt_ids, params, on_piece, version)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; nothing can be asked of it any more")
            self._waiting.append(stream)
            self._changed.notify()
        return stream

    def swap(self, model: LanguageModel, version: int) -> None:
        """See `TextEngine`: whoever has not begun yet begins on the new one."""
        lane = self._lane(model, version)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; its model cannot be exchanged")
            self._lanes.append(lane)
            self._newest = (model, version)
            self._changed.notify()

    def put_beside(self, model: LanguageModel, version: int) -> None:
        """See `TextEngine`."""
        lane = self._lane(model, version)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; no model can be put beside its own")
            self._beside, self._aside = (model, version), lane
            self._lanes.insert(0, lane)

    def take_aside(self) -> None:
        """See `TextEngine`."""
        with self._changed:
            self._beside = self._aside = None

    def close(self) -> None:
        """See `TextEngine`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while self._prepare():
                for lane in self._lanes:
                    self._turn(lane)
        self._end_all()

    def _prepare(self) -> bool:
        """Wait for work, and hand it to its lane, which is the newest unless told; False when it is over."""
        with self._changed:
            self._drop_lanes()
            while not (self._waiting or self._is_closed or any(lane.streams for lane in self._lanes)):
                self._num_going = 0
                self._changed.wait()
                self._drop_lanes()
            going = sum(len(lane.streams) for lane in self._lanes)
            begin = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_streams - going))]
            newest, aside = self._lanes[-1], self._aside
            self._num_going = going + len(begin)
        # Those in the queue may have been cancelled there; whoever is told is told outside of the lock.
        for stream in begin:
            self._begin(aside if aside is not None and stream.wanted == aside.version else newest, stream)
        self._drop_cancelled()
        return not self._is_closed

    def _drop_lanes(self) -> None:
        """Of versions that have nothing left to do."""
        older = [lane for lane in self._lanes[:-1] if lane.streams or lane is self._aside]
        self._lanes = [*older, self._lanes[-1]]

    def _begin(self, lane: Lane, stream: Stream) -> None:
        if len(stream.prompt_ids) >= self.max_length:
            # The model was exchanged for one that holds less.
            stream.finish("error", error=f"the prompt's {len(stream.prompt_ids)} tokens leave no room in the context")
        else:
            lane.admit(stream)

    def _drop_cancelled(self) -> None:
        with self._changed:
            cancelled = [stream for stream in self._waiting if stream.is_cancelled]
            if cancelled:
                self._waiting = deque(stream for stream in self._waiting if not stream.is_cancelled)
        for stream in cancelled:
            stream.finish("cancelled")

    def _turn(self, lane: Lane) -> None:
        if not lane.streams:
            return
        try:
            lane.turn()
        except Exception as error:
            # Out of memory, a broken model: those streams end, and the next ones begin with an empty cache.
            _log.exception("the completions of version %s that were on their way have failed", lane.version)
            for stream in lane.streams:
                stream.finish("error", error=f"{type(error).__name__}: {error}")
            self._replace(lane)

    def _replace(self, failed: Lane) -> None:
        with self._changed:
            is_newest, is_aside = failed is self._lanes[-1], failed is self._aside
            self._lanes = [lane for lane in self._lanes if lane is not failed]
            if is_newest:
                self._lanes.append(self._lane(*self._newest))
            if is_aside and self._beside is not None:
                self._aside = self._lane(*self._beside)
                self._lanes.insert(0, self._aside)

    def _lane(self, model: LanguageModel, version: int) -> Lane:
        return lane_for(model, version, self._length_of(model))

    def _end_all(self) -> None:
        with self._changed:
            left = [*self._waiting, *(stream for lane in self._lanes for stream in lane.streams)]
            self._waiting.clear()
        for stream in left:
            stream.finish("cancelled")
