"""An ensemble's raw predictions as a reward of mean 0 and spread 1. Shapes: M members, T steps, N environments."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(kw_only=True)
class RewardScale:
    """What answers leave free: each member's offset and scale, fixed anew after each fit, so that none goes stale."""

    offset_M: Tensor
    """Mean prediction on the steps that the reward was last centred on."""
    scale_M: Tensor
    """One over the standard deviation on those that it was last calibrated on."""
    level_M: Tensor
    """Mean prediction on the latter: what `level` is measured from."""

    @classmethod
    def neutral(cls, num_members: int) -> "RewardScale":
        """Leaves predictions as they are."""
        return cls(offset_M=torch.zeros(num_members), scale_M=torch.ones(num_members), level_M=torch.zeros(num_members))

    def calibrate(self, raw_MTN: Tensor) -> None:
        """Choose offset and scale so that each member's reward has mean 0 and spread 1 on these steps."""
        self.offset_M = self.level_M = raw_MTN.mean((1, 2))
        # A member that says the same of every step has a spread that is but rounding; it must not be blown up.
        least_M = 1e-4 * (1 + self.offset_M.abs())
        self.scale_M = 1 / raw_MTN.std((1, 2), correction=0).maximum(least_M)

    def centre(self, raw_MTN: Tensor) -> None:
        """Move the offset so that these steps have mean 0: a mean would reach the value function a hundredfold, and pay
        for an episode's length."""
        self.offset_M = raw_MTN.mean((1, 2))

    def level(self, raw_MTN: Tensor) -> float:
        """How much better these steps are than those of the last calibration, in spreads."""
        return float(((raw_MTN.mean((1, 2)) - self.level_M) * self.scale_M).mean())

    def members(self, raw_MTN: Tensor) -> Tensor:
        """[M, T, N] each member's reward."""
        return (raw_MTN - self.offset_M[:, None, None]) * self.scale_M[:, None, None]

    def disagreement(self, raw_MTN: Tensor) -> float | None:
        """How far the members are apart on these steps, in spreads of the reward; None of one alone."""
        return None if len(raw_MTN) < 2 else float(self.members(raw_MTN).std(0).mean())

    def reward(self, raw_MTN: Tensor, *, for_spread: float = 0.0) -> np.ndarray:
        """[T, N] the members' mean.

        Args:
            raw_MTN: predictions.
            for_spread: what a step is paid, or charged, for each standard deviation of the members above the mean one.
        """
        member = self.members(raw_MTN)
        reward = member.mean(0)
        if for_spread:
            spread = member.std(0, correction=0)
            reward = reward + for_spread * (spread - spread.mean())
        return reward.numpy()
