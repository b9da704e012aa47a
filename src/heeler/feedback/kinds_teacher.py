"""A simulated teacher of every kind: knows the true reward, answers by each kind's likelihood, and takes time.

As `teachers` is for comparisons alone. Noise is in units of the spread of what was seen lately, so that a teacher is as
noisy in every environment; a rating's is a quarter of its scale.
Shapes: L steps of a segment, O observation numbers, A action numbers, J alternatives.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, FeedbackKind, Query, Segment, stable_id
from heeler.core.seeding import stream
from heeler.feedback.kinds_teacher_config import KindsTeacherConfig

ActionReward = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""([J, O] observations, [J, A] actions) to the [J] true rewards of doing that there."""
HIGHEST = 10
"""Score of the best, in whole numbers from 0, as the console has it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A query as it is put to one person."""

    query: Query
    person: str
    alternatives: tuple[Segment, ...] = ()
    """Of a demonstration: the courses that they choose from beside the query's; of a correction: one step each, of
    which the actions could be taken."""


@dataclass(frozen=True)
class _Seen:
    """What one segment was like."""

    total: float
    """Sum of its rewards."""
    mean: float
    square: float
    """Mean of its rewards' squares."""


class KindsTeacher:
    """Answers questions of all kinds from the true rewards that segments carry.

    An answer depends on the configuration, the seed, who is asked, the query's id, what is shown, and the segments seen
    before, which are part of the state: asked again from a restored state, the same is answered under the same key.

    Args:
        config: of the people.
        seed: the run's.
        step_s: seconds of the world's time in a step of a segment.
        speed: how fast a clip is shown; 1 for the world's own time.
        action_reward: what an action is worth; None where that is not known, and nothing can be corrected.
    """

    def __init__(
        self,
        config: KindsTeacherConfig,
        seed: int,
        *,
        step_s: float,
        speed: float = 1.0,
        action_reward: ActionReward | None = None,
    ) -> None:
        self.config, self.seed = config, seed
        self._step_s, self._speed, self._action_reward = step_s, speed, action_reward
        # By segment id, the oldest first: a segment that is seen twice counts once.
        self._recent: dict[str, _Seen] = {}
        self._worst, self._best = math.inf, -math.inf
        self._pending: dict[str, tuple[int, dict[str, Any]]] = {}
        """By query: when the answer is due, and what it is."""
        self._sure, self._slow = _people(config, seed)

    def ask(self, questions: Sequence[Question], segments: Mapping[str, Segment], step: int) -> None:
        """Put questions; the answers come from `ready`, `delay_steps` later.

        Args:
            questions: one that still waits for its answer is not asked twice.
            segments: the queries' segments by id, with their true rewards.
            step: the learner's environment steps now.

        Raises:
            DataError: a segment is missing or has no true reward; or a correction is asked for where nobody knows what
                actions are worth.
        """
        for name in dict.fromkeys(i for one in questions for i in one.query.segment_ids):
            self._see(name, segments.get(name))
        for name in list(self._recent)[: -self.config.num_recent]:
            del self._recent[name]
        for one in questions:
            if one.query.id not in self._pending:
                shown = [segments[name] for name in one.query.segment_ids]
                self._pending[one.query.id] = (step + self.config.delay_steps, self._answer(one, shown))

    def ready(self, step: int) -> list[Feedback]:
        """Answers that are due by `step`, in the order in which they fell due; each is given once."""
        due = sorted((when, name) for name, (when, _) in self._pending.items() if when <= step)
        order = {name: place for place, name in enumerate(self._pending)}
        due.sort(key=lambda one: (one[0], order[one[1]]))
        return [Feedback(**self._pending.pop(name)[1], answered_step=step) for _, name in due]

    @property
    def num_pending(self) -> int:
        """Questions that wait for their answer."""
        return len(self._pending)

    def state_dict(self) -> dict[str, Any]:
        """Everything that later answers depend on, as JSON-ready values."""
        return {
            "recent": [[name, *asdict(seen).values()] for name, seen in self._recent.items()],
            "range": [self._worst, self._best] if self._recent else None,
            "pending": [[name, due, answer] for name, (due, answer) in self._pending.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._recent = {name: _Seen(*numbers) for name, *numbers in state["recent"]}
        self._worst, self._best = state["range"] or (math.inf, -math.inf)
        self._pending = {name: (due, answer) for name, due, answer in state["pending"]}

    def _see(self, name: str, segment: Segment | None) -> None:
        if segment is None or segment.true_reward is None:
            what = "it was not handed to the teacher" if segment is None else "it carries no true reward"
            raise DataError(f"segment {name}: a query shows it, but {what}, which a simulated teacher needs")
        reward_L = segment.true_reward.astype(np.float64)
        self._recent.pop(name, None)
        seen = _Seen(float(reward_L.sum()), float(reward_L.mean()), float(np.square(reward_L).mean()))
        self._recent[name] = seen
        self._worst, self._best = min(self._worst, seen.mean), max(self._best, seen.mean)

    # Answers

    def _answer(self, one: Question, shown: Sequence[Segment]) -> dict[str, Any]:
        query, kind = one.query, one.query.kind
        rng = stream(self.seed, f"answer of {one.person} to {query.id}")
        noise = rng.normal()
        own, sigma = self.config.of(kind), self.config.seconds_spread
        seconds = own.seconds * self._slow[one.person] * math.exp(sigma * noise - sigma**2 / 2)
        beta = 0.0 if kind in self.config.cannot else own.beta * self._sure[one.person]
        answering: Mapping[FeedbackKind, Callable[[], dict[str, Any]]] = {
            "preference": lambda: self._preference(shown[0], shown[1], beta, rng),
            "rating": lambda: self._rating(shown[0], beta, rng),
            "evaluation": lambda: self._evaluation(shown[0], beta, rng),
            "critique": lambda: self._critique(shown[0], beta, rng),
            "correction": lambda: self._correction(query.id, shown[0], one.alternatives, beta, rng),
            "demonstration": lambda: self._demonstration([shown[0], *one.alternatives], beta, rng),
        }
        return {
            "key": stable_id("simulated teacher", one.person, self.seed, query.id),
            "query_id": query.id,
            "kind": kind,
            "value": answering[kind](),
            "annotator": one.person,
            "time_taken_s": round(seconds, 3),
        }

    @property
    def _spread(self) -> float:
        """Of segments' returns."""
        return float(np.std([seen.total for seen in self._recent.values()]))

    @property
    def _step_moments(self) -> tuple[float, float]:
        """Mean and spread of single steps' rewards."""
        mean = float(np.mean([seen.mean for seen in self._recent.values()]))
        square = float(np.mean([seen.square for seen in self._recent.values()]))
        return mean, math.sqrt(max(0.0, square - mean**2))

    def _preference(self, left: Segment, right: Segment, beta: float, rng: np.random.Generator) -> dict[str, Any]:
        gives_up, draw = rng.random(2)
        difference = _ratio(_true(left).sum() - _true(right).sum(), self._spread)
        if "preference" in self.config.cannot:
            is_silent = gives_up < 0.5
        else:
            is_silent = abs(difference) < self.config.cant_tell_below or difference == 0
        if is_silent:
            return {"choice": "cant_tell"}
        return {"choice": "left" if draw < _logistic(beta, difference) else "right"}

    def _rating(self, shown: Segment, beta: float, rng: np.random.Generator) -> dict[str, Any]:
        """The cumulative logit: as many cuts are passed as the share of the scale, with noise, is above."""
        share = _ratio(_true(shown).mean() - self._worst, self._best - self._worst)
        score = int(rng.integers(HIGHEST + 1))
        if beta > 0:
            noise = 0.0 if math.isinf(beta) else float(rng.logistic(scale=0.25 / beta))
            cuts = (np.arange(HIGHEST) + 0.5) / HIGHEST
            score = int((share + noise > cuts).sum())
        return {"score": float(score), "low": 0.0, "high": float(HIGHEST)}

    def _evaluation(self, shown: Segment, beta: float, rng: np.random.Generator) -> dict[str, Any]:
        """A press for what stands out most in each stretch of watching, and comes late."""
        if "evaluation" in self.config.cannot:
            return {"marks": []}
        mean, spread = self._step_moments
        pull_L = np.array([_ratio(each - mean, spread) for each in _true(shown)])
        watched_s = len(pull_L) * self._step_s / self._speed
        number = min(len(pull_L), max(1, round(watched_s / self.config.mark_every_s)))
        marks: list[dict[str, Any]] = []
        for some in np.array_split(np.arange(len(pull_L)), number):
            step = int(some[np.abs(pull_L[some]).argmax()])
            late_s = rng.uniform(self.config.least_delay_s, self.config.most_delay_s) * self._speed
            sign = 1 if rng.random() < _logistic(beta, float(pull_L[step])) else -1
            marks.append({"time_s": round((step + 0.5) * self._step_s + float(late_s), 6), "sign": sign})
        return {"marks": sorted(marks, key=lambda mark: mark["time_s"])}

    def _critique(self, shown: Segment, beta: float, rng: np.random.Generator) -> dict[str, Any]:
        """Of the quarter that differs most from the rest."""
        reward_L = _true(shown)
        size = max(1, len(reward_L) // 4)
        starts = np.arange(len(reward_L) - size + 1)
        total = np.concatenate([[0.0], reward_L.cumsum()])
        inside = (total[starts + size] - total[starts]) / size
        outside = (total[-1] - inside * size) / max(1, len(reward_L) - size)
        pull = (inside - outside) / (self._step_moments[1] or 1.0)
        start = int(np.abs(pull).argmax()) if beta > 0 else int(rng.integers(len(starts)))
        value = {"start": start, "end": start + size}
        if beta > 0 and abs(pull[start]) < self.config.cant_tell_below:
            return value | {"text": "Nothing stands out here."}
        is_good = rng.random() < _logistic(beta, float(pull[start]))
        return value | {"text": "This is good." if is_good else "This is bad.", "sign": 1 if is_good else -1}

    def _correction(
        self, query_id: str, shown: Segment, alternatives: Sequence[Segment], beta: float, rng: np.random.Generator
    ) -> dict[str, Any]:
        """At the worst step, what would have been better: by chance the action that was taken, which says nothing."""
        if self._action_reward is None:
            raise DataError(
                f"query {query_id}: a simulated teacher cannot correct where nobody knows what actions earn"
            )
        step = int(_true(shown).argmin())
        action_JA = np.stack([shown.action[step], *(other.action[0] for other in alternatives)])
        seen_JO = np.repeat(shown.observation[step : step + 1], len(action_JA), 0)
        reward_J = np.asarray(self._action_reward(seen_JO, action_JA), np.float64)
        chosen = _pick(reward_J, beta, self._step_moments[1], rng)
        return {"step": step, "action": action_JA[chosen].tolist()}

    def _demonstration(self, courses: Sequence[Segment], beta: float, rng: np.random.Generator) -> dict[str, Any]:
        returns_J = np.array([_true(course).sum() for course in courses])
        return {"segment_id": courses[_pick(returns_J, beta, self._spread, rng)].id}


def _people(config: KindsTeacherConfig, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """How sure, and how slow, each person is beside the usual one."""
    drawn = {name: stream(seed, f"what {name} is like").normal(size=2) for name in config.people}
    factors = {name: np.exp(config.people_spread * z) for name, z in drawn.items()}
    return {name: float(each[0]) for name, each in factors.items()}, {
        name: float(each[1]) for name, each in factors.items()
    }


def _true(segment: Segment) -> np.ndarray:
    if segment.true_reward is None:
        raise DataError(f"segment {segment.id}: it carries no true reward, which a simulated teacher needs")
    return segment.true_reward.astype(np.float64)


def _ratio(difference: float, spread: float) -> float:
    """In spreads; without any spread nothing differs."""
    return float(difference / spread) if spread > 0 else 0.0


def _logistic(beta: float, difference: float) -> float:
    if math.isinf(beta):
        return 0.5 if difference == 0 else float(difference > 0)
    logit = beta * difference
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


def _pick(value_J: np.ndarray, beta: float, spread: float, rng: np.random.Generator) -> int:
    """One of several, by a logit of what each is worth."""
    noise_J = rng.gumbel(size=len(value_J))
    if math.isinf(beta):
        return int(value_J.argmax())
    level_J = beta * value_J / spread if spread > 0 else np.zeros(len(value_J))
    return int((level_J + noise_J).argmax())
