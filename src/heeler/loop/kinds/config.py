"""Settings of a reward that is learned from every kind of answer."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.nouns import FEEDBACK_KINDS, FeedbackKind
from heeler.feedback.kinds_teacher_config import KindsTeacherConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.rewards.joint.model import JointModelConfig
from heeler.rewards.joint.readings import Delay

Asking = Literal["information", "uniform"]


@dataclass(frozen=True, kw_only=True)
class AnswerSeconds:
    """How long an answer of each kind is taken to last before anybody gave one; the times taken are learned from."""

    preference: float = 4.0
    """Seconds of a comparison."""
    rating: float = 3.0
    """Of a score."""
    evaluation: float = 4.0
    """Of watching a clip and pressing good or bad."""
    critique: float = 10.0
    """Of marking a part and saying something of it."""
    correction: float = 12.0
    """Of finding a step and a better action there."""
    demonstration: float = 20.0
    """Of showing how it is done."""

    def __post_init__(self) -> None:
        for kind in FEEDBACK_KINDS:
            if not 0 < self.of(kind) < math.inf:
                raise ConfigError(f"kinds.seconds.{kind} must be > 0 and finite, got {self.of(kind)}")

    def of(self, kind: FeedbackKind) -> float:
        """Of one kind."""
        return getattr(self, kind)


@dataclass(frozen=True, kw_only=True)
class EnoughConfig:
    """When answers no longer change what is learned, so that nobody is asked any more."""

    bits_per_s: float = 0.002
    """The best question that there is says less than this a second; 0 to spend the whole budget."""
    rank: float = 0.98
    """And a new fit ranks the latest clips as the one before did: Spearman's correlation is at least so high."""
    num_fits: int = 3
    """Both in so many fits in a row."""

    def __post_init__(self) -> None:
        if not 0 <= self.bits_per_s < math.inf:
            raise ConfigError(f"kinds.enough.bits_per_s must be >= 0 and finite, got {self.bits_per_s}")
        if not -1 <= self.rank <= 1:
            raise ConfigError(f"kinds.enough.rank must be -1 to 1, got {self.rank}")
        if self.num_fits < 1:
            raise ConfigError(f"kinds.enough.num_fits must be >= 1, got {self.num_fits}")


@dataclass(frozen=True, kw_only=True)
class KindsConfig:
    """How the reward is learned from every kind of answer."""

    schedule: LabelSchedule
    """How many seconds of people's time are asked for, and when: a budget in seconds."""
    teacher: KindsTeacherConfig | Literal["people"]
    """Who answers: simulated people, or people and programs through the store."""
    kinds: tuple[FeedbackKind, ...] = ("preference", "rating", "evaluation", "critique")
    """What may be asked. `correction` needs a reward of observation and action alone, as nobody knows what would have
    come of a better action."""
    asking: Asking = "information"
    """How questions are chosen among the candidates: by what their answers are expected to say a second, or kinds in
    turn and clips by chance."""
    segment_length: int = 50
    """Steps of a clip."""
    num_candidates: int = 10
    """Candidate questions of each kind, drawn for each one that there is time to ask."""
    num_alternatives: int = 7
    """What a demonstration, or a better action, is taken to have been chosen from, beside the clip that is shown."""
    num_warmup_rollouts: int = 16
    """Rollouts of the untrained policy over which the first questions are spread, so that they cover whole episodes."""
    history_share: float = 0.5
    """Share of candidate comparisons in which one clip is an older one: it ties today's rewards to yesterday's."""
    refit_every: int = 10
    """The reward is fitted again after this many new answers."""
    restart_share: float | None = None
    """Share of the run at which a fresh policy takes over; None to keep the first. As for comparisons alone."""
    exploration: float = 0.0
    """Weight in the reward of how much the ensemble's members disagree on a step, as for comparisons alone."""
    seconds: AnswerSeconds = field(default_factory=AnswerSeconds)
    """How long answers are taken to last, at first."""
    most_s: float = 120.0
    """A longer time counts as so much: somebody left the page open."""
    delay: Delay = field(default_factory=Delay)
    """How long after what it is meant for somebody presses good or bad, in seconds of watching."""
    enough: EnoughConfig = field(default_factory=EnoughConfig)
    """When to stop asking."""
    shows_view: bool = True
    """Whether who is asked what people find hard to judge may look at what the learned reward thinks of it."""
    counts_opened: bool = True
    """Whether the reward learns from answers that were given after such a look. Those that it does not learn from cost
    people's time all the same."""
    model: JointModelConfig = field(default_factory=JointModelConfig)
    """The learned reward."""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in FEEDBACK_KINDS:
                near = did_you_mean(str(kind), FEEDBACK_KINDS)
                raise ConfigError(f"kinds.kinds must be of {', '.join(FEEDBACK_KINDS)}, got {kind!r}.{near}")
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"kinds.kinds must name at least one kind, each once, got {self.kinds}")
        if self.asking not in get_args(Asking):
            raise ConfigError(f"kinds.asking must be one of {', '.join(get_args(Asking))}, got {self.asking!r}")
        if self.asking == "information" and self.model.reward.num_members < 2:
            raise ConfigError(
                "kinds.asking by information compares an ensemble's members: kinds.model.reward.num_members must be "
                f">= 2, got {self.model.reward.num_members}"
            )
        if "correction" in self.kinds and "next_observation" in self.model.reward.inputs:
            raise ConfigError(
                "a correction says nothing of a reward of what comes of an action: leave next_observation out of "
                "kinds.model.reward.inputs, or correction out of kinds.kinds"
            )
        if not self.counts_opened and (self.teacher != "people" or not self.shows_view):
            why = "simulated people open none" if self.teacher != "people" else "kinds.shows_view is false"
            raise ConfigError(
                f"kinds.counts_opened is of answers after a model's view was opened, and {why}: set it to true"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not 0 <= self.history_share <= 1:
            raise ConfigError(f"kinds.history_share must be between 0 and 1, got {self.history_share}")
        if not 0 <= self.exploration < math.inf:
            raise ConfigError(f"kinds.exploration must be >= 0 and finite, got {self.exploration}")
        if self.restart_share is not None and not 0 < self.restart_share < 1:
            raise ConfigError(f"kinds.restart_share must be above 0 and below 1, or None, got {self.restart_share}")
        if not 0 < self.most_s < math.inf:
            raise ConfigError(f"kinds.most_s must be > 0 and finite, got {self.most_s}")
        for name in ("segment_length", "num_candidates", "num_alternatives", "refit_every", "num_warmup_rollouts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"kinds.{name} must be >= 1, got {getattr(self, name)}")

    def expected_answers(self, budget_s: float) -> int:
        """About how many answers such a time is good for."""
        return max(1, round(budget_s * len(self.kinds) / sum(self.seconds.of(kind) for kind in self.kinds)))
