"""What is to be thought of each person, in a word and in words. Shapes: N answers, P people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError
from heeler.feedback.annotators.answers import CANT_TELL, EQUAL, LEFT, RIGHT, Answers, Floats, sums_by
from heeler.feedback.annotators.bounds import log_bennett
from heeler.feedback.annotators.collusion import Collusion, find_collusion
from heeler.feedback.annotators.likelihood import probability_left
from heeler.feedback.annotators.poisoning import Push, find_pushes
from heeler.feedback.annotators.reliability import Reliability

VerdictWord = Literal["reliable", "careless", "hostile", "spamming", "colluding", "poisoning", "unknown"]
_FAST = 0.25
"""Who takes less than this share of the others' time, and is not as good as most for all that, has not looked."""
_GOOD = 0.9
_SUSPECT: frozenset[str] = frozenset({"spamming", "colluding", "poisoning"})


@dataclass(frozen=True, kw_only=True)
class VerdictConfig:
    """When somebody is called what."""

    certainty: float = 0.95
    """Probability that somebody must have of being careless, or hostile, to be called so."""
    hostile_below: float = 0.42
    """Who is less reliable than this names the worse more often than chance would."""
    careless_below: float = 0.75
    """Who is less reliable than this answers so often without care that little can be learned from it."""
    error_rate: float = 0.01
    """Probability that anybody is called spamming, colluding or poisoning where nobody is: for each of the three."""
    least_answers: int = 8
    """Nothing is said of who gave fewer."""
    poison_share: float = 0.15
    """Who pushes something is called poisoning where no more than this share of people do; more are a group who want
    something else."""

    def __post_init__(self) -> None:
        if not 0.5 < self.certainty < 1:
            raise ConfigError(f"certainty must be above 0.5 and below 1, got {self.certainty}")
        if not 0 < self.hostile_below <= 0.5 <= self.careless_below < 1:
            raise ConfigError(
                "hostile_below must be above 0 and at most 0.5, careless_below from 0.5 to 1; got "
                f"{self.hostile_below} and {self.careless_below}"
            )
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"error_rate must be above 0 and below 0.5, got {self.error_rate}")
        if self.least_answers < 1:
            raise ConfigError(f"least_answers must be >= 1, got {self.least_answers}")
        if not 0 <= self.poison_share <= 1:
            raise ConfigError(f"poison_share must be between 0 and 1, got {self.poison_share}")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is to be thought of one person."""

    person: int
    verdict: VerdictWord
    reason: str
    """In words, with figures."""
    num_answers: int
    """That say something of the items."""
    reliability: float
    low: float
    """Of the credible interval of the reliability."""
    high: float
    hostile: float
    """Probability of answering the wrong way round more often than not."""
    lean: float
    """To the left, in log-odds."""
    looked: float
    """Share of their answers that were given by looking, as speed tells."""
    equal: float
    """Share of "equal" among all answers."""
    cant_tell: float
    """Share of "can't tell"."""
    with_others: tuple[int, ...] = ()
    """Who they collude with."""

    @property
    def is_suspect(self) -> bool:
        """Whether more than reliability speaks against them."""
        return self.verdict in _SUSPECT


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found of everybody."""

    people: tuple[Judgement, ...]
    """By number."""
    collusion: Collusion
    pushes: tuple[Push, ...]
    """Poisoning or not."""
    as_one: tuple[tuple[int, ...], ...] = field(default=())
    """Groups who are to weigh as much as one person."""


