"""How a reward of texts is fitted to pairs: the linear part to the end at once, the trunk step by step.

Shapes: Q pairs, M members, F features of a trunk that does not learn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from heeler.core.errors import DataError, LearningError
from heeler.core.named import under
from heeler.core.seeding import stream
from heeler.core.text_data import TextPair
from heeler.feedback.datasets import fold_of, split
from heeler.models.language.weights import Weights
from heeler.models.ngrams import SparseRows
from heeler.ops.preference_losses import centring_penalty
from heeler.rewards.language_model import LanguageReward
from heeler.rewards.linear_preferences import Differences, differences, fit_ridge
from heeler.rewards.pair_tokens import PairTokens, pair_batches, pair_tokens
from heeler.rewards.reward_settings import RewardModelConfig
from heeler.rewards.trunk_features import beside

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel

# Batches among which pairs of like length are put together: so little is filled up, and batches still come by chance.
_BATCHES_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class RewardData:
    """Q pairs made ready to be learned from."""

    pairs: tuple[TextPair, ...]
    tokens: PairTokens | None
    """None without a trunk."""
    differences: Differences | None
    """What the linear part sees; None where there is none."""
    scale_F: Float[Tensor, " F"]
    """What each feature of the trunk was multiplied by in that."""
    target_Q: Float[Tensor, " Q"]
    """Probability that the chosen one is the better, as far as answers are trusted; 0.5 where neither is."""
    margin_Q: Float[Tensor, " Q"]
    """By how much it should lead."""
    weight_QM: Float[Tensor, "Q M"]
    """How often each member sees each pair; 0 on those kept for validation."""
    validation_Q: Bool[Tensor, " Q"]
    num_dropped: int = 0
    """Pairs left out as longer than the trunk's context."""
    num_truncated: int = 0
    """Pairs whose prompts were cut to fit."""

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass
class RewardState:
    """All that fitting changes."""

    reward: LanguageReward
    weights: Weights | None
    """Trunk and heads; None where no trunk learns."""
    seed: int
    foretold_Q: Float[Tensor, " Q"] | None = None
    """What the linear part says of each pair's lead when it has not learned from its prompt."""
    num_updates: int = 0


