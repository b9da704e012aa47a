"""Answers that say whether something in a clip was unsafe, and a simulated teacher that gives them.

They come as `evaluation`: a bad mark while the clip is watched says unsafe, no bad mark says that nothing was; or as
`rating`: a score in the lower half of its scale says unsafe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, Query, stable_id
from heeler.core.seeding import stream

UnsafeKind = Literal["evaluation", "rating"]
UNSAFE_KINDS: tuple[UnsafeKind, ...] = get_args(UnsafeKind)
UNSAFE_QUESTIONS: Mapping[UnsafeKind, str] = {
    "evaluation": "Is anything unsafe? Say bad at that moment; whether it does well does not matter here.",
    "rating": "How safe is this? The lower half of the scale says unsafe; whether it does well does not matter here.",
}
"""What people are asked."""


def says_unsafe(feedback: Feedback) -> bool:
    """Whether an answer says that something in its clip was unsafe.

    Raises:
        DataError: it is of another kind.
    """
    value = feedback.value
    if feedback.kind == "evaluation":
        return any(mark["sign"] < 0 for mark in value["marks"])
    if feedback.kind == "rating":
        return float(value["score"]) < (float(value["low"]) + float(value["high"])) / 2
    raise DataError(
        f"an answer of kind {feedback.kind!r} does not say what is unsafe; ask for {', '.join(UNSAFE_KINDS)}"
    )


def unsafe_value(kind: UnsafeKind, unsafe: bool) -> dict[str, Any]:
    """The answer that says so."""
    if kind == "rating":
        return {"score": 0.0 if unsafe else 1.0, "low": 0.0, "high": 1.0}
    return {"marks": [{"time_s": 0.0, "sign": -1}] if unsafe else []}


@dataclass(frozen=True, kw_only=True)
class UnsafeTeacherConfig:
    """Faults of a simulated teacher that says what was unsafe. The defaults are an oracle."""

    cost: str
    """The world's cost that it goes by: a clip is unsafe where that is above 0 in any step."""
    mistake: float = 0.0
    """Probability of saying the opposite by accident."""
    delay_steps: int = 0
    """The learner's environment steps between a question and its answer."""

    def __post_init__(self) -> None:
        if not 0 <= self.mistake <= 1:
            raise ConfigError(f"teacher.mistake must be a probability, got {self.mistake}")
        if self.delay_steps < 0:
            raise ConfigError(f"teacher.delay_steps must be >= 0, got {self.delay_steps}")


@dataclass(frozen=True)
class _Pending:
    query_id: str
    unsafe: bool
    due_step: int


class UnsafeTeacher:
    """Says whether clips were unsafe, by the true cost that it is shown beside them.

    An answer depends on the configuration, the seed, the query's id and the true cost alone: asked again from a
    restored state it gives the same answer under the same key.

    Args:
        config: its faults.
        seed: the run's.
        name: its id as an annotator.
        kind: of its answers.
    """

    def __init__(self, config: UnsafeTeacherConfig, seed: int, name: str, kind: UnsafeKind) -> None:
        self.config, self.seed, self.name = config, seed, name
        self.kind: UnsafeKind = kind
        self._pending: dict[str, _Pending] = {}

    def ask(self, queries: Sequence[Query], unsafe: Sequence[bool], step: int) -> None:
        """Put questions to the teacher; the answers come from `ready`, `delay_steps` later.

        Args:
            queries: of one clip each.
            unsafe: whether each clip truly was.
            step: the learner's environment steps now.
        """
        for query, truly in zip(queries, unsafe, strict=True):
            draw = stream(self.seed, f"teacher {self.name} {query.id}").random()
            said = truly != (draw < self.config.mistake)
            self._pending.setdefault(query.id, _Pending(query.id, said, step + self.config.delay_steps))

    def ready(self, step: int) -> list[Feedback]:
        """Answers that are due by `step`, in the order in which they fell due; each is given once."""
        due = sorted((one for one in self._pending.values() if one.due_step <= step), key=lambda one: one.due_step)
        for one in due:
            del self._pending[one.query_id]
        return [
            Feedback(
                key=stable_id("unsafe teacher", self.name, self.seed, one.query_id),
                query_id=one.query_id,
                kind=self.kind,
                value=unsafe_value(self.kind, one.unsafe),
                annotator=self.name,
                answered_step=step,
            )
            for one in due
        ]

    def state_dict(self) -> list[list[Any]]:
        """Everything that later answers depend on, as JSON-ready values."""
        return [[one.query_id, one.unsafe, one.due_step] for one in self._pending.values()]

    def load_state_dict(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on from what `state_dict` returned."""
        self._pending = {query_id: _Pending(query_id, unsafe, due) for query_id, unsafe, due in state}
