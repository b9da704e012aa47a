"""A reward learned from comparisons: an ensemble fitted in one batched pass (Christiano et al. 2017, arXiv 1706.03741).

Shapes: M members, Q comparisons, L steps of a segment, F features of a step, T steps, N environments.
"""

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.core.nouns import PreferenceChoice, Segment
from heeler.core.rollout import Rollout
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.models.policy import Activation
from heeler.ops.preferences import choice_log_probs, expected_calibration_error, person_choice_log_probs
from heeler.rewards.answerers import Answerers
from heeler.rewards.scaled import RewardScale
from heeler.rewards.step_features import StepFeatures, StepInput, normalized

# What a processor's cache holds: in two halves, a fit to 700 comparisons took a fifth longer.
_ROWS_AT_ONCE = 64
_OUTCOME: dict[PreferenceChoice, int] = {"left": 0, "right": 1, "equal": 2}


@dataclass(frozen=True, kw_only=True)
class PreferenceModelConfig:
    """Settings of the learned reward."""

    num_members: int = 3
    """Networks in the ensemble; each sees its own bootstrap sample of the comparisons."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    activation: Activation = "silu"
    """Non-linearity of the hidden layers."""
    inputs: tuple[StepInput, ...] = ("observation", "action")
    """What of a step the reward depends on."""
    observation_columns: tuple[int, ...] | None = None
    """Which numbers of an observation the reward depends on, by index; None for all. The fewer, the fewer answers it
    takes to learn the reward: name those that people judge by."""
    learning_rate: float = 1e-3
    """Adam's step."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    minibatch_size: int = 64
    """Comparisons in one gradient step."""
    max_epochs: int = 30
    """Most passes over the comparisons in one fit."""
    patience: int = 5
    """A fit goes back to its best weights after this many passes in a row whose validation loss was clearly worse: by
    more than a standard error of the difference, as on a few dozen answers of noisy people less means nothing."""
    lapse: float = 0.1
    """Share of answers taken to be random."""
    validation_share: float = 0.1
    """Share of trajectories whose comparisons are kept from training, for early stopping and the figures shown."""
    pessimism: float = 0.0
    """How many of the members' standard deviations, less their mean over the steps, are taken off the reward."""

    def __post_init__(self) -> None:
        if not 0 <= self.lapse < 1:
            raise ConfigError(f"lapse must be at least 0 and below 1, got {self.lapse}")
        if not 0 <= self.validation_share < 0.5:
            raise ConfigError(f"validation_share must be at least 0 and below 0.5, got {self.validation_share}")
        if not self.inputs or not set(self.inputs) <= {"observation", "action", "next_observation"}:
            raise ConfigError(f"inputs must name observation, action or next_observation, got {self.inputs}")
        if self.activation not in get_args(Activation):
            raise ConfigError(f"activation must be one of {', '.join(get_args(Activation))}, got {self.activation!r}")
        if self.observation_columns is not None and len(set(self.observation_columns)) < max(
            1, len(self.observation_columns)
        ):
            raise ConfigError(f"observation_columns must be different indices, got {self.observation_columns}")
        if any(size < 1 for size in self.hidden_sizes):
            raise ConfigError(f"hidden_sizes must be positive numbers, got {self.hidden_sizes}")
        for name in ("num_members", "learning_rate", "minibatch_size", "max_epochs", "patience"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("weight_decay", "pessimism"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.pessimism and self.num_members < 2:
            raise ConfigError(
                "pessimism charges for disagreement among an ensemble's members: num_members must be >= 2, "
                f"got {self.num_members}; add members, or set pessimism to 0"
            )


@cache
def is_validation(trajectory_id: str, share: float) -> bool:
    """Whether a trajectory's comparisons are kept for validation: fixed by its name alone, so made once and kept."""
    digest = hashlib.sha256(trajectory_id.encode()).digest()
    return int.from_bytes(digest[:8], "little") < share * 2**64


@dataclass
class Comparisons:
    """All comparisons so far, as features. Grows by `append`."""

    feature_Q2LF: Tensor
    outcome_Q: Tensor
    """0 left, 1 right, 2 equal."""
    weight_MQ: Tensor
    """How often each member sees each comparison: a Poisson bootstrap; zero on validation rows."""
    validation_Q: Tensor


@dataclass(kw_only=True)
class PreferenceModelState(RewardScale):
    """All that fitting changes, and the scale of what comes of it."""

    network: EnsembleMLP
    parameters: FlatParameters
    optimizer: Adam
    log_tie: Tensor
    tie_optimizer: Adam
    feature_moments: RunningMoments
    generator: torch.Generator
    comparisons: Comparisons | None = None
    num_fits: int = 0
    last_fit: dict[str, float] = field(default_factory=dict)
    reliability: list[list[float]] = field(default_factory=list)


class PreferenceModel:
    """Learns which behaviour people prefer, and turns steps into rewards.

    Args:
        config: settings.
        observation_size: numbers in an observation.
        action_size: numbers in an action of a segment or rollout.
        num_choices: choices of each Discrete action component; empty for Box actions.
    """

    def __init__(
        self, config: PreferenceModelConfig, observation_size: int, action_size: int, num_choices: tuple[int, ...] = ()
    ) -> None:
        self.config = config
        self.features = StepFeatures(
            config.inputs, config.observation_columns, observation_size, action_size, num_choices
        )
        """[..., F]: what the networks see of each step, before normalisation."""
        self.num_features = self.features.size
        # Threads of our own, not torch's: those wait by spinning, so that two runs on two cores would stop each other.
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reward")

    def init(self, seed: int) -> PreferenceModelState:
        """An untrained ensemble; the same seed gives the same weights."""
        config = self.config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = EnsembleMLP(config.num_members, self.num_features, config.hidden_sizes, config.activation)
        log_tie = torch.full((), -1.0, requires_grad=True)
        parameters = FlatParameters(network)
        neutral = RewardScale.neutral(config.num_members)
        return PreferenceModelState(
            **vars(neutral),
            network=network,
            parameters=parameters,
            optimizer=Adam(parameters.flat, learning_rate=config.learning_rate, weight_decay=config.weight_decay),
            log_tie=log_tie,
            tie_optimizer=Adam(log_tie, learning_rate=config.learning_rate),
            feature_moments=RunningMoments(self.num_features),
            generator=torch.Generator().manual_seed(seed),
        )

    def add(
        self,
        state: PreferenceModelState,
        pairs: Sequence[tuple[Segment, Segment]],
        choices: Sequence[PreferenceChoice],
    ) -> PreferenceModelState:
        """Take in answered comparisons ("can't tell" is not one).

        A comparison is kept for validation where either of its trajectories is, so that none of those is trained on.

        Raises:
            DataError: a choice says nothing, or segments of one state differ in length.
        """
        if not pairs:
            return state
        self._check(state, pairs, choices)
        feature = torch.stack([torch.stack([self._segment_features(s) for s in pair]) for pair in pairs])
        share = self.config.validation_share
        validation = torch.tensor([any(is_validation(s.trajectory_id, share) for s in pair) for pair in pairs])
        rate = torch.ones(self.config.num_members, len(pairs))
        weight = torch.poisson(rate, generator=state.generator) * ~validation
        outcome = torch.tensor([_OUTCOME[choice] for choice in choices])
        old = state.comparisons
        if old is None:
            state.comparisons = Comparisons(feature, outcome, weight, validation)
            return state
        state.comparisons = Comparisons(
            torch.cat([old.feature_Q2LF, feature]),
            torch.cat([old.outcome_Q, outcome]),
            torch.cat([old.weight_MQ, weight], 1),
            torch.cat([old.validation_Q, validation]),
        )
        return state

    @staticmethod
    def _check(
        state: PreferenceModelState, pairs: Sequence[tuple[Segment, Segment]], choices: Sequence[PreferenceChoice]
    ) -> None:
        for choice in choices:
            if choice not in _OUTCOME:
                raise DataError(f"a comparison must be answered by {', '.join(_OUTCOME)}, got {choice!r}; leave it out")
        # Longer segments would have larger returns for their length alone.
        expected = len(pairs[0][0]) if state.comparisons is None else state.comparisons.feature_Q2LF.shape[2]
        for segment in (segment for pair in pairs for segment in pair):
            if len(segment) != expected:
                raise DataError(f"segments must all have {expected} steps, got one of {len(segment)}")

    def _segment_features(self, segment: Segment) -> Tensor:
        return self.features(segment.observation, segment.action, segment.next_observation)

    def fit(
        self, state: PreferenceModelState, answerers: Answerers | None = None
    ) -> tuple[PreferenceModelState, dict[str, float]]:
        """Fit all members to all comparisons so far, going on from the weights they have.

        Args:
            state: holds the comparisons.
            answerers: how whoever gave each answer gives answers, and what it weighs; None takes all at their word.

        Returns:
            The state, and losses and accuracy on training and validation comparisons, calibration on the latter.

        Raises:
            DataError: when there is no comparison yet.
        """
        data = state.comparisons
        if data is None:
            raise DataError("there is no answered comparison to fit the reward to; answer some first")
        state.feature_moments = RunningMoments(self.num_features)
        state.feature_moments.update(data.feature_Q2LF.flatten(0, 2))
        feature = self._normalize(state, data.feature_Q2LF)
        train = torch.nonzero(~data.validation_Q).squeeze(1)
        judged_Q = data.validation_Q if data.validation_Q.any() else ~data.validation_Q
        best_loss, best, waited, num_epochs = torch.full((int(judged_Q.sum()),), math.inf), _copy(state), 0, 0
        while num_epochs < self.config.max_epochs and waited < self.config.patience:
            num_epochs += 1
            order = train[torch.randperm(len(train), generator=state.generator)]
            for rows in order.split(self.config.minibatch_size):
                self._step(state, feature, data, rows, answerers)
            loss = self._losses(state, feature, data, answerers)[0][judged_Q]
            waited = waited + 1 if is_clearly_worse(loss, best_loss) else 0
            if loss.mean() < best_loss.mean():
                best_loss, best = loss, _copy(state)
        if waited == self.config.patience:
            _restore(state, best)
        state.num_fits += 1
        state.last_fit = self._evaluate(state, feature, data, answerers) | {"epochs": float(num_epochs)}
        return state, state.last_fit

    def _step(
        self,
        state: PreferenceModelState,
        feature: Tensor,
        data: Comparisons,
        rows_B: Tensor,
        answerers: Answerers | None,
    ) -> None:
        weight_MB = data.weight_MQ[:, rows_B]
        if answerers is None:
            share_MB = weight_MB / weight_MB.sum(1, keepdim=True).clamp_min(1)
        else:
            share_MB = weight_MB * answerers.share_B(rows_B, among=~data.validation_Q)
        state.parameters.zero_grad()
        state.log_tie.grad = None
        halves = zip(rows_B.tensor_split(2), share_MB.tensor_split(2, 1), strict=True)
        # Both add to one gradient. Whichever is first, the sum of two numbers is the same, bit for bit.
        list(self._threads.map(lambda half: self._differentiate(state, feature, data, answerers, *half), halves))
        state.optimizer.step()
        state.tie_optimizer.step()

    def _differentiate(
        self,
        state: PreferenceModelState,
        feature: Tensor,
        data: Comparisons,
        answerers: Answerers | None,
        rows_B: Tensor,
        share_MB: Tensor,
    ) -> None:
        """Add the gradient of these comparisons' loss; `share_MB` is what each counts for in a member's mean."""
        outcome_MB1 = data.outcome_Q[rows_B].expand(len(share_MB), -1)[..., None]
        of_rows = None if answerers is None else answerers.rows(rows_B)
        log_prob_MB = self._outcome_log_probs(state, feature[rows_B], of_rows).gather(-1, outcome_MB1).squeeze(-1)
        (-(log_prob_MB * share_MB).sum()).backward()

    def _outcome_log_probs(
        self, state: PreferenceModelState, feature_B2LF: Tensor, answerers: Answerers | None = None
    ) -> Tensor:
        advantage_MB = self._advantages(state, feature_B2LF)
        log_tie = state.log_tie if self._has_ties(state) else None
        if answerers is None:
            return choice_log_probs(advantage_MB, log_tie=log_tie, lapse=self.config.lapse)
        return person_choice_log_probs(
            advantage_MB,
            reliability=answerers.reliability_Q,
            lean=answerers.lean_Q,
            looked=answerers.looked_Q,
            log_tie=log_tie,
            lapse=self.config.lapse,
        )

    @staticmethod
    def _advantages(state: PreferenceModelState, feature_B2LF: Tensor) -> Tensor:
        return_MB2 = state.network(feature_B2LF.flatten(0, 2)).unflatten(1, feature_B2LF.shape[:3]).sum(-1)
        return return_MB2[..., 0] - return_MB2[..., 1]

    @torch.no_grad()
    def advantages(self, state: PreferenceModelState) -> Tensor:
        """[M, Q]: how much better every member finds the left of each comparison, in log-odds."""
        assert state.comparisons is not None
        feature = self._normalize(state, state.comparisons.feature_Q2LF)
        judge = torch.no_grad()(lambda rows: self._advantages(state, rows))
        return torch.cat(list(self._threads.map(judge, feature.split(_ROWS_AT_ONCE))), 1)

    @staticmethod
    def _has_ties(state: PreferenceModelState) -> bool:
        # "Equal" becomes an outcome once somebody has answered it; before, its probability would only blunt the rest.
        return state.comparisons is not None and bool((state.comparisons.outcome_Q == 2).any())

    def tie_weight(self, state: PreferenceModelState) -> float:
        """Davidson's ν, the weight of "equal"; 0 before anybody answered it."""
        return state.log_tie.detach().double().exp().item() if self._has_ties(state) else 0.0

    def not_finite(self, state: PreferenceModelState) -> list[str]:
        """What has stopped being a finite number in the last fit, in words; empty while all is well."""
        broken = [name.replace("_", " ") for name, value in state.last_fit.items() if not math.isfinite(value)]
        if not (state.parameters.flat.isfinite().all() and math.isfinite(self.tie_weight(state))):
            broken.append("a weight of the reward model")
        return broken

    @torch.no_grad()
    def _losses(
        self, state: PreferenceModelState, feature: Tensor, data: Comparisons, answerers: Answerers | None = None
    ) -> tuple[Tensor, Tensor]:
        """[Q] loss of the ensemble on each comparison, and [Q] its probability of left among left and right."""
        parts = torch.arange(len(feature)).split(_ROWS_AT_ONCE)
        judge = torch.no_grad()(
            lambda rows: self._outcome_log_probs(
                state, feature[rows], None if answerers is None else answerers.rows(rows)
            )
        )
        log_prob_MQ3 = torch.cat(list(self._threads.map(judge, parts)), 1)
        # The log of the members' mean probability; in logs, so that a sure and wrong answer costs much, not infinity.
        log_prob_Q3 = log_prob_MQ3.logsumexp(0) - math.log(self.config.num_members)
        loss_Q = -log_prob_Q3.gather(1, data.outcome_Q[:, None]).squeeze(1)
        if answerers is not None:
            loss_Q = loss_Q * answerers.weight_Q
        return loss_Q, torch.sigmoid(log_prob_Q3[:, 0] - log_prob_Q3[:, 1])

    @torch.no_grad()
    def _evaluate(
        self, state: PreferenceModelState, feature: Tensor, data: Comparisons, answerers: Answerers | None = None
    ) -> dict[str, float]:
        loss_Q, left_Q = self._losses(state, feature, data, answerers)
        decided = data.outcome_Q < 2
        right_way = ((left_Q > 0.5) == (data.outcome_Q == 0)).float()
        figures: dict[str, float] = {}
        for name, rows in (("train", ~data.validation_Q), ("validation", data.validation_Q)):
            if rows.any():
                figures[f"{name}_loss"] = float(loss_Q[rows].mean())
            if (rows & decided).any():
                figures[f"{name}_accuracy"] = float(right_way[rows & decided].mean())
        # What was fitted is foretold more surely than anything else will be: it says nothing of calibration.
        shown = data.validation_Q & decided
        if shown.any():
            outcome = (data.outcome_Q[shown] == 0).float()
            figures["calibration_error"], table = expected_calibration_error(left_Q[shown], outcome)
            state.reliability = [row for row in table.tolist() if row[2] > 0]
        return figures

    def _normalize(self, state: PreferenceModelState, feature: Tensor) -> Tensor:
        return normalized(feature, state.feature_moments)

    def without(self, state: PreferenceModelState, kept: Sequence[bool], seed: int) -> PreferenceModelState:
        """An untrained ensemble with those of the comparisons that are to stay, to be fitted again.

        Args:
            state: holds all of them.
            kept: whether each is to stay, in the order in which they were added.
            seed: gives the weights.
        """
        fresh, data = self.init(seed), state.comparisons
        fresh.generator = state.generator
        if data is not None and any(kept):
            rows = torch.tensor(kept)
            fresh.comparisons = Comparisons(
                data.feature_Q2LF[rows], data.outcome_Q[rows], data.weight_MQ[:, rows], data.validation_Q[rows]
            )
        return fresh

    def tensors(self, state: PreferenceModelState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
        tensors |= {f"moments.{name}": tensor for name, tensor in state.feature_moments.tensors().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        tensors |= {f"tie_optimizer.{name}": tensor for name, tensor in state.tie_optimizer.tensors().items()}
        tensors |= {"log_tie": state.log_tie.detach(), "offset": state.offset_M, "scale": state.scale_M}
        tensors["level"] = state.level_M
        tensors["generator"] = state.generator.get_state()
        if state.comparisons is not None:
            tensors |= {f"comparisons.{name}": tensor for name, tensor in vars(state.comparisons).items()}
        return tensors

    def load_tensors(self, state: PreferenceModelState, tensors: dict[str, Tensor]) -> PreferenceModelState:
        """Go on from what `tensors` returned."""
        state.network.load_state_dict(under("network.", tensors))
        state.feature_moments.load_tensors(under("moments.", tensors))
        state.optimizer.load_tensors(under("optimizer.", tensors))
        state.tie_optimizer.load_tensors(under("tie_optimizer.", tensors))
        with torch.no_grad():
            state.log_tie.copy_(tensors["log_tie"])
        state.offset_M, state.scale_M, state.level_M = tensors["offset"], tensors["scale"], tensors["level"]
        state.generator.set_state(tensors["generator"])
        comparisons = under("comparisons.", tensors)
        state.comparisons = Comparisons(**comparisons) if comparisons else None
        return state

    @torch.no_grad()
    def predict(self, state: PreferenceModelState, rollout: Rollout) -> Tensor:
        """[M, T, N]: every member's raw prediction for every step. Nothing is cached: each call is a relabelling."""
        feature = self.features(rollout.observation[:-1], rollout.executed, rollout.next_observation)
        return state.network(self._normalize(state, feature).flatten(0, 1)).unflatten(1, feature.shape[:2])

    @torch.no_grad()
    def segment_returns(self, state: PreferenceModelState, segments: Sequence[Segment]) -> Tensor:
        """[M, K]: every member's raw return of each of K segments."""
        feature = self._normalize(state, torch.stack([self._segment_features(segment) for segment in segments]))
        return state.network(feature.flatten(0, 1)).unflatten(1, feature.shape[:2]).sum(-1)

    def of_features(self, state: PreferenceModelState, feature_BF: Tensor) -> Tensor:
        """[B]: the reward of steps given as `features` gives them, so that it can be asked what moves it."""
        raw_MB = state.network(self._normalize(state, feature_BF))
        return ((raw_MB - state.offset_M[:, None]) * state.scale_M[:, None]).mean(0)

    def calibrate(self, state: PreferenceModelState, raw_MTN: Tensor) -> PreferenceModelState:
        """Choose offset and scale so that each member's reward has mean 0 and spread 1 on these steps.

        Comparisons leave both free; fixing them anew after each fit keeps them from going stale.
        """
        state.calibrate(raw_MTN)
        return state

    def level(self, state: PreferenceModelState, raw_MTN: Tensor) -> float:
        """How much better these steps are than those of the last calibration, in spreads: what learning has gained."""
        return state.level(raw_MTN)

    def disagreement(self, state: PreferenceModelState, raw_MTN: Tensor) -> float | None:
        """How far the members are apart on these steps, on average and in spreads of the reward; None of one alone."""
        return state.disagreement(raw_MTN)

    def centre(self, state: PreferenceModelState, raw_MTN: Tensor) -> PreferenceModelState:
        """Move the offset so that these steps have mean 0, leaving the scale as it is.

        A drifting mean would reach the value function a hundredfold (1 / (1 - discount)) and drown what tells actions
        apart; and with a mean of 0 an episode's length earns nothing by itself.
        """
        state.centre(raw_MTN)
        return state

    def reward(self, state: PreferenceModelState, raw_MTN: Tensor, *, exploration: float = 0.0) -> np.ndarray:
        """[T, N]: the reward of each step, from what `predict` returned; its mean is that of the members.

        `exploration` pays for steps on which the members disagree more than on average, as `pessimism` charges for it.
        """
        return state.reward(raw_MTN, for_spread=exploration - self.config.pessimism)


def is_clearly_worse(loss_Q: Tensor, best_Q: Tensor) -> bool:
    """Whether losses on the same comparisons are higher by more than a standard error of the mean difference."""
    worse_Q = loss_Q - best_Q
    return bool(worse_Q.mean() > worse_Q.std(correction=0) / math.sqrt(len(worse_Q)))


def _copy(state: PreferenceModelState) -> tuple[dict[str, Tensor], Tensor]:
    """What a fit learns: the members' weights and the weight of a tie."""
    network = {name: tensor.detach().clone() for name, tensor in state.network.state_dict().items()}
    return network, state.log_tie.detach().clone()


def _restore(state: PreferenceModelState, copy: tuple[dict[str, Tensor], Tensor]) -> None:
    network, log_tie = copy
    state.network.load_state_dict(network)
    with torch.no_grad():
        state.log_tie.copy_(log_tie)
