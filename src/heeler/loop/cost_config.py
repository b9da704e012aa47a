"""Settings of a cost that is learned from answers."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from heeler.core.errors import ConfigError
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.unsafe import UnsafeKind, UnsafeTeacherConfig
from heeler.rewards.cost_model import CostModelConfig

CostAcquisition = Literal["uncertainty", "random"]


@dataclass(frozen=True, kw_only=True)
class UnsafeAnswersConfig:
    """How a cost is learned from those who say which clips were unsafe."""

    schedule: LabelSchedule
    """How many clips are asked about, and when."""
    teacher: UnsafeTeacherConfig | Literal["people"]
    """Who answers: a simulated teacher, or people and programs through the store."""
    kind: UnsafeKind = "evaluation"
    """How they answer: by a bad mark while they watch, or by a score in the lower half of a scale."""
    question: str = ""
    """What people are asked in words; empty for words that ask for anything unsafe. Name what is: a fall, a spill."""
    segment_length: int = 25
    """Steps of a clip. In a short one there is less to find the unsafe step among."""
    acquisition: CostAcquisition = "uncertainty"
    """How clips are chosen among the candidates: those whose answer is least foretold, or by chance."""
    num_candidates: int = 10
    """Candidates drawn for each clip asked about."""
    random_share: float = 0.3
    """Share of clips chosen by chance all the same: what is unsafe in a way that nobody has named looks sure."""
    num_warmup_rollouts: int = 8
    """Rollouts of the untrained policy over which the first questions are spread."""
    refit_every: int = 25
    """The cost is fitted again after this many new answers."""
    model: CostModelConfig = field(default_factory=CostModelConfig)
    """The learned cost."""

    def __post_init__(self) -> None:
        if self.acquisition not in get_args(CostAcquisition):
            known = ", ".join(get_args(CostAcquisition))
            raise ConfigError(f"limits.answers.acquisition must be one of {known}, got {self.acquisition!r}")
        if self.kind not in get_args(UnsafeKind):
            known = ", ".join(get_args(UnsafeKind))
            raise ConfigError(f"limits.answers.kind must be one of {known}, got {self.kind!r}")
        if not 0 <= self.random_share <= 1:
            raise ConfigError(f"limits.answers.random_share must be between 0 and 1, got {self.random_share}")
        for name in ("segment_length", "num_candidates", "num_warmup_rollouts", "refit_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"limits.answers.{name} must be >= 1, got {getattr(self, name)}")
