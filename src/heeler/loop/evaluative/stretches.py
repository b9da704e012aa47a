"""Stretches that were shown, as segments and questions of the store; and what was said of them, on the run's clock.

Shapes: T steps, O observation numbers, A action numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.core.errors import DataError
from heeler.core.live import LIVE
from heeler.core.nouns import Feedback, PolicyVersion, Query, Segment, stable_id
from heeler.core.signals import Signal
from heeler.feedback.store import Store
from heeler.loop.evaluative.session import Step
from heeler.loop.parts import Arrays

HELD_S = 5.0
"""For how long after its end a stretch stays on the screen at most, where the next one is late."""
_MAX_STRETCHES = 2000
_ARRAYS = ("observation", "action", "next_observation", "true_reward", "snapshot")


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is remembered of a stretch."""

    query_id: str
    first: int
    """Number of its first step in the run."""
    num_steps: int

    @property
    def end(self) -> int:
        """Number of the step after it."""
        return self.first + self.num_steps


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A stretch that is to be shown."""

    stretch: Stretch
    segment: Segment
    query: Query


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What somebody pressed, on the run's clock."""

    signal: Signal
    num_shown: int
    """Steps that had been on the screen by then."""


def cut(steps: Sequence[Step], *, env_id: str, run: str, version: int) -> list[Shown]:
    """Stretches of a turn, which end where episodes do.

    Args:
        steps: of the turn.
        env_id: of the world.
        run: what its episodes are named by.
        version: of the policy at the turn's beginning.
    """
    found: list[Shown] = []
    first = 0
    for place, step in enumerate(steps):
        if step.ended or place == len(steps) - 1:
            found.append(_shown(steps[first : place + 1], env_id, run, version))
            first = place + 1
    return found


def _shown(steps: Sequence[Step], env_id: str, run: str, version: int) -> Shown:
    snapshots = [step.snapshot for step in steps if step.snapshot is not None]
    segment = Segment(
        observation=np.stack([step.observation for step in steps]).astype(np.float32),
        action=np.stack([step.executed for step in steps]),
        next_observation=np.stack([step.next_observation for step in steps]),
        true_reward=np.array([step.reward for step in steps], np.float32),
        snapshot=np.stack(snapshots) if snapshots else None,
        env_id=env_id,
        policy_version=version,
        trajectory_id=f"{run}/{steps[0].episode}",
        start_step=steps[0].place,
    )
    return shown_again(segment, steps[0].number)


def shown_again(segment: Segment, first: int) -> Shown:
    """A stretch by its segment; the same one has the same question."""
    query_id = stable_id("evaluative", segment.id, first)
    query = Query(
        id=query_id,
        kind="evaluation",
        segment_ids=(segment.id,),
        policy_version=segment.policy_version,
        asked_step=first + len(segment),
        acquisition=LIVE,
        score=float(first),
    )
    stretch = Stretch(query_id=query_id, first=first, num_steps=len(segment))
    return Shown(stretch=stretch, segment=segment, query=query)


def publish(store: Store, shown: Sequence[Shown], *, step: int) -> None:
    """Have people see stretches; the same again changes nothing.

    Args:
        store: of the run.
        shown: in their order.
        step: of the run when the policy that acted was made.
    """
    if shown:
        store.add_policy_version(PolicyVersion(version=shown[0].segment.policy_version, step=step))
        store.add_segments([one.segment for one in shown])
        store.add_queries([one.query for one in shown])


def as_arrays(shown: Sequence[Shown]) -> Arrays:
    """Stretches as a checkpoint keeps them, so that they can be published if a kill came first."""
    arrays: Arrays = {}
    for index, one in enumerate(shown):
        for name in _ARRAYS:
            array = getattr(one.segment, name)
            if array is not None:
                arrays[f"{index}.{name}"] = array
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray], told: Sequence[Mapping[str, Any]]) -> list[Shown]:
    """What `as_arrays` and `told_of` gave."""
    found: list[Shown] = []
    for index, one in enumerate(told):
        columns = {name: arrays.get(f"{index}.{name}") for name in _ARRAYS}
        rest = {name: one[name] for name in ("env_id", "policy_version", "trajectory_id", "start_step")}
        found.append(shown_again(Segment(**columns, **rest), one["first"]))
    return found


def told_of(shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """What of stretches is no array, JSON-ready."""
    return [
        {
            "first": one.stretch.first,
            "env_id": one.segment.env_id,
            "policy_version": one.segment.policy_version,
            "trajectory_id": one.segment.trajectory_id,
            "start_step": one.segment.start_step,
        }
        for one in shown
    ]


class Stretches:
    """The newest stretches by the ids of their questions.

    Args:
        step_s: seconds for which each step is shown.
    """

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self._known: dict[str, Stretch] = {}

    def add(self, stretches: Iterable[Stretch]) -> None:
        """Remember them; the oldest are forgotten."""
        self._known |= {one.query_id: one for one in stretches}
        for query_id in list(self._known)[:-_MAX_STRETCHES]:
            del self._known[query_id]

    def marks(self, answer: Feedback) -> list[Mark] | None:
        """What an answer says, on the run's clock; None where its stretch is none of these.

        Raises:
            DataError: a mark's time lies beyond the stretch and the time for which it stays on the screen.
        """
        stretch = self._known.get(answer.query_id)
        if stretch is None:
            return None
        longest_s = stretch.num_steps * self.step_s + HELD_S
        found: list[Mark] = []
        for index, mark in enumerate(answer.value["marks"]):
            if mark["time_s"] > longest_s:
                raise DataError(
                    f"answer {answer.key}: value.marks[{index}].time_s must be at most {longest_s:g}, as the stretch "
                    f"was on the screen no longer, got {mark['time_s']:g}"
                )
            time_s = stretch.first * self.step_s + mark["time_s"]
            found.append(Mark(signal=Signal(time_s=time_s, sign=mark["sign"]), num_shown=stretch.end))
        return found

    def answer(self, signal: Signal, *, annotator: str, step: int) -> Feedback:
        """What a scripted trainer pressed, as an answer about the stretch that was on the screen.

        Args:
            signal: on the run's clock.
            annotator: who pressed.
            step: of the run, when it was pressed.
        """
        number = int(signal.time_s / self.step_s)
        stretch = next(one for one in reversed(self._known.values()) if one.first <= number)
        mark = {"time_s": signal.time_s - stretch.first * self.step_s, "sign": signal.sign}
        return Feedback(
            key=stable_id("scripted trainer", annotator, stretch.query_id, repr(mark["time_s"])),
            query_id=stretch.query_id,
            kind="evaluation",
            value={"marks": [mark]},
            annotator=annotator,
            answered_step=step,
        )

    def state(self) -> list[list[Any]]:
        """JSON-ready values."""
        return [[one.query_id, one.first, one.num_steps] for one in self._known.values()]

    def load(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on from what `state` returned."""
        stretches = [Stretch(query_id=query_id, first=first, num_steps=num) for query_id, first, num in state]
        self._known = {one.query_id: one for one in stretches}
