"""Simulated teachers: they know the true reward, and have known faults. After B-Pref (Lee et al. 2021).

What was changed: noise is in units of the spread of recent returns, so that a teacher is as noisy in every environment;
and returns are measured from the worst recent one where rewards are negative, so that thresholds keep their meaning.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, PreferenceChoice, Query, Segment, stable_id
from heeler.core.seeding import stream


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Faults of a simulated teacher. The defaults are an oracle.

    A query is answered in this order: with probability `side_bias` a side is named unseen; else it may be skipped, or
    found equal; else a side is named by P(left) = sigmoid(beta * (R_left - R_right) / spread), and then the answer is
    turned round with probability `mistake`. R is the return of a segment as this teacher judges it (`gamma`), spread
    the standard deviation of R over the segments seen lately. An oracle finds only exactly equal returns equal.
    """

    beta: float = math.inf
    """Rationality: how surely the better segment is named; infinite for always, 0 for a coin. With 1, a segment that is
    one standard deviation better is named 73 times in 100."""
    gamma: float = 1.0
    """Myopia: a step's reward weighs gamma for every step that comes after it, so below 1 the end counts most."""
    mistake: float = 0.0
    """Probability of naming the wrong side by accident."""
    skip_threshold: float = 0.0
    """Answers "can't tell" where even the better segment reaches less than this fraction of the mean recent return."""
    equal_threshold: float = 0.0
    """Answers "equal" where two returns differ by less than this fraction of the mean recent return."""
    side_bias: float = 0.0
    """Probability of naming a side without looking: the left where positive, the right where negative."""
    delay_steps: int = 0
    """The learner's environment steps between a question and its answer."""
    num_recent: int = 512
    """Segments seen lately from which mean and spread are taken."""

    def __post_init__(self) -> None:
        # What must hold rather than what must not, so that NaN fails too.
        expected = {
            "beta": (self.beta >= 0, ">= 0 (inf for a teacher without noise)"),
            "gamma": (0 < self.gamma <= 1, "> 0 and at most 1"),
            "mistake": (0 <= self.mistake <= 1, "a probability"),
            "skip_threshold": (0 <= self.skip_threshold <= 1, "0 to 1"),
            "equal_threshold": (0 <= self.equal_threshold <= 1, "0 to 1"),
            "side_bias": (-1 <= self.side_bias <= 1, "-1 to 1"),
            "delay_steps": (self.delay_steps >= 0, ">= 0"),
            "num_recent": (self.num_recent >= 2, "at least 2, as a spread needs two"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise ConfigError(f"TeacherConfig.{name} must be {words}, got {getattr(self, name)}")


TEACHERS: Mapping[str, TeacherConfig] = {
    "oracle": TeacherConfig(),
    "noisy": TeacherConfig(beta=1.0),
    "mistaken": TeacherConfig(mistake=0.1),
    "skipping": TeacherConfig(skip_threshold=0.1),
    "myopic": TeacherConfig(gamma=0.9),
    "indifferent": TeacherConfig(equal_threshold=0.1),
    "slow": TeacherConfig(delay_steps=50_000),
    "biased": TeacherConfig(side_bias=0.2),
    "backflip": TeacherConfig(beta=1.0, mistake=0.1),
}
"""Ready-made teachers; the values are B-Pref's where it has the fault."""


@dataclass(frozen=True)
class _Recent:
    """What the segments seen lately were like."""

    spread: float
    """Standard deviation of the judged returns."""
    worst: float
    """The lowest plain return, 0 where none is negative.

    B-Pref's thresholds are fractions of a mean return and were meant for rewards that are not negative; where some are,
    all returns are measured from here.
    """
    level: float
    """Mean of the plain returns above `worst`."""

    @classmethod
    def of(cls, returns: list[tuple[float, float]]) -> "_Recent":
        judged, plain = np.array(returns).T
        worst = min(0.0, float(plain.min()))
        return cls(float(judged.std()), worst, float(plain.mean()) - worst)


@dataclass(frozen=True)
class _Pending:
    """An answer that is made up but not given yet."""

    query_id: str
    choice: PreferenceChoice
    due_step: int


class SimulatedTeacher:
    """Answers comparisons from the true rewards that segments carry.

    An answer depends on the configuration, the seed, the query's id, its segments and the segments seen before, which
    are part of the state. Asked again from a restored state, after a crash, it gives the same answers under the same
    keys.

    Args:
        config: its faults.
        seed: the run's seed.
        name: its id as an annotator.
    """

    def __init__(self, config: TeacherConfig, seed: int, name: str) -> None:
        self.config = config
        self.seed = seed
        self.name = name
        # (judged, plain) return by segment id, the oldest first: a segment that is seen twice counts once.
        self._recent: dict[str, tuple[float, float]] = {}
        self._pending: dict[str, _Pending] = {}

    def ask(self, queries: Sequence[Query], segments: Mapping[str, Segment], step: int) -> None:
        """Put comparisons to the teacher; the answers come from `ready`, `delay_steps` later.

        Args:
            queries: comparisons; one that is still waiting for its answer is not asked twice.
            segments: the queries' segments by id, with their true rewards.
            step: the learner's environment steps now.

        Raises:
            DataError: a query is no comparison, or a segment is missing or has no true reward.
        """
        if not queries:
            return
        shown = {name: _returns(name, segments, self.config.gamma) for name in _segment_ids(queries)}
        for name, returns in shown.items():
            self._recent.pop(name, None)
            self._recent[name] = returns
        for name in list(self._recent)[: -self.config.num_recent]:
            del self._recent[name]
        recent = _Recent.of(list(self._recent.values()))
        for query in queries:
            if query.id not in self._pending:
                left, right = (shown[name] for name in query.segment_ids)
                choice = self._choose(query.id, left, right, recent)
                self._pending[query.id] = _Pending(query.id, choice, step + self.config.delay_steps)

    def ready(self, step: int) -> list[Feedback]:
        """Answers that are due by `step`, in the order in which they fell due; each is given once."""
        due = sorted((p for p in self._pending.values() if p.due_step <= step), key=lambda pending: pending.due_step)
        for pending in due:
            del self._pending[pending.query_id]
        return [
            Feedback(
                key=stable_id("simulated teacher", self.name, self.seed, pending.query_id),
                query_id=pending.query_id,
                kind="preference",
                value={"choice": pending.choice},
                annotator=self.name,
                answered_step=step,
            )
            for pending in due
        ]

    @property
    def num_pending(self) -> int:
        """Questions that wait for their answer."""
        return len(self._pending)

    def state_dict(self) -> dict[str, Any]:
        """Everything that later answers depend on, as JSON-ready values."""
        return {
            "recent": [[name, *returns] for name, returns in self._recent.items()],
            "pending": [[pending.query_id, pending.choice, pending.due_step] for pending in self._pending.values()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._recent = {name: (judged, plain) for name, judged, plain in state["recent"]}
        self._pending = {query_id: _Pending(query_id, choice, due) for query_id, choice, due in state["pending"]}

    def _choose(
        self, query_id: str, left: tuple[float, float], right: tuple[float, float], recent: "_Recent"
    ) -> PreferenceChoice:
        config = self.config
        side_draw, noise_draw, mistake_draw = stream(self.seed, f"teacher {self.name} {query_id}").random(3)
        if side_draw < abs(config.side_bias):
            return "left" if config.side_bias > 0 else "right"
        if max(left[1], right[1]) - recent.worst < config.skip_threshold * recent.level:
            return "cant_tell"
        if abs(left[1] - right[1]) < config.equal_threshold * recent.level:
            return "equal"
        difference = left[0] - right[0]
        if math.isinf(config.beta) and difference == 0:
            return "equal"
        names_left = noise_draw < _probability_left(config.beta, difference, recent.spread)
        return "left" if names_left != (mistake_draw < config.mistake) else "right"


def _probability_left(beta: float, difference: float, spread: float) -> float:
    if math.isinf(beta):
        return float(difference > 0)
    # Without any spread nothing differs, and the coin decides.
    logit = beta * difference / spread if spread > 0 else 0.0
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


def _segment_ids(queries: Sequence[Query]) -> list[str]:
    for query in queries:
        if query.kind != "preference":
            raise DataError(f"query {query.id}: a simulated teacher answers comparisons, got a {query.kind}")
    return list(dict.fromkeys(name for query in queries for name in query.segment_ids))


def _returns(segment_id: str, segments: Mapping[str, Segment], gamma: float) -> tuple[float, float]:
    """(judged, plain) return: the sum of gamma^(T-1-t) * reward_t, and the sum of reward_t."""
    if segment_id not in segments:
        raise DataError(f"segment {segment_id}: a query shows it, but it was not handed to the teacher")
    reward = segments[segment_id].true_reward
    if reward is None:
        raise DataError(f"segment {segment_id}: it carries no true reward, which a simulated teacher needs")
    exact = reward.astype(np.float64)
    weights = gamma ** np.arange(len(exact) - 1, -1, -1)
    return float(weights @ exact), float(exact.sum())
