"""From answers to rewards: the reward that is learned from people, and what it is composed with.

Shapes: N completions, M members of the ensemble.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from heeler.core.text_data import TextPair
from heeler.core.texts import TextSample
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.language.parts import made_parts
from heeler.loop.language.worlds import TextWorld
from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch
from heeler.rewards.reward_learner import RewardLearner, RewardState
from heeler.rewards.text.compose import Budgeted, Composed, ComposedReward, Weighted
from heeler.rewards.text.learned import LearnedReward
from heeler.rewards.text.part import Part, Scores

_HALF_LIFE = 4096
"""Samples after which what a part's scale was weighs half: parts are brought to the scale that they have now."""
_FEWEST_PROMPTS = 5
"""Of the pairs that the learned reward is fitted to."""


class Rewarding:
    """The reward of one run.

    Args:
        config: of the run.
        world: of the prompts.
        reference: the model that learning began with; it is the trunk of the learned reward.

    Raises:
        HeelerError: a part cannot be made of its settings, or for these prompts; names it.
    """

    def __init__(self, config: LanguageRunConfig, world: TextWorld, reference: LanguageModel) -> None:
        self.config, self._reference = config, reference
        self._learner = None if config.learned is None else RewardLearner(config.learned.model)
        self._fitted: RewardState | None = None
        self.num_fitted = 0
        """Pairs of the last fit."""
        self._member_NM: np.ndarray | None = None
        self._seen: tuple[TextBatch | None, RewardState | None] = (None, None)
        """What `_member_NM` is of: a batch, and the learned reward that looked at it."""
        made = made_parts(config, world, reference)
        self._composed = ComposedReward(self._parts(made), self._costs(made))
        self.state = self._composed.init()

    def _parts(self, made: Mapping[str, Part]) -> list[Weighted]:
        parts = [
            Weighted(part=made[entry.name], weight=entry.weight, half_life=_HALF_LIFE)
            for entry in self.config.parts.entries
            if entry.weight
        ]
        learned = self.config.learned
        if learned is not None:
            charge = 1.0 if learned.pessimism is None else learned.pessimism
            pessimism = charge if learned.combine == "uncertainty" else None
            scorer = LearnedReward(lambda _: self._member_NM, combine=learned.combine, pessimism=pessimism)
            parts.insert(0, Weighted(part=_OnceFitted(self, scorer), weight=learned.weight, half_life=_HALF_LIFE))
        return parts

    def _costs(self, made: Mapping[str, Part]) -> list[Budgeted]:
        budgets, costs = self.config.budgets, list[Budgeted]()
        if budgets.toxicity is not None:
            costs.append(Budgeted(part=made["toxicity"], budget=budgets.toxicity, multiplier=budgets.multiplier))
        for limit in budgets.limits:
            budget = limit.at_least if limit.at_most is None else limit.at_most
            assert budget is not None
            costs.append(
                Budgeted(
                    part=made[limit.part],
                    budget=budget,
                    at_least=limit.at_most is None,
                    unit=limit.unit,
                    multiplier=budgets.multiplier,
                )
            )
        return costs

    @property
    def is_fitted(self) -> bool:
        """Whether there is a learned reward yet."""
        return self._fitted is not None

    # The learned reward

    def refit_if_due(self, pairs: Sequence[TextPair]) -> dict[str, float]:
        """Fit the learned reward anew where there are enough new pairs; returns what there is to know.

        Pairs of a handful of prompts, as the first of a chat may be, say nothing of others: more are waited for.
        """
        learned = self.config.learned
        if learned is None or len(pairs) < max(learned.first_fit, learned.refit_growth * self.num_fitted):
            return {}
        if len({pair.prompt_key for pair in pairs}) < _FEWEST_PROMPTS:
            return {}
        return self.fit(pairs)

    def fit(self, pairs: Sequence[TextPair]) -> dict[str, float]:
        """Fit the learned reward to pairs, from nothing."""
        assert self._learner is not None
        state = self._learner.init(self._reference, self.config.seed)
        data = self._learner.prepare(state, pairs)
        state, figures = self._learner.fit_linear(state, data)
        self._fitted, ended = self._learner.finish(state, data)
        self.num_fitted = len(pairs)
        # Of an accuracy where all pairs are level there is no number.
        return {f"reward_model/{name}": value for name, value in (figures | ended).items() if math.isfinite(value)}

    def unlearn(self) -> None:
        """Forget the learned reward, whose pairs were withdrawn; it is fitted to the others when they are enough."""
        self._fitted, self.num_fitted = None, 0

    def look(self, batch: TextBatch) -> np.ndarray | None:
        """[N, M] what every member makes of a batch, which is then what `score` goes by; None before the first fit."""
        if self._seen[0] is not batch or self._seen[1] is not self._fitted:
            self._member_NM = None if self._fitted is None else self._fitted.reward.score_batch(batch).member_NM
            self._seen = (batch, self._fitted)
        return self._member_NM

    # The whole reward

    def score(self, samples: Sequence[TextSample]) -> Composed:
        """The rewards of the batch that was last looked at; its costs move the multipliers."""
        self.state, composed = self._composed.score(self.state, samples)
        return composed

    # Checkpoints

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps as tensors."""
        return {} if self._learner is None or self._fitted is None else self._learner.tensors(self._fitted)

    def to_json(self) -> dict[str, Any]:
        """What it keeps beside them."""
        return {"composed": self.state.to_json(), "num_fitted": self.num_fitted}

    def load(self, tensors: Mapping[str, Tensor], saved: Mapping[str, Any]) -> None:
        """Go on from these."""
        self.state = self._composed.state_from_json(saved["composed"])
        self.num_fitted, self._fitted = saved["num_fitted"], None
        if tensors:
            assert self._learner is not None
            fresh = self._learner.init(self._reference, self.config.seed)
            self._fitted = self._learner.load_tensors(fresh, dict(tensors))


def tells_apart(row: Mapping[str, Any]) -> bool:
    """Whether an update had anything to learn from: a part of which the answers differed, or a cost that weighs.

    Args:
        row: the update's metrics.
    """
    return any(_differs(row, *name.split("/")) for name in row if name.endswith("/std"))


def _differs(row: Mapping[str, Any], group: str, part: str, *_: str) -> bool:
    weighs = group == "rewards" or (group == "costs" and row.get(f"multipliers/{part}", 0) > 0)
    return weighs and row[f"{group}/{part}/std"] > 0


class _OnceFitted:
    """The learned reward, which says nothing before it is fitted."""

    def __init__(self, rewarding: Rewarding, scorer: LearnedReward) -> None:
        self.name, self._rewarding, self._scorer = scorer.name, rewarding, scorer

    def score(self, samples: Sequence[TextSample]) -> Scores:
        return self._scorer.score(samples) if self._rewarding.is_fitted else [None] * len(samples)

    def metrics(self) -> dict[str, float]:
        return self._scorer.metrics() if self._rewarding.is_fitted else {}
