"""A learned reward, with pessimism where its members disagree, so that nothing is gained by finding gaps in it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores

Combine = Literal["mean", "worst", "uncertainty"]


class LearnedReward:
    r"""An ensemble's reward of a completion.

    $$\text{mean: } \bar r,\quad \text{worst: } \min_m r_m,\quad
      \text{uncertainty: } \bar r - \lambda\,\tfrac{1}{M}\textstyle\sum_m (r_m - \bar r)^2$$

    The last two stop over-optimisation even where a quarter of the labels are wrong (Coste et al. 2023,
    arXiv 2310.02743). Members must be on one scale: centre each and divide it by its spread first.

    Args:
        predict: gives every member's reward of every sample, [number of samples, number of members]: a tensor or array.
        combine: how members become one number.
        pessimism: λ, for `uncertainty` alone.
        name: of the part.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[TextSample]], Any],
        *,
        combine: Combine = "worst",
        pessimism: float | None = None,
        name: str = "learned",
    ) -> None:
        if combine not in ("mean", "worst", "uncertainty"):
            raise ConfigError(f"combine must be mean, worst or uncertainty, got {combine!r}")
        if (pessimism is not None) != (combine == "uncertainty"):
            raise ConfigError(f"pessimism goes with combine='uncertainty' and with nothing else, got {combine!r}")
        if pessimism is not None and not pessimism >= 0:
            raise ConfigError(f"pessimism must be >= 0, got {pessimism}")
        self.name, self._predict, self._combine, self._pessimism = name, predict, combine, pessimism or 0.0
        self._disagreement = 0.0

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """One number a sample.

        Raises:
            RewardError: the members' rewards are not [samples, members] or not finite.
        """
        given = self._predict(samples)
        reward_NM = torch.as_tensor(given).detach().cpu().double().numpy()
        if reward_NM.ndim != 2 or len(reward_NM) != len(samples) or reward_NM.shape[1] < 1:
            raise RewardError(
                f"reward part {self.name!r} must give rewards [{len(samples)} samples, members], got {reward_NM.shape}"
            )
        if not np.isfinite(reward_NM).all():
            row = int(np.argwhere(~np.isfinite(reward_NM))[0][0])
            raise RewardError(f"reward part {self.name!r}, row {row}: a member's reward is not a finite number")
        self._disagreement = float(reward_NM.std(1).mean()) if len(samples) else 0.0
        return [float(reward) for reward in self._combined(reward_NM)]

    def _combined(self, reward_NM: np.ndarray) -> np.ndarray:
        if self._combine == "worst":
            return reward_NM.min(1)
        return reward_NM.mean(1) - self._pessimism * reward_NM.var(1)

    def metrics(self) -> dict[str, float]:
        """Mean spread of the members over the last batch: rises when the learner leaves what they know."""
        return {"disagreement": self._disagreement}