class RewardLearner:
    r"""Fits a `LanguageReward`. `init` makes a state; then come `fit_linear`, `update` as often as `num_updates` says,
    and `finish`, each of which returns the next state and what there is to know.

    Every part minimises the Bradley–Terry loss of each member on its bootstrap sample (Poisson weights c):

    $$-\frac{1}{\sum c} \sum_{q,m} c_{qm}
      \left[t_q \log\sigma(d_{qm} - \mu_q) + (1 - t_q) \log\sigma(\mu_q - d_{qm})\right]$$

    with d the lead of the chosen completion, μ its margin (Touvron et al. 2023, arXiv 2307.09288) and t less than 1 by
    `label_smoothing`, or 1/2 for equals. Where a trunk learns beside n-grams, it learns what the linear part leaves
    over: its lead is added to what the linear part says of a pair when it has not seen the pair's prompt.

    Args:
        config: settings.
    """

    def __init__(self, config: RewardModelConfig) -> None:
        self.config = config

    def init(self, trunk: "LanguageModel | None", seed: int) -> RewardState:
        """An untrained reward; `trunk` itself will be changed.

        Raises:
            ConfigError: there is nothing to learn from or with.
        """
        reward, weights = LanguageReward(self.config, trunk), None
        if trunk is not None and reward.head_MD is not None:
            generator = torch.Generator().manual_seed(seed)
            first = torch.randn(reward.head_MD.shape, generator=generator) / math.sqrt(trunk.hidden_size)
            reward.head_MD.data.copy_(first)
            weights = Weights([*trunk.trainable(), reward.head_MD], self.config.optimizer)
        return RewardState(reward=reward, weights=weights, seed=seed)

    def prepare(self, state: RewardState, pairs: Sequence[TextPair]) -> RewardData:
        """Make pairs ready to be learned from: the same pairs, in the same order, each time a run goes on.

        Raises:
            DataError: a pair does not fit into the trunk's context, or there are too few prompts.
        """
        config, trunk, tokens = self.config, state.reward.trunk, None
        if trunk is not None:
            tokens = pair_tokens(trunk, pairs, config.long_prompts)
            pairs = [pairs[number] for number in tokens.kept]
        rows, scale_F = self._linear_rows(state.reward, pairs, tokens)
        validation_Q = self._validation(pairs, state)
        right = 1 - config.label_smoothing
        return RewardData(
            pairs=tuple(pairs),
            tokens=tokens,
            differences=rows,
            scale_F=scale_F,
            target_Q=torch.tensor([0.5 if pair.is_equal else right for pair in pairs]),
            margin_Q=torch.tensor([config.margin_weight * pair.margin for pair in pairs]),
            weight_QM=self._weights(len(pairs), state.seed) * ~validation_Q[:, None],
            validation_Q=validation_Q,
            num_dropped=0 if tokens is None else tokens.num_dropped,
            num_truncated=0 if tokens is None else tokens.num_truncated,
        )

    def _linear_rows(
        self, reward: LanguageReward, pairs: Sequence[TextPair], tokens: PairTokens | None
    ) -> tuple[Differences | None, Float[Tensor, " F"]]:
        """What the linear part sees of chosen less rejected, and what the trunk's features were multiplied by."""
        texts = ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
        rows: list[SparseRows] | None = None
        if reward.ngrams is not None:
            reward.ngrams.fit([*texts[0], *texts[1]])
            rows = [reward.ngrams.rows(side) for side in texts]
        if reward.feature_weight_FM is None:
            return (None if rows is None else differences(*rows)), torch.zeros(0)
        assert tokens is not None
        feature_Q2F = reward.features_of_pairs(tokens)
        # Numbers of like size, all together as long as is asked for: a ridge treats all columns alike.
        size_F = (feature_Q2F[:, 0] - feature_Q2F[:, 1]).square().mean(0).sqrt()
        scale_F = torch.where(size_F > 1e-6 * size_F.max(), 1 / size_F, torch.zeros(())) / math.sqrt(len(size_F))
        if rows is not None:
            scale_F = scale_F * self.config.trunk_weight * math.sqrt(differences(*rows).mean_square)
        dense_Q2F = (feature_Q2F * scale_F).numpy()
        first = self.config.ngrams.num_buckets if self.config.ngrams is not None else 0
        beside_each = [
            beside(None if rows is None else rows[side], dense_Q2F[:, side], first_bucket=first) for side in (0, 1)
        ]
        return differences(*beside_each), scale_F

    def _validation(self, pairs: Sequence[TextPair], state: RewardState) -> Bool[Tensor, " Q"]:
        if self.config.validation_share == 0 or state.weights is None:
            return torch.zeros(len(pairs)).bool()
        share = self.config.validation_share
        held_out = {id(pair) for pair in split(pairs, held_out_share=share, seed=state.seed + 1)[1]}
        return torch.tensor([id(pair) in held_out for pair in pairs])

    def _weights(self, num_pairs: int, seed: int) -> Float[Tensor, "Q M"]:
        """A Poisson bootstrap; one member alone sees all."""
        if self.config.num_heads == 1:
            return torch.ones(num_pairs, 1)
        drawn = stream(seed, "bootstrap").poisson(1.0, (num_pairs, self.config.num_heads))
        return torch.from_numpy(drawn.astype(np.float32))

    # The linear part

    def fit_linear(self, state: RewardState, data: RewardData) -> tuple[RewardState, dict[str, float]]:
        """Choose the penalty by foretelling pairs from those of other prompts, and fit every member with it.

        Returns:
            The state, and `ridge`, with `foretold_accuracy` and `foretold_loss` of pairs foretold from others.
        """
        if data.differences is None:
            return state, {}
        rows, scale = data.differences, data.differences.mean_square
        ridge, lead_Q, loss = self._choose_ridge(data, state.seed)
        weight_BM = fit_ridge(
            rows,
            target_Q=data.target_Q,
            weight_QM=data.weight_QM,
            ridge_M=torch.full((self.config.num_heads,), ridge * scale),
            margin_Q=data.margin_Q,
        )
        self._hand_over(state.reward, data, weight_BM)
        # A pair that was kept for validation was not learned from anyway.
        foretold_Q = torch.where(data.validation_Q, rows.times(weight_BM).mean(1), lead_Q)
        state.foretold_Q = foretold_Q
        decided_Q = data.target_Q != 0.5
        accuracy = _accuracy(foretold_Q[decided_Q])
        return state, {"ridge": ridge, "foretold_accuracy": accuracy, "foretold_loss": loss}

    def _hand_over(self, reward: LanguageReward, data: RewardData, weight_BM: Float[Tensor, "B M"]) -> None:
        """Give the reward its weights: of n-grams, and of the trunk's features as they were before they were scaled."""
        assert data.differences is not None
        num_buckets, column_B = len(reward.ngram_weight_BM), data.differences.column_B
        is_ngram_B = column_B < num_buckets
        reward.ngram_weight_BM.zero_()
        reward.ngram_weight_BM[column_B[is_ngram_B]] = weight_BM[is_ngram_B]
        if reward.feature_weight_FM is not None:
            place_B = column_B[~is_ngram_B] - num_buckets
            reward.feature_weight_FM.zero_()
            reward.feature_weight_FM[place_B] = weight_BM[~is_ngram_B] * data.scale_F[place_B, None]

    def _choose_ridge(self, data: RewardData, seed: int) -> tuple[float, Float[Tensor, " Q"], float]:
        """The best ridge, what is foretold with it, and its loss."""
        assert data.differences is not None
        num_folds, ridges = self.config.num_ridge_folds, self.config.ridges
        fold_Q = torch.tensor([fold_of(pair, num_folds=num_folds, seed=seed + 2) for pair in data.pairs])
        used_Q = ~data.validation_Q
        present = fold_Q[used_Q].unique().tolist()
        if len(present) < 2:
            raise DataError(f"{data.pairs[0].place}: too few prompts to learn from; bring pairs of more prompts")
        columns = [(fold, ridge) for fold in present for ridge in ridges]
        weight_BC = fit_ridge(
            data.differences,
            target_Q=data.target_Q,
            weight_QM=torch.stack([((fold_Q != fold) & used_Q).float() for fold, _ in columns], 1),
            ridge_M=torch.tensor([ridge * data.differences.mean_square for _, ridge in columns]),
            margin_Q=data.margin_Q,
        )
        lead_QC = data.differences.times(weight_BC)
        place_Q = torch.searchsorted(torch.tensor(present), fold_Q.clamp(min(present), max(present)))
        lead_QR = lead_QC.unflatten(1, (len(present), len(ridges)))[torch.arange(len(data)), place_Q]
        target_QR = data.target_Q[:, None].expand_as(lead_QR)
        loss_QR = binary_cross_entropy_with_logits(lead_QR - data.margin_Q[:, None], target_QR, reduction="none")
        loss_R = loss_QR[used_Q].mean(0)
        best = int(loss_R.argmin())
        return ridges[best], lead_QR[:, best], float(loss_R[best])

    # The trunk

    def num_updates(self, data: RewardData) -> int:
        """Steps of the trunk in all epochs; 0 where no trunk learns."""
        learns = data.tokens is not None and self.config.learning == "trunk"
        return self.config.num_epochs * self._updates_per_epoch(data) if learns else 0

    def _updates_per_epoch(self, data: RewardData) -> int:
        return max(1, math.ceil(int((~data.validation_Q).sum()) / self.config.batch_pairs))

    def update(self, state: RewardState, data: RewardData) -> tuple[RewardState, dict[str, float]]:
        """One step of trunk and heads on the next batch.

        Raises:
            LearningError: the loss or its gradient is not finite; the weights are as they were.
        """
        weights, per_epoch = state.weights, self._updates_per_epoch(data)
        assert weights is not None
        epoch, number = divmod(state.num_updates, per_epoch)
        batch = self._batches(data, state.seed, epoch)[number]
        metrics = self.differentiate(state, data, batch)
        if not math.isfinite(metrics["loss"]):
            raise LearningError(f"the loss is {metrics['loss']} in update {state.num_updates + 1}; lower learning_rate")
        metrics |= weights.step(state.num_updates, state.num_updates / self.num_updates(data))
        state.num_updates += 1
        return state, metrics | {"epoch": state.num_updates / per_epoch}

    def _batches(self, data: RewardData, seed: int, epoch: int) -> list[list[int]]:
        """An epoch's batches: by chance, but for pairs of like length being together."""
        assert data.tokens is not None
        random, size = stream(seed, f"epoch {epoch}"), self.config.batch_pairs
        order = random.permutation(torch.nonzero(~data.validation_Q)[:, 0].numpy()).tolist()
        window = size * _BATCHES_AT_ONCE
        tokens, batches = data.tokens, list[list[int]]()
        for begin in range(0, len(order), window):
            near = sorted(order[begin : begin + window], key=lambda pair: (tokens.length(pair), pair))
            batches += [near[i : i + size] for i in range(0, len(near), size)]
        return [batches[i] for i in random.permutation(len(batches))]

    def differentiate(self, state: RewardState, data: RewardData, batch: Sequence[int]) -> dict[str, float]:
        """Put the gradient of a batch's loss into the state's weights, without a step, the same however it is split.

        Returns:
            `loss`, `accuracy`, `margin`, `mean_reward` and `num_tokens`, named as TRL does.
        """
        assert state.weights is not None and data.tokens is not None
        state.weights.zero_gradient()
        total = max(1.0, float(data.weight_QM[list(batch)].sum()))
        sums = dict.fromkeys(("loss", "right", "margin", "mean_reward", "num_tokens"), 0.0)
        for part in pair_batches(data.tokens, batch, max_tokens=self.config.max_tokens):
            tokens = data.tokens.batch(part)
            score_QM2 = state.reward.head_scores(tokens).unflatten(0, (len(part), 2)).transpose(1, 2)
            loss = self._loss(state, data, part, score_QM2) / total
            state.weights.add_gradient(loss)
            score_Q2 = score_QM2.detach().mean(1)
            lead_Q = score_Q2[:, 0] - score_Q2[:, 1]
            sums["loss"] += float(loss.detach())
            sums["right"] += _accuracy(lead_Q) * len(part)
            sums["margin"] += float(lead_Q.sum())
            sums["mean_reward"] += float(score_Q2.mean(1).sum())
            sums["num_tokens"] += sum(len(ids) for ids in (*tokens.prompts, *tokens.completions))
        num = len(batch)
        named = {"accuracy": sums["right"] / num, "margin": sums["margin"] / num}
        return {
            "loss": sums["loss"],
            **named,
            "mean_reward": sums["mean_reward"] / num,
            "num_tokens": sums["num_tokens"],
        }

    def _loss(self, state: RewardState, data: RewardData, part: Sequence[int], score_QM2: Tensor) -> Tensor:
        """Weighted sum over pairs and members."""
        rows, device = list(part), score_QM2.device
        weight_QM = data.weight_QM[rows].to(device)
        lead_QM = score_QM2[..., 0] - score_QM2[..., 1] - data.margin_Q[rows, None].to(device)
        if state.foretold_Q is not None:
            lead_QM = lead_QM + state.foretold_Q[rows, None].to(device)
        target_QM = data.target_Q[rows, None].to(device).expand_as(lead_QM)
        loss_QM = binary_cross_entropy_with_logits(lead_QM, target_QM, reduction="none")
        if self.config.centring:
            pulled = centring_penalty(score_QM2[..., 0].flatten(), score_QM2[..., 1].flatten())
            loss_QM = loss_QM + self.config.centring * pulled.unflatten(0, loss_QM.shape)
        return (weight_QM * loss_QM).sum()

    # The end

    def finish(self, state: RewardState, data: RewardData) -> tuple[RewardState, dict[str, float]]:
        """Centre every member on the completions it was fitted to; choose the temperature on pairs that it was not.

        Returns:
            The state, and `temperature`, with `validation_accuracy` and `validation_loss` where a trunk learns.
        """
        reward = state.reward
        raw_Q2M = reward.raw_of_pairs(data.pairs, data.tokens)
        if not bool(torch.isfinite(raw_Q2M).all()):
            raise LearningError("a reward is not finite; lower the learning rate")
        reward.offset_M = raw_Q2M[~data.validation_Q].mean((0, 1))
        decided_Q = data.target_Q != 0.5
        if state.weights is None:
            assert state.foretold_Q is not None
            reward.temperature = best_temperature(state.foretold_Q[decided_Q])
            return state, {"temperature": reward.temperature}
        mean_Q2 = raw_Q2M.mean(2)
        lead_Q = (mean_Q2[:, 0] - mean_Q2[:, 1])[data.validation_Q & decided_Q]
        if len(lead_Q) == 0:
            return state, {"temperature": reward.temperature}
        reward.temperature = best_temperature(lead_Q)
        loss = float(torch.nn.functional.softplus(-lead_Q / reward.temperature).mean())
        measured = {"validation_accuracy": _accuracy(lead_Q), "validation_loss": loss}
        return state, {"temperature": reward.temperature, **measured}

    # Checkpoints

    def tensors(self, state: RewardState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        reward = state.reward
        tensors = {"num_updates": torch.tensor(state.num_updates), "offset": reward.offset_M}
        tensors["temperature"] = torch.tensor(reward.temperature, dtype=torch.float64)
        if reward.ngrams is not None:
            tensors |= {
                "ngram_weight": reward.ngram_weight_BM,
                "ngram_rarity": torch.from_numpy(reward.ngrams.weight_B),
            }
        if reward.feature_weight_FM is not None:
            tensors["feature_weight"] = reward.feature_weight_FM
        if state.foretold_Q is not None:
            tensors["foretold"] = state.foretold_Q
        if state.weights is not None:
            tensors |= {f"weights.{name}": tensor for name, tensor in state.weights.tensors().items()}
        return tensors

    def load_tensors(self, state: RewardState, tensors: dict[str, Tensor]) -> RewardState:
        """Go on from what `tensors` returned, bit for bit."""
        reward = state.reward
        state.num_updates = int(tensors["num_updates"])
        reward.offset_M, reward.temperature = tensors["offset"], float(tensors["temperature"])
        if reward.ngrams is not None:
            reward.ngram_weight_BM = tensors["ngram_weight"]
            reward.ngrams.weight_B = tensors["ngram_rarity"].numpy()
        if reward.feature_weight_FM is not None:
            reward.feature_weight_FM = tensors["feature_weight"]
        state.foretold_Q = tensors.get("foretold")
        if state.weights is not None:
            state.weights.load_tensors(under("weights.", tensors))
        return state


def best_temperature(lead_Q: Float[Tensor, " Q"]) -> float:
    r"""The τ that makes σ(lead / τ) as likely as can be: $\min_\tau \sum_q \log(1 + e^{-d_q / \tau})$, 0.05 to 20.

    Where a model is right of everything, or says nothing, no τ is the best; it is then the nearest bound.

    Source: Guo et al. 2017, arXiv 1706.04599.

    Args:
        lead_Q: of the chosen texts, on pairs that were not learned from.
    """
    lead_Q = lead_Q.double()
    low, high = math.log(0.05), math.log(20.0)

    def loss(log_temperature: float) -> float:
        return float(torch.nn.functional.softplus(-lead_Q / math.exp(log_temperature)).sum())

    # The loss is convex in 1/τ, and so has one valley in log τ.
    for _ in range(80):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if loss(a) <= loss(b) else (a, high)
    return math.exp((low + high) / 2)


def _accuracy(lead_Q: Tensor) -> float:
    """Share of leads above zero; none at all is half right."""
    if len(lead_Q) == 0:
        return math.nan
    return float(((lead_Q > 0).float() + 0.5 * (lead_Q == 0)).mean())
