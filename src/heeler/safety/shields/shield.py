"""A shield over a policy: mask, projection, critic, check in this order, and what is done where nothing is safe.

Shapes: N environments, n rows of them, A action numbers, O observation numbers, K choices.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import NothingSafe
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.envs import EnvConfig, World, make
from heeler.models.policy import Policy
from heeler.safety.shields.config import ShieldConfig
from heeler.safety.shields.critic import SafetyCritic
from heeler.safety.shields.fallback import Fallback
from heeler.safety.shields.judging import Judge
from heeler.safety.shields.masks import Mask
from heeler.safety.shields.projection import Projection

HELD = "held."
"""How names of what a shield is about to do begin in a checkpoint."""
ActionFilter = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""[N, A] what is carried out, by [N, O] observations and [N, A] what the policy proposes, within its bounds."""


class Guarded(NamedTuple):
    """What a policy was to do, and what is done."""

    proposed_NA: np.ndarray
    """The policy's own, before its bounds."""
    executed_NA: np.ndarray
    """Within its bounds, and safe or the fallback."""
    allowed_NK: np.ndarray | None
    """The choices that the policy had; None without a mask."""
    shielded_N: np.ndarray
    """Bool: another action is done than the policy's, or than the one that a review put in its place."""
    nothing_safe_N: np.ndarray
    """Bool: there was no safe one."""


class Shield:
    """Stands between policies and one world, whose present states it knows.

    Args:
        config: what may not be done.
        world: that is acted in.
        make_twin: a world like it of so many environments.

    Raises:
        ConfigError: a part does not fit the world.
    """

    def __init__(self, config: ShieldConfig, world: World, make_twin: Callable[[int], World]) -> None:
        self.config, self.world = config, world
        self.fallback = Fallback(config.fallback, world)
        self.mask = Mask(config.mask, world) if config.mask else None
        self.projection = Projection(config.projection, world) if config.projection else None
        judges = config.critic is not None or config.check is not None
        self.judge = Judge(config, world, make_twin, self.fallback, self.mask, self.projection) if judges else None

    def act(
        self,
        policy: Policy,
        observation_NO: np.ndarray,
        noise: Tensor | None,
        rows_N: np.ndarray | None = None,
        *,
        review: ActionFilter | None = None,
    ) -> Guarded:
        """What is done in the world's present states.

        Args:
            policy: proposes, among the choices that there are.
            observation_NO: of the present states.
            noise: as `Policy.act` takes it.
            rows_N: booleans: whose actions matter; None for all. Others are not looked at.
            review: may put other actions in the place of those that the policy proposes; the shield comes after it.

        Raises:
            NothingSafe: no action is safe somewhere, and the fallback is to halt.
        """
        allowed = None if self.mask is None else self.mask.of(self.world, observation_NO)
        proposed_NA = policy.act(observation_NO, noise, allowed and allowed.choices_NK).cpu().numpy()
        bounded_NA = policy.within_bounds(proposed_NA)
        reviewed_NA = bounded_NA if review is None else review(observation_NO, bounded_NA)
        executed_NA = reviewed_NA.copy()
        nothing_safe_N = np.zeros(len(bounded_NA), bool) if allowed is None else allowed.nothing_N.copy()
        if allowed is not None and self.mask is not None:
            # A review, or what is trusted in the policy's place, may name a choice that there is not.
            nothing_safe_N |= ~self.mask.permits(allowed.choices_NK, reviewed_NA[:, None]).squeeze(1)
        if self.projection is not None:
            executed_NA, exists_N = self.projection.nearest(observation_NO, executed_NA)
            nothing_safe_N |= ~exists_N
        if rows_N is not None:
            nothing_safe_N &= rows_N
        if self.judge is not None:
            self.judge.replace(policy, observation_NO, allowed, executed_NA, nothing_safe_N, rows_N)
        self._fall_back(observation_NO, executed_NA, nothing_safe_N)
        shielded_N = (executed_NA != reviewed_NA).any(1) | nothing_safe_N
        return Guarded(
            proposed_NA, executed_NA, None if allowed is None else allowed.choices_NK, shielded_N, nothing_safe_N
        )

    def _fall_back(self, observation_NO: np.ndarray, executed_NA: np.ndarray, nothing_safe_N: np.ndarray) -> None:
        """Do what was declared where nothing is safe; a fallback of the least cost has been chosen by now."""
        rows_n = np.flatnonzero(nothing_safe_N)
        if not len(rows_n):
            return
        if self.fallback.kind == "halt":
            raise NothingSafe(
                f"{self.world.env_id}: environment {rows_n[0]} is in a state in which no action is safe, and "
                "shield.fallback is to halt; name a fallback that acts, or begin where there is a way out"
            )
        if self.fallback.acts:
            executed_NA[rows_n] = self.fallback.actions(observation_NO[rows_n])

    def credited(self, action: np.ndarray, executed: np.ndarray, allowed: np.ndarray | None) -> np.ndarray | None:
        """[T, N, A] what a learner is to take for the policy's action; None for what the policy proposed."""
        if self.config.learn_from == "proposed":
            return None
        credited = executed.copy()
        if allowed is not None and self.mask is not None:
            T, N, A = action.shape
            choices = allowed.reshape(T * N, -1)
            forbidden = ~self.mask.permits(choices, executed.reshape(T * N, 1, A)).reshape(T, N)
            credited[forbidden] = action[forbidden]
        return credited

    def learn(self, rollout: Rollout, policy: Policy) -> dict[str, float]:
        """Count what was shielded in a rollout, and have the critic learn from it.

        Args:
            rollout: of this shield's world.
            policy: that acted in it.
        """
        assert rollout.shielded is not None and rollout.nothing_safe is not None
        counted = {
            "shielded_share": float(rollout.shielded.mean()),
            "nothing_safe_share": float(rollout.nothing_safe.mean()),
        }
        if rollout.allowed is not None:
            counted["masked_share"] = 1 - float(rollout.allowed.mean())
        return counted | (self.critic.learn(rollout, policy) if self.critic else {})

    @property
    def critic(self) -> SafetyCritic | None:
        """The part that learns, where there is one."""
        return self.judge.critic if self.judge else None

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps; nothing of a shield that does not learn."""
        return {f"critic.{name}": tensor for name, tensor in self.critic.tensors().items()} if self.critic else {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned.

        Raises:
            ConfigError: the critic of the shield has not been trained, or has another shape.
        """
        if self.critic:
            self.critic.load_tensors(under("critic.", tensors))

    def held(self) -> dict[str, Tensor]:
        """What it is about to do in the environments of this very world, for a run's checkpoint."""
        if self.judge is None:
            return {}
        arrays = {"action": self.judge.held_NA, "left": self.judge.left_N}
        return {HELD + name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def load_held(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `held` returned; checkpoints of earlier versions do not hold it."""
        if self.judge is not None and f"{HELD}left" in tensors:
            self.judge.held_NA, self.judge.left_N = (tensors[HELD + name].numpy() for name in ("action", "left"))

    def close(self) -> None:
        """Close the twins."""
        if self.judge and self.judge.check:
            self.judge.check.twins.close()


def make_shield(config: ShieldConfig | None, env: EnvConfig, world: World) -> Shield | None:
    """The shield of a run over a world that `env` describes; None where it has none.

    Raises:
        ConfigError: it does not fit the world.
    """
    if config is None:
        return None
    return Shield(config, world, lambda num_envs: make(replace(env, num_envs=num_envs), 0))
