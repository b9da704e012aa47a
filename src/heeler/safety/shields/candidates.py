"""Actions that are tried in the place of a refused one, those that are most like it first.

Shapes: n rows, M candidates, A action numbers, O observation numbers.
"""

from itertools import product

import numpy as np
import torch
from gymnasium.spaces import Box

from heeler.core.errors import ConfigError
from heeler.envs import World
from heeler.models.actions import CategoricalHead, action_head
from heeler.models.policy import Policy

_MAX_CHOICES = 256
"""Actions of a MultiDiscrete space that are all tried."""
_TOWARDS = (0.25, 0.5, 0.75)
_SPREADS = (0.05, 0.2, 0.5)
"""Of random candidates about the refused action, in half widths of the bounds; one after the other."""


class Candidates:
    """What may be done instead.

    All choices where actions are choices, the policy's likelier ones first. Of Box actions: what lies between the
    refused one and the fallback, the fallback itself, the middle of the bounds, and random ones, the same in every
    state: near the refused action, far from it, and anywhere within the bounds; the nearest first.

    Args:
        world: one of those that are shielded.
        num_candidates: M of Box actions.

    Raises:
        ConfigError: there are more choices than can be tried.
    """

    def __init__(self, world: World, num_candidates: int) -> None:
        space, self._head = world.single_action_space, action_head(world.single_action_space)
        self._choices_MA: np.ndarray | None = None
        if isinstance(self._head, CategoricalHead):
            num_choices = int(np.prod(self._head.num_choices))
            if num_choices > _MAX_CHOICES:
                raise ConfigError(
                    f"{world.env_id} has {num_choices:,} actions, of which all would be tried where one is refused; "
                    f"at most {_MAX_CHOICES} can be. Shield it by a mask alone"
                )
            self._choices_MA = np.array(list(product(*map(range, self._head.num_choices))))
            return
        assert isinstance(space, Box)
        self._low, self._high = space.low, space.high
        is_bounded = np.isfinite(space.low) & np.isfinite(space.high)
        self._half_A = np.where(is_bounded, (space.high - space.low) / 2, 1.0).astype(np.float32)
        self._middle_A = np.where(is_bounded, (space.high + space.low) / 2, np.clip(0, space.low, space.high))
        rng = np.random.default_rng(0)
        self._near_MA = rng.standard_normal((num_candidates, len(space.low))).astype(np.float32)
        self._near_MA *= np.resize(_SPREADS, (num_candidates, 1)) * self._half_A
        self._anywhere_MA = (self._middle_A + rng.uniform(-1, 1, self._near_MA.shape) * self._half_A).astype(np.float32)
        self._num = num_candidates

    def of(
        self, policy: Policy, observation_nO: np.ndarray, refused_nA: np.ndarray, fallback_nA: np.ndarray | None
    ) -> np.ndarray:
        """[n, M, A] within their bounds.

        Args:
            policy: whose action was refused.
            observation_nO: what it saw.
            refused_nA: what it was to do.
            fallback_nA: what the fallback would do; None where it names no action.
        """
        if self._choices_MA is not None:
            return self._likelier_first(policy, observation_nO)
        parts = [np.broadcast_to(self._middle_A, refused_nA.shape)[:, None]]
        if fallback_nA is not None:
            shares = np.array(_TOWARDS).reshape(1, -1, 1)
            # The fallback as it is, not by a sum that rounds: its continuation is what a check has seen before.
            parts = [fallback_nA[:, None], refused_nA[:, None] * (1 - shares) + fallback_nA[:, None] * shares, *parts]
        num_random = max(0, self._num - sum(part.shape[1] for part in parts))
        num_near = -(-num_random // 2)
        parts.append(refused_nA[:, None] + self._near_MA[:num_near])
        parts.append(np.repeat(self._anywhere_MA[None, : num_random - num_near], len(refused_nA), 0))
        found_nMA = np.clip(np.concatenate(parts, 1).astype(np.float32), self._low, self._high)[:, : max(self._num, 1)]
        distance_nM = np.linalg.norm((found_nMA - refused_nA[:, None]) / self._half_A, axis=-1)
        return np.take_along_axis(found_nMA, np.argsort(distance_nM, axis=1, kind="stable")[..., None], 1)

    @torch.no_grad()
    def _likelier_first(self, policy: Policy, observation_nO: np.ndarray) -> np.ndarray:
        assert self._choices_MA is not None
        n, M = len(observation_nO), len(self._choices_MA)
        seen = policy.normalize(torch.from_numpy(observation_nO).to(policy.shift.device))
        output_BL = policy.actor(seen).repeat_interleave(M, 0)
        every_nMA = np.broadcast_to(self._choices_MA, (n, *self._choices_MA.shape))
        action_BA = torch.from_numpy(every_nMA.reshape(n * M, -1).copy()).to(output_BL.device)
        log_prob_B, _ = self._head.log_prob_entropy(output_BL, policy.log_std, action_BA)
        order_nM = np.argsort(-log_prob_B.cpu().numpy().reshape(n, M), axis=1, kind="stable")
        return np.take_along_axis(every_nMA, order_nM[..., None], 1)
