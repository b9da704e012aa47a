"""Settings of simulated people who answer every kind of question: how surely, how fast, and what they cannot do."""

import math
from dataclasses import dataclass

from heeler.core.errors import ConfigError
from heeler.core.nouns import FEEDBACK_KINDS, FeedbackKind


@dataclass(frozen=True, kw_only=True)
class KindAnswers:
    """How a simulated person answers questions of one kind."""

    beta: float
    """Rationality: 0 for answers by chance. What is one spread better is preferred with a logit of so much."""
    seconds: float
    """Mean time that an answer takes."""

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise ConfigError(f"beta must be >= 0 (inf for answers without noise), got {self.beta}")
        if not 0 < self.seconds < math.inf:
            raise ConfigError(f"seconds must be > 0 and finite, got {self.seconds}")


@dataclass(frozen=True, kw_only=True)
class KindsTeacherConfig:
    """Simulated people: how surely and how fast they answer each kind of question, and what they cannot do."""

    preference: KindAnswers = KindAnswers(beta=3.0, seconds=4.0)
    """Which of two clips is better: by the difference of their returns, in spreads of returns."""
    rating: KindAnswers = KindAnswers(beta=3.0, seconds=2.5)
    """A score for a clip: by its return between the worst and the best seen so far, noise a quarter of the scale."""
    evaluation: KindAnswers = KindAnswers(beta=2.0, seconds=3.5)
    """Good and bad while it plays: by the rewards of single steps, in spreads of those."""
    critique: KindAnswers = KindAnswers(beta=3.0, seconds=9.0)
    """What part is good or bad: by how much better its steps are than the rest, in spreads of steps' rewards."""
    correction: KindAnswers = KindAnswers(beta=3.0, seconds=12.0)
    """A better action at the worst step: by the reward of doing that there, in spreads of steps' rewards."""
    demonstration: KindAnswers = KindAnswers(beta=3.0, seconds=20.0)
    """How it is done: one of several courses by its return, in spreads of returns."""
    seconds_spread: float = 0.4
    """Of the time of single answers, in logarithms."""
    cant_tell_below: float = 0.1
    """Of two clips that are less apart than so many spreads, nobody can tell; of a part that stands out less, nobody
    says whether it is good or bad."""
    cannot: tuple[FeedbackKind, ...] = ()
    """Kinds that these people cannot judge: comparisons are answered "can't tell" or by chance, half of the time each,
    marks are not given, and the rest is answered by chance."""
    num_people: int = 1
    """How many there are."""
    people_spread: float = 0.0
    """How differently sure, and differently fast, people are, in logarithms."""
    mark_every_s: float = 1.0
    """Seconds of watching in which a person presses good or bad once."""
    least_delay_s: float = 0.2
    """After what it is meant for a mark comes at least so late."""
    most_delay_s: float = 0.6
    """And at most so late."""
    delay_steps: int = 0
    """The learner's environment steps between a question and its answer."""
    num_recent: int = 512
    """Segments seen lately from which spreads are taken."""

    def __post_init__(self) -> None:
        expected = {
            "seconds_spread": (0 <= self.seconds_spread < math.inf, ">= 0 and finite"),
            "cant_tell_below": (0 <= self.cant_tell_below < math.inf, ">= 0 and finite"),
            "people_spread": (0 <= self.people_spread < math.inf, ">= 0 and finite"),
            "num_people": (self.num_people >= 1, ">= 1"),
            "mark_every_s": (0 < self.mark_every_s < math.inf, "> 0 and finite"),
            "least_delay_s": (0 <= self.least_delay_s < math.inf, ">= 0 and finite"),
            "most_delay_s": (self.least_delay_s <= self.most_delay_s < math.inf, "at least least_delay_s and finite"),
            "delay_steps": (self.delay_steps >= 0, ">= 0"),
            "num_recent": (self.num_recent >= 2, "at least 2, as a spread needs two"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise ConfigError(f"KindsTeacherConfig.{name} must be {words}, got {getattr(self, name)}")
        if not set(self.cannot) <= set(FEEDBACK_KINDS):
            raise ConfigError(f"KindsTeacherConfig.cannot must name kinds of {FEEDBACK_KINDS}, got {self.cannot}")

    def of(self, kind: FeedbackKind) -> KindAnswers:
        """How one kind is answered."""
        return getattr(self, kind)

    @property
    def people(self) -> tuple[str, ...]:
        """Their ids as annotators."""
        if self.num_people == 1:
            return ("simulated",)
        return tuple(f"simulated-{number}" for number in range(1, self.num_people + 1))
