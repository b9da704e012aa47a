"""One reward fitted to every kind of answer: an ensemble of networks, each kind and person with noise of their own.

Jeon, Milli and Dragan 2020 (arXiv 2002.04833) call every kind a choice that is implicitly rational for the reward; so
it is here, with a likelihood for each (`noise`) over the same steps (`evidence`).
Shapes: M members, I items, B of them at once, R rows, E entries, J alternatives, F features, T steps, N environments.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.ops.answer_likelihoods import bits_of_answers, expected_bits
from heeler.rewards.joint.evidence import ITEM_KINDS, PICKS, Evidence, Item, ItemKind, spread
from heeler.rewards.joint.noise import Noise
from heeler.rewards.preference_model import PreferenceModelConfig, is_clearly_worse
from heeler.rewards.scaled import RewardScale
from heeler.rewards.step_features import StepFeatures, normalized

_PREFERENCE = ITEM_KINDS.index("preference")


@dataclass(frozen=True, kw_only=True)
class JointModelConfig:
    """Settings of a reward that is learned from every kind of answer."""

    reward: PreferenceModelConfig = field(default_factory=PreferenceModelConfig)
    """The networks and how they are fitted, as for comparisons alone; a minibatch is of answers of all kinds."""
    num_levels: int = 7
    """Levels that a rating's scale is read in."""
    person_spread: float = 0.5
    """Standard deviation of how precise people are, in logarithms."""
    noise_learning_rate: float = 0.02
    """Adam's step for precisions of kinds and people, and for a scale's cuts."""

    def __post_init__(self) -> None:
        if self.num_levels < 2:
            raise ConfigError(f"num_levels must be >= 2, got {self.num_levels}")
        for name in ("person_spread", "noise_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be > 0 and finite, got {getattr(self, name)}")


@dataclass(kw_only=True)
class JointModelState:
    """All that answers change."""

    network: EnsembleMLP
    noise: Noise
    moments: RunningMoments
    scale: RewardScale
    generator: torch.Generator
    evidence: Evidence
    people: list[str] = field(default_factory=list[str])
    """By their number in the evidence."""
    answers: list[str] = field(default_factory=list[str])
    """Key of the answer that each item is of."""
    bits: list[float] = field(default_factory=list[float])
    """What each item said when it came, in bits; NaN where nothing was fitted yet."""
    num_fits: int = 0
    last_fit: dict[str, float] = field(default_factory=dict[str, float])