def judge(
    answers: Answers,
    margin_N: Floats,
    people: Reliability,
    config: VerdictConfig | None = None,
    *,
    feature_NF: Floats | None = None,
    since_N: Floats | None = None,
    direction_names: Sequence[str] = (),
) -> Judged:
    """Say what is to be thought of everybody.

    Args:
        answers: all of them.
        margin_N: [N] how much better the left was, in log-odds.
        people: as fitted with these margins.
        config: when somebody is called what.
        feature_NF: [N, F] of what was shown, left less right, along which somebody may push; else items are.
        since_N: [N] 0 where an answer says nothing of its person any more, who changed; 1 unless given.
        direction_names: of features, for words.
    """
    config = config or VerdictConfig()
    if since_N is not None:
        # Held against what people want now, all who changed together would seem to collude before.
        tells_N = since_N > 0
        answers, margin_N, people = answers.those(tells_N), margin_N[tells_N], people.of_answers(tells_N)
        feature_NF = None if feature_NF is None else feature_NF[tells_N]
    # Margins are as sure as the fit of people found that they should be.
    margin_N = margin_N * people.scale
    collusion = find_collusion(answers, margin_N, people, error_rate=config.error_rate)
    pushes: tuple[Push, ...] = ()
    if answers.items or feature_NF is not None:
        pushes = find_pushes(answers, margin_N, people, feature_NF=feature_NF, error_rate=config.error_rate)
    facts = _Facts(answers, margin_N, people, config, collusion, pushes, direction_names or answers.items)
    judged = tuple(facts.judgement(person) for person in range(answers.num_people))
    return Judged(people=judged, collusion=collusion, pushes=pushes, as_one=collusion.groups)


