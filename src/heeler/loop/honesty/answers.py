"""What people answered in a run, and which of it the reward did not learn from. Shapes: Q comparisons, K clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.core.errors import RunError
from heeler.core.nouns import Feedback, Segment
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.feedback.seen_views import OPENED, view_of
from heeler.feedback.sides import is_flipped
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments, every_answer, has_store, open_store
from heeler.loop.config import RunConfig
from heeler.rewards.preference_model import is_validation

MAX_CLIPS = 1500
_CHOICE: Mapping[str, float] = {"left": 1.0, "right": 0.0, "equal": 0.5}


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Comparisons that the reward did not learn from."""

    by: str
    """What keeps them apart, in words."""
    left_Q: np.ndarray
    """Place of the left clip among all."""
    right_Q: np.ndarray
    choice_Q: np.ndarray
    """1 left, 0 right, 0.5 equally good."""
    step_Q: np.ndarray
    """At which each was asked."""
    as_named_Q: np.ndarray
    """Whether the left clip stood on the left of whoever answered, too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a run was told."""

    clips: list[Segment]
    """That people judged: those of all held-out comparisons, and of others as many as there is room for."""
    held_out: HeldOut
    num_answers: int
    num_opened: int = 0
    """Comparisons that would be held out, but were answered after the reward's own view was opened: what may only
    repeat the reward says nothing of it."""


def read_answers(directory: RunDirectory, config: RunConfig, checkpoint: Checkpoint) -> Answers:
    """The answers that a checkpoint knows of.

    Raises:
        RunError: there are none.
        DataError: a clip is missing or altered.
    """
    learned, apart = _positions(config, checkpoint)
    if not has_store(directory) or not learned:
        raise RunError(f"{directory.path} learned from no answer yet; answer some questions first")
    with open_store(directory) as store:
        given = _given(store, learned | apart)
        queries = {query.id: query for query in store.queries(list({f.query_id for f in given.values()}))}
        shown = list(dict.fromkeys(i for query in queries.values() for i in query.segment_ids))
        segments = control_segments(store, shown)
        people = {name for name, one in store.bulk.annotators().items() if one.kind == "person"}
    if not segments:
        raise RunError(
            f"{directory.path}: every answer that it learned from was withdrawn; there is nothing to look at"
        )
    rows: list[tuple[str, str, float, int, bool]] = []
    num_opened = 0
    for position, feedback in given.items():
        choice = _CHOICE.get(str(feedback.value.get("choice"))) if feedback.kind == "preference" else None
        query = queries.get(feedback.query_id)
        if choice is None or query is None:
            continue
        left, right = query.segment_ids
        if position in apart or (not apart and _kept_for_validation(config, segments[left], segments[right])):
            if view_of(feedback) == OPENED:
                num_opened += 1
                continue
            # People see sides in turns; a simulated teacher sees them as they are named.
            is_turned = feedback.annotator in people and is_flipped(query.id, feedback.annotator)
            rows.append((left, right, choice, query.asked_step, not is_turned))
    first = dict.fromkeys(name for left, right, *_ in rows for name in (left, right))
    names = list(first) + [name for name in segments if name not in first]
    names = names[: max(MAX_CLIPS, len(first))] if len(names) > MAX_CLIPS else names
    place = {name: number for number, name in enumerate(names)}
    by = "answers of people who are held out" if apart else "answers about trajectories kept for validation"
    return Answers(
        clips=[segments[name] for name in names],
        held_out=HeldOut(
            by=by,
            left_Q=np.array([place[row[0]] for row in rows], np.int64),
            right_Q=np.array([place[row[1]] for row in rows], np.int64),
            choice_Q=np.array([row[2] for row in rows]),
            step_Q=np.array([row[3] for row in rows], np.int64),
            as_named_Q=np.array([row[4] for row in rows], bool),
        ),
        num_answers=len(learned),
        num_opened=num_opened,
    )


def _positions(config: RunConfig, checkpoint: Checkpoint) -> tuple[set[int], set[int]]:
    """Of answers that were handed to the reward, and of those by people who are held out."""
    state: Mapping[str, Any] = checkpoint.state["preferences" if config.preferences is not None else "kinds"]
    return {position for position, _ in state["taken"]}, {position for position, _ in state.get("held_out", [])}


def _kept_for_validation(config: RunConfig, *segments: Segment) -> bool:
    if config.preferences is not None:
        share = config.preferences.model.validation_share
    else:
        assert config.kinds is not None
        share = config.kinds.model.reward.validation_share
    return any(is_validation(segment.trajectory_id, share) for segment in segments)


def _given(store: Store, positions: set[int]) -> dict[int, Feedback]:
    return {position: feedback for position, feedback in every_answer(store) if position in positions}
