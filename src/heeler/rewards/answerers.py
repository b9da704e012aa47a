"""How much a learned reward takes from each answer, by who gave it.

Two steps take turns. One takes the reward as it is, and works out the exact posterior of every person's reliability and
lean on a grid (`annotators.reliability`), from answers that the reward had not learned from: else it would have learned
by rote whatever a hostile person said, and find them right. The other takes people as they are found, and fits the
reward by gradient to the likelihood that they so answer. The likelihood is linear in reliability, so that its posterior
mean is all that the second step needs; gradients of reliabilities beside the network's would be as cheap, but would
leave a point for each person, without a prior's pull for somebody with three answers, and stuck where it began.

Shapes: Q comparisons that the reward learns from, N answers (those, then those that say nothing), B some rows, F
features.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.influence import capped_weights
from heeler.feedback.annotators.reliability import Reliability, ReliabilityConfig, reliability
from heeler.feedback.annotators.verdicts import Judged, VerdictConfig, judge


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """What is done where people change what they want."""

    error_rate: float = 0.01
    """Probability of seeing a change in a whole run in which there is none, of all people and of single ones each."""
    old_weight: float = 0.05
    """What an answer from before the last change weighs after it; 1 as any other, 0 nothing. Nothing is weighed down
    before a change was noticed."""

    def __post_init__(self) -> None:
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"people.drift.error_rate must be above 0 and below 0.5, got {self.error_rate}")
        if not 0 <= self.old_weight <= 1:
            raise ConfigError(f"people.drift.old_weight must be between 0 and 1, got {self.old_weight}")


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """How who answers is taken into account."""

    reliability: ReliabilityConfig = field(default_factory=ReliabilityConfig)
    """What is believed of a person before they answer."""
    verdicts: VerdictConfig = field(default_factory=VerdictConfig)
    """When somebody is called what."""
    influence_cap: float = 0.2
    """Largest share of all weight that any one person has, and any group who collude: 1 for no cap. Where fewer than
    1 / influence_cap people answer, nobody weighs more than the others."""
    suspect_weight: float = 0.25
    """What an answer of somebody spamming, colluding or poisoning weighs, beside the cap; 1 as any other, 0 nothing."""
    num_rounds: int = 3
    """Turns of people and reward at the first fit; later fits go on from what is known, and need one."""
    drift: DriftConfig | None = field(default_factory=DriftConfig)
    """What is done where people change what they want; None to look for no change."""

    def __post_init__(self) -> None:
        if not 0 < self.influence_cap <= 1:
            raise ConfigError(f"people.influence_cap must be above 0 and at most 1, got {self.influence_cap}")
        if not 0 <= self.suspect_weight <= 1:
            raise ConfigError(f"people.suspect_weight must be between 0 and 1, got {self.suspect_weight}")
        if self.num_rounds < 1:
            raise ConfigError(f"people.num_rounds must be >= 1, got {self.num_rounds}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Margins:
    """How sure a reward is of each comparison."""

    value_Q: np.ndarray
    """Log-odds of left: by the members that did not learn from the comparison, else by all."""
    is_unseen_Q: np.ndarray
    """Whether any member did not learn from it, so that it says something of who answered."""
    is_fitted: bool
    """Whether the reward was fitted at all; else all is 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answerers:
    """What a fit takes of each comparison's answer."""

    reliability_Q: Tensor
    lean_Q: Tensor
    looked_Q: Tensor
    weight_Q: Tensor

    def rows(self, rows_B: Tensor) -> "Answerers":
        """Those of some comparisons."""
        return Answerers(
            reliability_Q=self.reliability_Q[rows_B],
            lean_Q=self.lean_Q[rows_B],
            looked_Q=self.looked_Q[rows_B],
            weight_Q=self.weight_Q[rows_B],
        )

    def share_B(self, rows_B: Tensor, *, among: Tensor) -> Tensor:
        """What each row counts for in the mean over a batch, so that over all batches the weights are as they are."""
        usual = self.weight_Q[among].mean().clamp_min(1e-6)
        return self.weight_Q[rows_B] / (usual * len(rows_B))


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """What was found of people, and what their answers count for."""

    answerers: Answerers
    people: Reliability
    judged: Judged | None
    """None before there is a reward to judge by."""
    margins: Margins
    """That their answers were held against."""


def weigh(
    answers: Answers,
    margins: Margins,
    config: PeopleConfig,
    *,
    gold_N: np.ndarray | None = None,
    feature_QF: np.ndarray | None = None,
    forgotten_Q: np.ndarray | None = None,
    since_N: np.ndarray | None = None,
) -> Weighed:
    """Work out who is who, and what each answer counts for.

    Args:
        answers: N, those that the reward learns from first.
        margins: of those, by the reward as it is.
        config: settings.
        gold_N: right outcomes, -1 where nobody knows.
        feature_QF: of the left less the right, along which somebody may push.
        forgotten_Q: what of each answer's weight is left after a drift, 1 where there was none.
        since_N: whether each answer still tells of the person who gave it, who may have changed since.
    """
    num = len(margins.value_Q)
    silent = len(answers) - num
    margin_N = np.concatenate([margins.value_Q, np.zeros(silent)])
    told_N = np.concatenate([margins.is_unseen_Q, np.zeros(silent, bool)])
    told_N = (told_N | (np.zeros(len(answers), bool) if gold_N is None else gold_N >= 0)).astype(np.float64)
    if since_N is not None:
        told_N = told_N * since_N
    people = reliability(answers, margin_N, config.reliability, gold_N=gold_N, told_N=told_N, fits_scale=True)
    judged: Judged | None = None
    if margins.is_fitted:
        shown_NF = None if feature_QF is None else np.concatenate([feature_QF, np.zeros((silent, feature_QF.shape[1]))])
        judged = judge(answers, margin_N, people, config.verdicts, feature_NF=shown_NF, since_N=since_N)
    answerers = _answerers(answers, people, judged, config, num, forgotten_Q)
    return Weighed(answerers=answerers, people=people, judged=judged, margins=margins)


def _answerers(
    answers: Answers,
    people: Reliability,
    judged: Judged | None,
    config: PeopleConfig,
    num: int,
    forgotten_Q: np.ndarray | None,
) -> Answerers:
    person_Q = answers.person_N[:num]
    eta_Q = people.mean_P[person_Q]
    suspect_P, as_one = np.ones(answers.num_people), tuple[tuple[int, ...], ...]()
    if judged is not None:
        suspect_P = np.array([config.suspect_weight if one.is_suspect else 1.0 for one in judged.people])
        as_one = judged.as_one
    weight_Q = suspect_P[person_Q] * (1.0 if forgotten_Q is None else forgotten_Q)
    # By how much people say, not by how much can be learned of it: else two who are reliable would be held down to what
    # a crowd of coins says. Hostile and careless answers move little by their likelihood itself.
    weight_Q = capped_weights(weight_Q, person_Q, answers.num_people, config.influence_cap, as_one)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32))

    return Answerers(
        reliability_Q=tensor(np.clip(eta_Q, 1e-3, 1 - 1e-3)),
        lean_Q=tensor(people.lean_P[person_Q]),
        looked_Q=tensor(people.looked_N[:num]),
        weight_Q=tensor(weight_Q),
    )
