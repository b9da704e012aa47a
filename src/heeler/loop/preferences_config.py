"""How a run learns its reward from comparisons."""

import math
from dataclasses import dataclass, field
from typing import Literal

from heeler.core.errors import ConfigError, did_you_mean
from heeler.feedback.acquisition import ACQUISITIONS, NEEDS_ENSEMBLE
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.teachers import TeacherConfig
from heeler.rewards.answerers import PeopleConfig
from heeler.rewards.group_rewards import GroupingConfig
from heeler.rewards.preference_model import PreferenceModelConfig


@dataclass(frozen=True, kw_only=True)
class PreferencesConfig:
    """How the reward is learned from comparisons."""

    schedule: LabelSchedule
    """How many comparisons are asked for, and when."""
    teacher: TeacherConfig | ControlCrowdConfig | Literal["people"]
    """Who answers: a simulated teacher, a simulated crowd, or people and programs through the store."""
    people: PeopleConfig | None = None
    """How it is taken into account who answers, and who of them can be trusted; `{}` for the usual way. None takes
    everybody at their word, and of each question the first answer alone."""
    groups: GroupingConfig | None = None
    """What is done where people honestly want different things; `{}` for the usual way. None learns one reward, in
    which the larger group counts for more. It goes with `people`."""
    held_out_people: float = 0.0
    """Share of those who answer whose answers the reward never learns from, so that it can be held against them
    (`heeler honesty`). Their ids choose them. Others are asked in place of what they answer, beyond the budget."""
    segment_length: int = 50
    """Steps of each of the two clips that are compared."""
    acquisition: str = "disagreement"
    """How the pairs worth asking about are chosen among the candidates."""
    num_candidates: int = 10
    """Candidate pairs drawn for each one asked."""
    num_warmup_rollouts: int = 16
    """Rollouts of the untrained policy over which the first questions are spread, so that they cover whole episodes."""
    history_share: float = 0.5
    """Share of candidate pairs in which one clip is an older one: it ties today's rewards to yesterday's."""
    refit_every: int = 25
    """The reward is fitted again after this many new answers."""
    restart_share: float | None = None
    """Share of the run at which a fresh policy takes over, to learn from the reward as it is by then; None to keep the
    first. What a policy settles on while the reward is young it seldom leaves, however right the reward becomes (the
    primacy bias of Nikishin et al. 2022, arXiv 2205.07802). Learning rate and exploration begin anew with it."""
    exploration: float = 0.0
    """Weight in the reward of how much the ensemble's members disagree on a step, when a policy begins; it falls
    linearly to nothing by the schedule's `finish_share` of that policy's updates. Draws the policy to what answers
    would teach most about, away from what it happens to do already (Liang et al. 2022, arXiv 2205.12401; the decline
    there is exponential)."""
    model: PreferenceModelConfig = field(default_factory=PreferenceModelConfig)
    """The learned reward."""

    def __post_init__(self) -> None:
        if self.acquisition not in ACQUISITIONS:
            known = ", ".join(ACQUISITIONS)
            near = did_you_mean(self.acquisition, ACQUISITIONS)
            raise ConfigError(f"acquisition must be one of {known}, got {self.acquisition!r}.{near}")
        if self.acquisition in NEEDS_ENSEMBLE and self.model.num_members < 2:
            raise ConfigError(
                f"acquisition {self.acquisition!r} compares an ensemble's members: model.num_members must be >= 2, "
                f"got {self.model.num_members}"
            )
        if self.people is not None and isinstance(self.teacher, TeacherConfig):
            raise ConfigError(
                "people would tell nothing, as one simulated teacher answers: set it to None, or teacher to a crowd"
            )
        if self.groups is not None and self.people is None:
            raise ConfigError(
                "groups are told from who answers, which is not taken into account: set people, or groups to None"
            )
        crowd = self.teacher.num_people if isinstance(self.teacher, ControlCrowdConfig) else math.inf
        if self.groups is not None and crowd < 2 * self.groups.min_people:
            raise ConfigError(
                f"groups.min_people must be at most half of teacher.num_people ({crowd}), as there cannot be two "
                f"groups else; got {self.groups.min_people}"
            )
        if not 0 <= self.held_out_people <= 0.5:
            raise ConfigError(f"held_out_people must be a share from 0 to 0.5, got {self.held_out_people}")
        if self.held_out_people and isinstance(self.teacher, TeacherConfig):
            raise ConfigError(
                "held_out_people would hold out everybody or nobody, as one simulated teacher answers: set it to 0, or "
                "teacher to a crowd or people"
            )
        if not 0 <= self.history_share <= 1:
            raise ConfigError(f"history_share must be between 0 and 1, got {self.history_share}")
        if not 0 <= self.exploration < math.inf:
            raise ConfigError(f"exploration must be >= 0 and finite, got {self.exploration}")
        if self.restart_share is not None and not 0 < self.restart_share < 1:
            raise ConfigError(f"restart_share must be above 0 and below 1, or None, got {self.restart_share}")
        if self.exploration and self.model.num_members < 2:
            raise ConfigError(
                "exploration pays for disagreement among an ensemble's members: model.num_members must be >= 2, "
                f"got {self.model.num_members}"
            )
        for name in ("segment_length", "num_candidates", "refit_every", "num_warmup_rollouts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
