"""Worlds that people drive from a browser, to show how it is done. Each waits for its person, and is closed at last."""

import base64
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import numpy as np
from gymnasium.spaces import Discrete

from heeler.core.errors import DataError, HeelerError
from heeler.core.nouns import Query, Segment
from heeler.envs import DRAWN_IDS, World, draw, make
from heeler.feedback.shown_by import trajectory_name
from heeler.feedback.withdrawal import id_sha256
from heeler.service.bodies_shown import ActionsOut, DriveOut
from heeler.service.pictures import SIZE, webp
from heeler.service.problems import Problem
from heeler.service.worlds import WorldFacts

MAX_DRIVES, MAX_STEPS, IDLE_S = 8, 2000, 180.0
_T = TypeVar("_T")


class Drive:
    """One world in somebody's hands.

    Args:
        facts: of the world.
        query: that asks for the demonstration.
        seed: of the world's first state.
    """

    def __init__(self, facts: WorldFacts, query: Query, seed: int) -> None:
        self.query, self.ended = query, False
        self._facts = facts
        self._world: World = make(facts.config, seed)
        self._observation, _ = self._world.reset(seed=seed)
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray | None]] = []
        self._segment: Segment | None = None
        self._is_closed = False
        self.used_s = time.monotonic()

    def step(self, actions: Sequence[Sequence[float]]) -> None:
        """Do these, one after the other, until the episode ends.

        Raises:
            DataError: an action is none of this world's.
            Problem: 409, it was finished.
        """
        if self._segment is not None:
            raise Problem(409, "this was finished; begin anew")
        checked = [self._action(action, index) for index, action in enumerate(actions)]
        self.used_s = time.monotonic()
        for action in checked:
            if self.ended or len(self._rows) >= MAX_STEPS:
                break
            snapshot = self._world.snapshot()
            before = self._observation[0].copy()
            self._observation, reward, terminated, truncated, infos = self._world.step(self._batched(action))
            self.ended = bool(terminated[0] | truncated[0])
            after = infos["final_obs"][0] if self.ended else self._observation[0]
            shown = None if snapshot is None else snapshot[0].astype(np.float32)
            self._rows.append((before, action, np.array(after, np.float32), float(reward[0]), shown))

    def out(self) -> DriveOut:
        """Where it stands."""
        # After its end the world has begun anew already: what is shown then is the last state before it.
        snapshot = self._rows[-1][4] if self.ended else self._present()
        picture = None if snapshot is None else self._picture(snapshot)
        seen = self._rows[-1][2] if self.ended else self._observation[0]
        return DriveOut(
            num_steps=len(self._rows),
            max_steps=MAX_STEPS,
            step_s=self._facts.step_s,
            actions=ActionsOut(**vars(self._facts.actions)),
            observation=[float(f"{value:.5g}") for value in seen],
            picture=picture,
            ended=self.ended or len(self._rows) >= MAX_STEPS,
        )

    def finish(self, person: str) -> Segment:
        """What was shown; the world is closed. Asked again, it is the same segment.

        Raises:
            Problem: 409, nothing was done yet.
        """
        if self._segment is None:
            self._segment = self._stacked(person)
            self.close()
        return self._segment

    def _stacked(self, person: str) -> Segment:
        if not self._rows:
            raise Problem(409, "nothing was shown yet: drive first, then finish")
        observation, action, after, reward, shown = zip(*self._rows, strict=True)
        return Segment(
            observation=np.stack(observation),
            action=np.stack(action),
            next_observation=np.stack(after),
            true_reward=np.array(reward, np.float32),
            snapshot=None if shown[0] is None else np.stack([row for row in shown if row is not None]),
            env_id=self._facts.config.id,
            policy_version=self.query.policy_version,
            trajectory_id=trajectory_name(id_sha256(person)),
            start_step=0,
        )

    def close(self) -> None:
        """Let go of the world; a second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._world.close()

    def _picture(self, snapshot: np.ndarray) -> str | None:
        env_id = self._facts.config.id
        if env_id not in DRAWN_IDS:
            return None
        return base64.b64encode(webp(draw(env_id, snapshot[None], (SIZE, SIZE))[0])).decode()

    def _present(self) -> np.ndarray | None:
        snapshot = self._world.snapshot()
        return None if snapshot is None else snapshot[0].astype(np.float32)

    def _action(self, action: Sequence[float], index: int) -> np.ndarray:
        known, field = self._facts.actions, f"actions[{index}]"
        if len(action) != known.size:
            raise DataError(f"{field}: expected {known.size} numbers, got {len(action)}")
        if known.discrete:
            count = (known.counts or [0])[0]
            if action[0] not in range(count):
                raise DataError(f"{field}: expected a whole number from 0 to {count - 1}, got {action[0]:g}")
            return np.array([int(action[0])], np.int64)
        low, high = np.array(known.low, np.float32), np.array(known.high, np.float32)
        numbers = np.array(action, np.float32)
        if not ((low <= numbers) & (numbers <= high)).all():
            raise DataError(f"{field}: expected numbers from {known.low} to {known.high}, got {list(action)}")
        return numbers

    def _batched(self, action: np.ndarray) -> np.ndarray:
        return action if isinstance(self._world.single_action_space, Discrete) else action[None]


class Drives:
    """All driven worlds. One thread steps them, so that they share one core and no locks."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="heeler-drives")
        self._open: dict[str, Drive] = {}
        self._timer: threading.Timer | None = None

    def run(self, act: Callable[[], _T]) -> _T:
        """Do this in the thread that owns the worlds, and wait for it."""
        return self._worker.submit(act).result()

    def begin(self, person: str, facts: WorldFacts, query: Query) -> Drive:
        """Begin a world for somebody; the one that they had is closed.

        Raises:
            Problem: 503, too many people drive at once.
        """
        self._sweep()
        self.end(person)
        if len(self._open) >= MAX_DRIVES:
            raise Problem(503, f"{MAX_DRIVES} people drive already; try again in a minute")
        self._open[person] = drive = Drive(facts, query, seed=uuid.uuid4().int % 2**31)
        return drive

    def of(self, person: str, query_id: str) -> Drive:
        """The world that somebody drives for this query.

        Raises:
            Problem: 404, there is none, or it was left alone for too long.
        """
        self._sweep()
        drive = self._open.get(person)
        if drive is None or drive.query.id != query_id:
            raise Problem(404, "nothing is driven for this query any more; begin anew", field="query_id")
        return drive

    def step(self, person: str, query_id: str, actions: Sequence[Sequence[float]]) -> DriveOut:
        """Go on; a world that breaks is closed.

        Raises:
            Problem: 404, as of `of`.
            HeelerError: an action does not hold, or the world broke.
        """
        drive = self.of(person, query_id)
        try:
            drive.step(actions)
        except DataError:
            raise
        except HeelerError:
            self.end(person)
            raise
        return drive.out()

    def end(self, person: str) -> None:
        """Close the world that somebody drives, if any."""
        drive = self._open.pop(person, None)
        if drive is not None:
            drive.close()

    def close(self) -> None:
        """Close every world; a second time does nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._worker.shutdown()
        # The thread that owned them has ended.
        for person in list(self._open):
            self.end(person)

    def _sweep(self) -> None:
        """Close what was left alone, now and again later."""
        now_s = time.monotonic()
        for person, drive in list(self._open.items()):
            if now_s - drive.used_s >= IDLE_S:
                self.end(person)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE_S, self._sweep_later)
        self._timer.daemon = True
        self._timer.start()

    def _sweep_later(self) -> None:
        with suppress(RuntimeError):  # the service was closed meanwhile
            self._worker.submit(lambda: self._sweep() if self._open else None)
