"""A crowd that compares clips: honest and careless, hostile and colluding, changing its mind, or of two minds.

Like the simulated teachers (`teachers`) it knows the true reward, and its answers depend on the configuration, the
seed, the query, its segments and the segments seen before. Some in it go by another goal than the true reward.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, PreferenceChoice, Query, Segment, stable_id
from heeler.core.seeding import stream

PersonKind = Literal["honest", "second", "careless", "hostile", "colluding", "one_sided"]


@dataclass(frozen=True, kw_only=True)
class ControlCrowdConfig:
    """Who compares clips. The defaults are a crowd of honest, somewhat noisy people."""

    num_people: int = 20
    """People; each comparison is answered by some of them, drawn by chance."""
    overlap: int = 1
    """How many different people answer each comparison."""
    beta: float = 3.0
    """Rationality: P(better) = sigmoid(beta * difference of returns / their spread); inf for no noise."""
    mistake: float = 0.02
    """How often somebody names the wrong side by accident."""
    careless_share: float = 0.0
    """Share of people who answer by a coin, in a third of the time."""
    hostile_share: float = 0.0
    """Share of people who name the worse clip on purpose."""
    colluding_share: float = 0.0
    """Share of people who give the same answer as each other, by the other goal."""
    one_sided_share: float = 0.0
    """Share of people who name the left whatever is shown, at once."""
    second_group_share: float = 0.0
    """Share of people who honestly want the other goal."""
    drift_step: int | None = None
    """From this step of the learner on, all who went by the true reward go by the other goal; None for never."""
    other_goal: tuple[tuple[int, float], ...] = ()
    """What else may be wanted: numbers of what came of each step (by index) and their weights, summed over the clip;
    empty for the opposite of the true reward."""
    gold_share: float = 0.0
    """Share of comparisons whose right answer, by the goal of most, is told to the store as a gold item."""
    time_s: float = 4.0
    """Median seconds that looking takes."""
    delay_steps: int = 0
    """The learner's environment steps between a question and its answers."""
    num_recent: int = 512
    """Segments seen lately from which the spread is taken."""

    def __post_init__(self) -> None:
        shares = ("careless", "hostile", "colluding", "one_sided", "second_group")
        named = {f"{name}_share": getattr(self, f"{name}_share") for name in shares}
        expected = {
            "num_people": (self.num_people >= 1, ">= 1"),
            "overlap": (1 <= self.overlap <= self.num_people, f"from 1 to num_people ({self.num_people})"),
            "beta": (self.beta >= 0, ">= 0 (inf for people without noise)"),
            "mistake": (0 <= self.mistake <= 1, "a probability"),
            "gold_share": (0 <= self.gold_share <= 1, "0 to 1"),
            "drift_step": (self.drift_step is None or self.drift_step >= 0, ">= 0, or None"),
            "time_s": (0 < self.time_s < math.inf, "> 0 and finite"),
            "delay_steps": (self.delay_steps >= 0, ">= 0"),
            "num_recent": (self.num_recent >= 2, "at least 2, as a spread needs two"),
        } | {name: (0 <= share <= 1, "0 to 1") for name, share in named.items()}
        for name, (holds, words) in expected.items():
            if not holds:
                raise ConfigError(f"ControlCrowdConfig.{name} must be {words}, got {getattr(self, name)}")
        if sum(named.values()) > 1 + 1e-9:
            raise ConfigError(f"{', '.join(named)} must come to at most 1, got {sum(named.values()):g}")
        goes_by_it = self.drift_step is not None or self.colluding_share or self.second_group_share
        if self.other_goal and not goes_by_it:
            raise ConfigError(
                "other_goal would be ignored: nobody goes by it; set drift_step, colluding_share or second_group_share"
            )

    @property
    def ids(self) -> list[str]:
        """Under which its people answer."""
        return [f"person-{number}" for number in range(self.num_people)]