class JointModel:
    """Learns what people want from all that they say.

    Args:
        config: settings.
        features: what is seen of a step.
    """

    def __init__(self, config: JointModelConfig, features: StepFeatures) -> None:
        self.config, self.features = config, features

    def init(self, seed: int) -> JointModelState:
        """An untrained ensemble that knows no answer; the same seed gives the same weights."""
        reward = self.config.reward
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = EnsembleMLP(reward.num_members, self.features.size, reward.hidden_sizes, reward.activation)
        return JointModelState(
            network=network,
            noise=Noise(self.config.num_levels, self.config.person_spread, reward.lapse),
            moments=RunningMoments(self.features.size),
            scale=RewardScale.neutral(reward.num_members),
            generator=torch.Generator().manual_seed(seed),
            evidence=Evidence.empty(self.features.size, reward.num_members),
        )

    def add(self, state: JointModelState, items: Sequence[Item]) -> JointModelState:
        """Take in items; marks of one answer are seen or left out together by each member.

        Raises:
            DataError: one of them cannot be read.
        """
        if not items:
            return state
        number = {person: place for place, person in enumerate(state.people)}
        for item in items:
            number.setdefault(item.person, len(number))
        keys = {item.answer: place for place, item in enumerate(items)}
        rate = torch.ones(self.config.reward.num_members, len(items))
        count_MI = torch.poisson(rate, generator=state.generator)[:, [keys[item.answer] for item in items]]
        count_MI = count_MI * ~torch.tensor([item.validation for item in items])
        first = len(state.evidence)
        state.evidence.append(items, [number[item.person] for item in items], count_MI)
        state.people = list(number)
        state.noise.meet(len(number))
        state.answers += [item.answer for item in items]
        state.bits += self._bits(state, first)
        return state

    def _bits(self, state: JointModelState, first: int) -> list[float]:
        """What each item since `first` says to the ensemble as it is."""
        items = torch.arange(first, len(state.evidence))
        if not state.num_fits:
            return [math.nan] * len(items)
        with torch.no_grad():
            return bits_of_answers(self._log_prob(state, state.evidence, self._normalized(state), items)).tolist()

    def without(self, state: JointModelState, gone: set[str], seed: int) -> JointModelState:
        """An untrained ensemble with the answers that are to stay, to be fitted again.

        Args:
            state: holds all of them.
            gone: keys of those that are not.
            seed: gives the weights.
        """
        fresh = self.init(seed)
        kept = [key not in gone for key in state.answers]
        fresh.generator, fresh.evidence = state.generator, state.evidence.only(torch.tensor(kept, dtype=torch.bool))
        # Whoever has no answer left is nobody that is known.
        known, fresh.evidence.person_I = torch.unique(fresh.evidence.person_I, return_inverse=True)
        fresh.people = [state.people[place] for place in known.tolist()]
        fresh.noise.meet(len(fresh.people))
        fresh.answers = [key for key, stays in zip(state.answers, kept, strict=True) if stays]
        fresh.bits = [bits for bits, stays in zip(state.bits, kept, strict=True) if stays]
        return fresh

    def fit(self, state: JointModelState) -> JointModelState:
        """Fit networks and noise to all answers so far, going on from what they are.

        Raises:
            DataError: there is no answer to learn from.
        """
        reward, evidence = self.config.reward, state.evidence
        train = torch.nonzero(~evidence.validation_I).squeeze(1)
        if not len(train):
            raise DataError("there is no answer to fit the reward to; answer some first, or lower validation_share")
        state.moments = RunningMoments(self.features.size)
        state.moments.update(evidence.feature_PF)
        state.noise.measure(evidence.mean_weight_K())
        feature_PF = self._normalized(state)
        weights, noise = FlatParameters(state.network), FlatParameters(state.noise)
        steps = (
            Adam(weights.flat, learning_rate=reward.learning_rate, weight_decay=reward.weight_decay),
            Adam(noise.flat, learning_rate=self.config.noise_learning_rate),
        )
        judged = torch.nonzero(evidence.validation_I).squeeze(1) if evidence.validation_I.any() else train
        best_loss_B, best, waited, epoch = torch.full((len(judged),), math.inf), _weights(state), 0, 0
        while epoch < reward.max_epochs and waited < reward.patience:
            epoch += 1
            for items in train[torch.randperm(len(train), generator=state.generator)].split(reward.minibatch_size):
                weights.zero_grad()
                noise.zero_grad()
                self._loss(state, feature_PF, items, len(train)).backward()
                for optimizer in steps:
                    optimizer.step()
            loss_B = self._ensemble_losses(state, feature_PF, judged)
            waited = waited + 1 if is_clearly_worse(loss_B, best_loss_B) else 0
            if loss_B.mean() < best_loss_B.mean():
                best_loss_B, best = loss_B, _weights(state)
        if waited == reward.patience:
            for module, kept in zip((state.network, state.noise), best, strict=True):
                module.load_state_dict(kept)
        state.num_fits += 1
        state.last_fit = self._evaluate(state, feature_PF) | {"epochs": float(epoch)}
        return state

    def _loss(self, state: JointModelState, feature_PF: Tensor, items: Tensor, num_train: int) -> Tensor:
        """Sum over members of what they find unlikely in an item on average, and of the prior's share of an item."""
        count_MB = state.evidence.count_MI[:, items]
        log_prob_MB = self._log_prob(state, state.evidence, feature_PF, items)
        unlikely = -(log_prob_MB * count_MB / count_MB.sum(1, keepdim=True).clamp_min(1)).sum()
        return unlikely + len(count_MB) * state.noise.surprise() / num_train

    @torch.no_grad()
    def _ensemble_losses(self, state: JointModelState, feature_PF: Tensor, items: Tensor) -> Tensor:
        """[B] minus the log of the members' mean probability."""
        log_prob_MB = self._log_prob(state, state.evidence, feature_PF, items)
        return math.log(len(log_prob_MB)) - log_prob_MB.logsumexp(0)

    def _log_prob(self, state: JointModelState, evidence: Evidence, feature_PF: Tensor, items: Tensor) -> Tensor:
        """[M, B] log-probability of what was answered, under each member."""
        log_prob_MB = torch.zeros(self.config.reward.num_members, len(items))
        for _, places, log_probs_Mn in self._outcomes(state, evidence, feature_PF, items):
            outcome_Mn1 = evidence.outcome_I[items[places]].expand(len(log_prob_MB), -1)[..., None]
            log_prob_MB = log_prob_MB.index_copy(1, places, log_probs_Mn.gather(-1, outcome_Mn1).squeeze(-1))
        return log_prob_MB

    def _outcomes(
        self, state: JointModelState, evidence: Evidence, feature_PF: Tensor, items: Tensor
    ) -> list[tuple[ItemKind, Tensor, Tensor]]:
        """Of each kind among the items: the kind, their places, and [M, n, outcomes] log-probabilities."""
        rows, item_R = spread(evidence.first_row_I[items], evidence.num_rows_I[items])
        entries, row_E = spread(evidence.first_entry_R[rows], evidence.num_entries_R[rows])
        raw_ME = state.network(feature_PF[evidence.step_E[entries]]) * evidence.weight_E[entries]
        value_MR = torch.zeros(len(raw_ME), len(rows)).index_add(1, row_E, raw_ME)
        first_B = torch.searchsorted(item_R, torch.arange(len(items)))
        number_B = evidence.num_rows_I[items]
        has_ties = bool(((evidence.kind_I == _PREFERENCE) & (evidence.outcome_I == 2)).any())
        found: list[tuple[ItemKind, Tensor, Tensor]] = []
        for place, kind in enumerate(ITEM_KINDS):
            places = torch.nonzero(evidence.kind_I[items] == place).squeeze(1)
            if len(places):
                widest = int(number_B[places].max()) if kind in PICKS else 1
                is_there_nJ = torch.arange(widest) < number_B[places, None]
                at_nJ = first_B[places, None] + torch.arange(widest) * is_there_nJ
                person_n = evidence.person_I[items[places]]
                log_probs = state.noise.log_probs(kind, value_MR[:, at_nJ], is_there_nJ, person_n, with_ties=has_ties)
                found.append((kind, places, log_probs))
        return found

    def _normalized(self, state: JointModelState) -> Tensor:
        return normalized(state.evidence.feature_PF, state.moments)

    @torch.no_grad()
    def _evaluate(self, state: JointModelState, feature_PF: Tensor) -> dict[str, float]:
        """Loss and share foretold of each kind, on what was trained on and what was not; and each kind's precision."""
        evidence, figures = state.evidence, dict[str, float]()
        for name, rows in (("train", ~evidence.validation_I), ("validation", evidence.validation_I)):
            items = torch.nonzero(rows).squeeze(1)
            if not len(items):
                continue
            loss_B = self._ensemble_losses(state, feature_PF, items)
            figures[f"{name}_loss"] = float(loss_B.mean())
            for kind, places, log_probs in self._outcomes(state, evidence, feature_PF, items):
                foretold = log_probs.exp().mean(0).argmax(-1) == evidence.outcome_I[items[places]]
                figures[f"{name}_loss_{kind}"] = float(loss_B[places].mean())
                figures[f"{name}_accuracy_{kind}"] = float(foretold.float().mean())
                figures[f"{name}_number_{kind}"] = float(len(places))
                figures[f"precision_{kind}"] = state.noise.precision(kind)
        return figures

    @torch.no_grad()
    def expected_bits(self, state: JointModelState, questions: Sequence[Item]) -> np.ndarray:
        """[Q] what the answer to each question will say on average, in bits; its outcome is not looked at.

        Args:
            state: fitted.
            questions: as items; the person is one who is known, or anybody.
        """
        asked = Evidence.empty(self.features.size, self.config.reward.num_members)
        number = {person: place for place, person in enumerate(state.people)}
        anybody = len(number)
        state.noise.meet(anybody + 1)
        people = [number.get(question.person, anybody) for question in questions]
        asked.append(questions, people, torch.zeros(self.config.reward.num_members, len(questions)))
        state.noise.measure(asked.mean_weight_K())
        bits = np.zeros(len(questions))
        feature_PF, items = normalized(asked.feature_PF, state.moments), torch.arange(len(questions))
        for _, places, log_probs in self._outcomes(state, asked, feature_PF, items):
            bits[places.numpy()] = expected_bits(log_probs).numpy()
        return bits

    def held_out_gains(self, state: JointModelState, seed: int) -> dict[ItemKind, float]:
        """What each kind of answer is worth: bits by which answers of the other kinds that were kept from training are
        foretold better, each on average, than by a reward that is fitted without that kind.

        Raises:
            DataError: nothing was kept from training, or there is one kind alone.
        """
        evidence = state.evidence
        kinds = sorted(set(evidence.kind_I.tolist()))
        if len(kinds) < 2 or not evidence.validation_I.any():
            raise DataError("what a kind is worth shows on held-out answers of other kinds, and there are none")
        gains: dict[ItemKind, float] = {}
        for place in kinds:
            judged = torch.nonzero(evidence.validation_I & (evidence.kind_I != place)).squeeze(1)
            if len(judged):
                losses = [self._refitted_loss(state, leave, judged, seed) for leave in (None, place)]
                gains[ITEM_KINDS[place]] = (losses[1] - losses[0]) / math.log(2)
        return gains

    def _refitted_loss(self, state: JointModelState, leave: int | None, judged: Tensor, seed: int) -> float:
        """Mean loss on some items of a fresh reward, fitted without items of a kind that were trained on."""
        gone = (state.evidence.kind_I == leave) & ~state.evidence.validation_I if leave is not None else None
        fresh = self.init(seed)
        kept = torch.ones(len(state.evidence), dtype=torch.bool) if gone is None else ~gone
        fresh.evidence, fresh.people = state.evidence.only(kept), state.people
        fresh.noise.meet(len(fresh.people))
        fresh = self.fit(fresh)
        places = (kept.cumsum(0) - 1)[judged]
        return float(self._ensemble_losses(fresh, self._normalized(fresh), places).mean())

    @torch.no_grad()
    def predict(self, state: JointModelState, rollout: Rollout) -> Tensor:
        """[M, T, N]: every member's raw prediction for every step."""
        feature = self.features(rollout.observation[:-1], rollout.executed, rollout.next_observation)
        raw_MB = state.network(normalized(feature, state.moments).flatten(0, 1))
        return raw_MB.unflatten(1, feature.shape[:2])

    @torch.no_grad()
    def step_rewards(self, state: JointModelState, segment: Segment) -> Tensor:
        """[M, L]: every member's raw prediction for every step of a segment of L steps."""
        feature = self.features(segment.observation, segment.action, segment.next_observation)
        return state.network(normalized(feature, state.moments))

    @torch.no_grad()
    def segment_returns(self, state: JointModelState, segments: Sequence[Segment]) -> Tensor:
        """[M, K]: every member's raw return of each of K segments, which may differ in length."""
        feature = [self.features(each.observation, each.action, each.next_observation) for each in segments]
        raw_MP = state.network(normalized(torch.cat(feature), state.moments))
        owner_P = torch.repeat_interleave(torch.arange(len(segments)), torch.tensor([len(each) for each in feature]))
        return torch.zeros(len(raw_MP), len(segments)).index_add(1, owner_P, raw_MP)

    @staticmethod
    def bits_by_kind(state: JointModelState) -> dict[ItemKind, float]:
        """What all answers of each kind said when they came, in bits; those before the first fit count for nothing."""
        bits = np.nan_to_num(np.array(state.bits))
        kind_I = state.evidence.kind_I.numpy()
        return {ITEM_KINDS[place]: float(bits[kind_I == place].sum()) for place in np.unique(kind_I)}

    def precision_of_people(self, state: JointModelState) -> dict[str, float]:
        """How precise each person is; 1 is usual."""
        return dict(zip(state.people, state.noise.log_precision_P.detach().exp().tolist(), strict=False))

    def not_finite(self, state: JointModelState) -> list[str]:
        """What has stopped being a finite number in the last fit, in words; empty while all is well."""
        broken = [name.replace("_", " ") for name, value in state.last_fit.items() if not math.isfinite(value)]
        modules = (("a weight of the reward model", state.network), ("a precision of answers", state.noise))
        return broken + [name for name, each in modules if not all(p.isfinite().all() for p in each.parameters())]

    def tensors(self, state: JointModelState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        parts: dict[str, Mapping[str, Any]] = {
            "network": state.network.state_dict(),
            "noise": state.noise.state_dict(),
            "moments": state.moments.tensors(),
            "scale": vars(state.scale),
            "evidence": state.evidence.tensors(),
        }
        kept = {f"{part}.{name}": tensor.detach() for part, own in parts.items() for name, tensor in own.items()}
        return kept | {"generator": state.generator.get_state()}

    def load_tensors(
        self, state: JointModelState, tensors: dict[str, Tensor], told: Mapping[str, Any]
    ) -> JointModelState:
        """Go on from what `tensors` and `told` returned."""
        state.people, state.answers = list(told["people"]), list(told["answers"])
        state.bits = [math.nan if bits is None else bits for bits in told["bits"]]
        state.num_fits, state.last_fit = told["num_fits"], dict(told["last_fit"])
        state.noise.meet(len(tensors["noise.lenient_P"]))
        state.network.load_state_dict(under("network.", tensors))
        state.noise.load_state_dict(under("noise.", tensors))
        state.moments.load_tensors(under("moments.", tensors))
        state.scale = RewardScale(**under("scale.", tensors))
        state.evidence = Evidence(**under("evidence.", tensors))
        state.generator.set_state(tensors["generator"])
        return state

    @staticmethod
    def told(state: JointModelState) -> dict[str, Any]:
        """What a checkpoint keeps beside tensors, JSON-ready."""
        bits = [None if math.isnan(one) else one for one in state.bits]
        names = ("people", "answers", "num_fits", "last_fit")
        return {name: getattr(state, name) for name in names} | {"bits": bits}


def _weights(state: JointModelState) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Copies of all that a fit learns."""
    copies = [
        {name: each.detach().clone() for name, each in m.state_dict().items()} for m in (state.network, state.noise)
    ]
    return copies[0], copies[1]