class _Facts:
    def __init__(
        self,
        answers: Answers,
        margin_N: Floats,
        people: Reliability,
        config: VerdictConfig,
        collusion: Collusion,
        pushes: tuple[Push, ...],
        directions: Sequence[str],
    ) -> None:
        self.answers, self.people, self.config, self.directions = answers, people, config, directions
        self.group_of = {person: group for group in collusion.groups for person in group}
        self.pairs = collusion.pairs
        few = len(pushes) <= config.poison_share * answers.num_people
        self.push_of = {push.person: push for push in pushes} if few else {}
        num = answers.num_people

        def share(wanted: Floats) -> Floats:
            return sums_by(answers.person_N, wanted, num) / np.bincount(answers.person_N, minlength=num).clip(1)

        self.share_P = {o: share((answers.outcome_N == o).astype(np.float64)) for o in (LEFT, RIGHT, EQUAL, CANT_TELL)}
        self.count_P = np.bincount(answers.person_N, minlength=num)
        self.looked_P = share(people.looked_N)
        self.log_p_side_P = self._one_sided(margin_N)

    def _one_sided(self, margin_N: Floats) -> Floats:
        """[P] logarithm of a bound on the chance of so many answers to one side by somebody who leans to none."""
        answers, people = self.answers, self.people
        decided_N = (answers.outcome_N == LEFT) | (answers.outcome_N == RIGHT)
        eta_N = people.mean_P[answers.person_N]
        left_N = probability_left(margin_N, eta_N, np.zeros(len(answers)), people.looked_N, 0.0)
        off_N = np.where(decided_N, (answers.outcome_N == LEFT) - left_N, 0.0)
        num = answers.num_people
        off_P = sums_by(answers.person_N, off_N, num)
        variance_P = sums_by(answers.person_N, np.where(decided_N, left_N * (1 - left_N), 0.0), num)
        return log_bennett(np.abs(off_P), variance_P, np.ones(num))

    def judgement(self, person: int) -> Judgement:
        verdict, reason = self._verdict(person)
        people = self.people
        return Judgement(
            person=person,
            verdict=verdict,
            reason=reason,
            num_answers=int(people.num_P[person]),
            reliability=float(people.mean_P[person]),
            low=float(people.low_P[person]),
            high=float(people.high_P[person]),
            hostile=float(people.hostile_P[person]),
            lean=float(people.lean_P[person]),
            looked=float(self.looked_P[person]),
            equal=float(self.share_P[EQUAL][person]),
            cant_tell=float(self.share_P[CANT_TELL][person]),
            with_others=tuple(other for other in self.group_of.get(person, ()) if other != person),
        )

    def _verdict(self, person: int) -> tuple[VerdictWord, str]:
        if self.count_P[person] < self.config.least_answers:
            return "unknown", f"{self.count_P[person]} answers are too few to say anything"
        if spam := self._spam(person):
            return "spamming", spam
        if person in self.group_of:
            return "colluding", self._collusion(person)
        mean, config = self.people.mean_P[person], self.config
        below = self._probability_below(person, config.hostile_below)
        if below >= config.certainty:
            return (
                "hostile",
                f"names the worse: right in {mean:.0%} of answers, below a coin with {below:.1%} certainty",
            )
        careless = self._probability_below(person, config.careless_below)
        if careless >= config.certainty:
            return "careless", f"answers with little care: reliability {mean:.0%}"
        if person in self.push_of:
            return "poisoning", self._push(self.push_of[person])
        if mean >= config.careless_below and self._probability_below(person, 0.5) <= 1 - config.certainty:
            return "reliable", f"answers as the others and the items say: reliability {mean:.0%}"
        return "unknown", f"reliability {mean:.0%} is not sure enough yet to call them anything"

    def _spam(self, person: int) -> str:
        config, left = self.config, self.share_P[LEFT][person]
        log_needed = math.log(config.error_rate / self.answers.num_people)
        if abs(self.people.lean_P[person]) >= 1.5 and self.log_p_side_P[person] <= log_needed:
            side = "left" if self.people.lean_P[person] > 0 else "right"
            share = left if side == "left" else self.share_P[RIGHT][person]
            return f"names the {side} in {share:.0%} of answers, whatever is shown"
        for outcome, words in ((EQUAL, '"equal"'), (CANT_TELL, '"can\'t tell"')):
            own, others = self.share_P[outcome][person], self._others(outcome, person)
            if own >= 0.9 and self.count_P[person] * math.log(max(others, 0.05)) <= log_needed:
                return f"answers {words} in {own:.0%} of answers"
        if self.looked_P[person] < 0.4:
            return f"answers too fast to have looked: {1 - self.looked_P[person]:.0%} of answers"
        own_s, others_s = self._usual_s(person)
        if own_s < _FAST * others_s and self._probability_below(person, _GOOD) >= config.certainty:
            return f"answers too fast to have looked: in {own_s:.2g} s, where others take {others_s:.2g} s"
        return ""

    def _usual_s(self, person: int) -> tuple[float, float]:
        """Median seconds of a person and of the others; NaN where nobody knows."""
        is_own_N, timed_N = self.answers.person_N == person, np.isfinite(self.answers.time_s_N)
        own, others = (self.answers.time_s_N[timed_N & some] for some in (is_own_N, ~is_own_N))
        return (float(np.median(own)) if len(own) else np.nan, float(np.median(others)) if len(others) else np.nan)

    def _others(self, outcome: int, person: int) -> float:
        count = self.share_P[outcome] * self.count_P
        return float((count.sum() - count[person]) / max(self.count_P.sum() - self.count_P[person], 1))

    def _collusion(self, person: int) -> str:
        own = next(pair for pair in self.pairs if person in (pair.first, pair.second))
        num = len(self.group_of[person]) - 1
        return (
            f"agrees with {num} other{'s' if num > 1 else ''} beyond what was shown: {own.agreed:.0%} of "
            f"{own.num_shared} shared questions, where {own.expected:.0%} would be expected"
        )

    def _push(self, push: Push) -> str:
        name = self.directions[push.direction] if push.direction < len(self.directions) else f"feature {push.direction}"
        way = "for" if push.strength > 0 else "against"
        return f"answers {way} {name} as nobody else does, in {push.num_answers} answers"

    def _probability_below(self, person: int, eta: float) -> float:
        mass = np.exp(self.people.log_posterior_PEB[person]).sum(1)
        place = eta * len(mass)
        whole = int(place)
        return float(mass[:whole].sum() + (place - whole) * mass[min(whole, len(mass) - 1)])