CROWDS: Mapping[str, ControlCrowdConfig] = {
    "crowd": ControlCrowdConfig(gold_share=0.05),
    "careless-crowd": ControlCrowdConfig(careless_share=0.4, gold_share=0.05),
    "hostile-crowd": ControlCrowdConfig(hostile_share=0.2, gold_share=0.05),
    "colluding-crowd": ControlCrowdConfig(colluding_share=0.1, overlap=3, gold_share=0.05),
    "drifting-crowd": ControlCrowdConfig(drift_step=400_000),
    "two-groups": ControlCrowdConfig(second_group_share=0.4),
}
"""Ready-made crowds."""


@dataclass(frozen=True)
class _Pending:
    """An answer that is made up but not given yet."""

    query_id: str
    person: str
    choice: PreferenceChoice
    time_s: float
    due_step: int


class ControlCrowd:
    """Answers comparisons from the true rewards that segments carry, each by some of its people.

    Args:
        config: who they are.
        seed: the run's seed.
    """

    def __init__(self, config: ControlCrowdConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.people: Mapping[str, PersonKind] = _people(config, seed)
        """What kind of person each is, by the id under which they answer."""
        # (true, other) return by segment id, the oldest first: a segment that is seen twice counts once.
        self._recent: dict[str, tuple[float, float]] = {}
        self._pending: list[_Pending] = []
        self._gold: dict[str, PreferenceChoice] = {}

    def ask(self, queries: Sequence[Query], segments: Mapping[str, Segment], step: int) -> None:
        """Put comparisons to the crowd; the answers come from `ready`, `delay_steps` later.

        Args:
            queries: comparisons; one that is still waiting for its answers is not asked twice.
            segments: the queries' segments by id, with their true rewards.
            step: the learner's environment steps now.

        Raises:
            DataError: a query is no comparison, or a segment is missing, has no true reward, or lacks a number of the
                other goal.
        """
        waiting = {pending.query_id for pending in self._pending}
        fresh = [query for query in queries if query.id not in waiting]
        if not fresh:
            return
        shown = {name: self._returns(name, segments) for name in _segment_ids(fresh)}
        for name, returns in shown.items():
            self._recent.pop(name, None)
            self._recent[name] = returns
        for name in list(self._recent)[: -self.config.num_recent]:
            del self._recent[name]
        spread = np.array(list(self._recent.values())).std(0)
        for query in fresh:
            left, right = (shown[name] for name in query.segment_ids)
            leads = [(a - b) / s if s > 0 else 0.0 for a, b, s in zip(left, right, spread.tolist(), strict=True)]
            self._pending += self._answers(query.id, leads, step)

    def ready(self, step: int) -> list[Feedback]:
        """Answers that are due by `step`, in the order in which they fell due; each is given once."""
        due = sorted((p for p in self._pending if p.due_step <= step), key=lambda pending: pending.due_step)
        self._pending = [pending for pending in self._pending if pending.due_step > step]
        return [
            Feedback(
                key=stable_id("control crowd", self.seed, pending.query_id, pending.person),
                query_id=pending.query_id,
                kind="preference",
                value={"choice": pending.choice},
                annotator=pending.person,
                time_taken_s=pending.time_s,
                answered_step=step,
            )
            for pending in due
        ]

    def take_gold(self) -> dict[str, PreferenceChoice]:
        """Right answers of the queries asked since it was last called that are to be gold items."""
        taken, self._gold = self._gold, {}
        return taken

    @property
    def num_pending(self) -> int:
        """Answers that are not given yet."""
        return len(self._pending)

    def state_dict(self) -> dict[str, Any]:
        """Everything that later answers depend on, as JSON-ready values."""
        pending = [[p.query_id, p.person, p.choice, p.time_s, p.due_step] for p in self._pending]
        return {"recent": [[name, *returns] for name, returns in self._recent.items()], "pending": pending}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._recent = {name: (true, other) for name, true, other in state["recent"]}
        self._pending = [_Pending(*values) for values in state["pending"]]

    def _answers(self, query_id: str, leads: Sequence[float], step: int) -> list[_Pending]:
        """What some people say; `leads` is how much better the left is by the true reward, and by the other goal."""
        config, chance = self.config, stream(self.seed, f"control crowd {query_id}")
        chosen = chance.choice(len(self.people), config.overlap, replace=False)
        gold_draw, shared_draw = chance.random(2)
        has_drifted = config.drift_step is not None and step >= config.drift_step
        most = leads[1] if has_drifted else leads[0]
        if gold_draw < config.gold_share and most != 0:
            self._gold[query_id] = "left" if most > 0 else "right"
        names = list(self.people)
        due, answers = step + config.delay_steps, list[_Pending]()
        for place in (int(number) for number in chosen):
            kind = self.people[names[place]]
            draws = chance.random(2)
            own = leads[1] if kind in ("second", "colluding") else leads[0] if kind == "hostile" else most
            choice = self._choice(kind, own, draws.tolist(), float(shared_draw))
            pace = {"careless": 0.3, "one_sided": 0.05}.get(kind, 1.0)
            time_s = round(config.time_s * pace * math.exp(0.4 * float(chance.standard_normal())), 3)
            answers.append(_Pending(query_id, names[place], choice, time_s, due))
        return answers

    def _choice(self, kind: PersonKind, lead: float, draws: Sequence[float], shared: float) -> PreferenceChoice:
        noise, slip = draws
        if kind == "one_sided":
            return "left"
        if kind == "careless":
            return "left" if noise < 0.5 else "right"
        if math.isinf(self.config.beta) and lead == 0:
            return "equal"
        if kind == "colluding":
            # One draw for all of them: they copy one another, slips too.
            return "left" if shared < _sigmoid(self.config.beta * lead if lead else 0.0) else "right"
        is_left = noise < _sigmoid(self.config.beta * lead if lead else 0.0)
        if slip < self.config.mistake:
            is_left = not is_left
        return "left" if is_left != (kind == "hostile") else "right"

    def _returns(self, segment_id: str, segments: Mapping[str, Segment]) -> tuple[float, float]:
        """(true, other): sums over the segment."""
        if segment_id not in segments:
            raise DataError(f"segment {segment_id}: a query shows it, but it was not handed to the crowd")
        segment = segments[segment_id]
        if segment.true_reward is None:
            raise DataError(f"segment {segment_id}: it carries no true reward, which a simulated crowd needs")
        true, size = float(segment.true_reward.astype(np.float64).sum()), segment.next_observation.shape[1]
        if not self.config.other_goal:
            return true, -true
        for column, _ in self.config.other_goal:
            if not 0 <= column < size:
                raise DataError(f"other_goal names number {column} of an observation, which has {size}; from 0 on")
        seen = segment.next_observation.astype(np.float64)
        return true, float(sum(weight * seen[:, column].sum() for column, weight in self.config.other_goal))


def _people(config: ControlCrowdConfig, seed: int) -> dict[str, PersonKind]:
    """Everybody and their kind; which number is of which kind is drawn by chance."""
    shares: Mapping[PersonKind, float] = {
        "careless": config.careless_share,
        "hostile": config.hostile_share,
        "colluding": config.colluding_share,
        "one_sided": config.one_sided_share,
        "second": config.second_group_share,
        "honest": 1.0,
    }
    # Those who are honest fill up what the others leave.
    kinds: list[PersonKind] = [kind for kind, share in shares.items() for _ in range(round(share * config.num_people))]
    order = stream(seed, "control crowd").permutation(config.num_people)
    return {name: kinds[int(place)] for name, place in zip(config.ids, order, strict=True)}


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))


def _segment_ids(queries: Sequence[Query]) -> list[str]:
    for query in queries:
        if query.kind != "preference":
            raise DataError(f"query {query.id}: a simulated crowd answers comparisons, got a {query.kind}")
    return list(dict.fromkeys(name for query in queries for name in query.segment_ids))
