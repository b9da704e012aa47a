"""The reward that is learned from every kind of answer, while a run goes on: when it was fitted, and to how much.

Shapes: M members, T steps, N environments, K segments.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.rewards.joint.model import JointModel


class KindsReward:
    """The learned reward of one run.

    Args:
        model: how it is learned.
        seed: of its weights.
    """

    def __init__(self, model: JointModel, seed: int) -> None:
        self.model, self._seed = model, seed
        self.state = model.init(seed)
        self.num_unfitted = 0
        """Answers that say something and came after the last fit."""
        self.fitted_s = 0.0
        """Seconds of people's time that the last fit learned from."""
        self._level: float | None = None
        self._disagreement: float | None = None

    @property
    def can_learn(self) -> bool:
        """Whether there is an answer that is not kept from training."""
        return bool((~self.state.evidence.validation_I).any())

    @property
    def is_fitted(self) -> bool:
        """Whether anything was learned yet."""
        return self.state.num_fits > 0

    def begin_anew(self, num_useful: int) -> None:
        """Answers were withdrawn: whatever is left is to be fitted again."""
        self.num_unfitted, self.fitted_s = num_useful, 0.0

    def fit(self, used_s: float, latest: Sequence[Segment]) -> tuple[np.ndarray, np.ndarray] | None:
        """Learn from all answers so far; how the latest clips are judged before and after, where both are known.

        Args:
            used_s: seconds of people's time that they took.
            latest: clips.
        """
        before_K = self._judged(latest)
        self.state = self.model.fit(self.state)
        self.num_unfitted, self.fitted_s = 0, used_s
        after_K = self._judged(latest)
        return None if before_K is None or after_K is None else (before_K, after_K)

    def _judged(self, segments: Sequence[Segment]) -> np.ndarray | None:
        if not self.is_fitted or not segments:
            return None
        return self.model.segment_returns(self.state, segments).mean(0).numpy()

    def of(self, rollout: Rollout, *, is_new: bool, for_spread: float) -> np.ndarray:
        """[T, N] rewards of a rollout.

        Args:
            rollout: what was acted.
            is_new: whether the reward was fitted since the last one, so that its scale is chosen anew.
            for_spread: what a step is paid for each standard deviation of the members above the mean one.
        """
        raw_MTN, scale = self.model.predict(self.state, rollout), self.state.scale
        if is_new:
            scale.calibrate(raw_MTN)
        self._level, self._disagreement = scale.level(raw_MTN), scale.disagreement(raw_MTN)
        scale.centre(raw_MTN)
        return scale.reward(raw_MTN, for_spread=for_spread - self.model.config.reward.pessimism)

    def not_finite(self, reward: np.ndarray | None) -> list[str]:
        """What is no longer a finite number, of the model and of the reward that it gave."""
        broken = self.model.not_finite(self.state)
        if reward is not None and not np.isfinite(reward).all():
            broken.append("the learned reward")
        return broken

    def figures(self) -> dict[str, float]:
        """What the last fit came to, what each kind said, and how the reward stands."""
        figures = {f"kinds/{kind}/bits": bits for kind, bits in self.model.bits_by_kind(self.state).items()}
        figures |= {f"reward_model_{name}": value for name, value in self.state.last_fit.items()}
        found = {"predicted_reward_mean": self._level, "reward_disagreement": self._disagreement}
        return figures | {name: value for name, value in found.items() if value is not None}

    def told(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps."""
        return {"num_unfitted": self.num_unfitted, "fitted_s": self.fitted_s, **self.model.told(self.state)}

    def tensors(self) -> dict[str, Tensor]:
        """Arrays that a checkpoint keeps."""
        return self.model.tensors(self.state)

    def load(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Go on from what `tensors` and `told` returned."""
        self.num_unfitted, self.fitted_s = told["num_unfitted"], told["fitted_s"]
        self.state = self.model.load_tensors(self.model.init(self._seed), tensors, told)
