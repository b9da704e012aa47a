"""What critic and check let pass, and what is done in the place of what they refuse.

Shapes: N environments, n rows of them, M candidates, B = n · M, k of these, H holds, A action numbers, O observation
numbers.
"""

from collections.abc import Callable, Mapping

import numpy as np

from heeler.envs import World
from heeler.models.actions import action_head
from heeler.models.policy import Policy
from heeler.safety.shields.candidates import Candidates
from heeler.safety.shields.check import ModelCheck
from heeler.safety.shields.config import ShieldConfig
from heeler.safety.shields.critic import SafetyCritic
from heeler.safety.shields.fallback import Fallback
from heeler.safety.shields.masks import Allowed, Mask
from heeler.safety.shields.projection import Projection


class Judge:
    """Critic and check together.

    Args:
        config: of the shield.
        world: that is acted in.
        make_twin: a world like it of so many environments.
        fallback: the shield's; a candidate where it names an action, and what brakes in simulations.
        mask: that candidates must keep to.
        projection: that candidates must keep to.

    Raises:
        ConfigError: a part does not fit the world.
    """

    def __init__(
        self,
        config: ShieldConfig,
        world: World,
        make_twin: Callable[[int], World],
        fallback: Fallback,
        mask: Mask | None,
        projection: Projection | None,
    ) -> None:
        self.world, self._fallback, self._mask, self._projection = world, fallback, mask, projection
        self.critic = SafetyCritic(config.critic, world) if config.critic else None
        self.check: ModelCheck | None = None
        if config.check:
            brakes = config.check.continuation == "fallback"
            follow = self._brake if brakes else self._go_on
            wants_least = config.fallback.kind == "least_cost"
            self.check = ModelCheck(config.check, world, make_twin, follow, counts_on=wants_least)
        self._foresight = config.check.foresight if config.check else 0
        self._wants_least = config.fallback.kind == "least_cost"
        self._candidates = Candidates(world, config.num_candidates)
        self._policy: Policy | None = None
        head = action_head(world.single_action_space)
        # Short and long: what stands before a thing may have to go round for as long as is foreseen.
        self._holds = np.array(sorted({max(1, self._foresight // 3), max(1, self._foresight)}))
        self.held_NA = np.zeros((world.num_envs, head.action_size), head.action_dtype)
        """What was chosen last in the place of a proposal."""
        self.left_N = np.zeros(world.num_envs, np.int64)
        """Steps for which it is kept to yet."""

    def replace(
        self,
        policy: Policy,
        observation_NO: np.ndarray,
        allowed: Allowed | None,
        executed_NA: np.ndarray,
        nothing_safe_N: np.ndarray,
        rows_N: np.ndarray | None,
    ) -> None:
        """Put a safe candidate in the place of what is refused; changes `executed_NA` and `nothing_safe_N` in place.

        Args:
            policy: that proposed.
            observation_NO: of the present states.
            allowed: by the mask.
            executed_NA: proposals within bounds, mask and projection.
            nothing_safe_N: booleans: where those left nothing.
            rows_N: booleans: whose actions matter; None for all.
        """
        self._policy = policy
        # Where mask or projection left nothing, a fallback of the least cost still wants to know what each costs.
        asks_for_least = self._wants_least and bool(nothing_safe_N.any())
        if not (self._critic_has_a_say or self.check or asks_for_least):
            return
        state = self.world.state_dict() if self.check else {}
        rows_n = np.flatnonzero(np.ones(len(executed_NA), bool) if rows_N is None else rows_N)
        is_safe_n, _ = self._weigh(state, rows_n, observation_NO[rows_n], executed_NA[rows_n])
        is_refused_n = np.where(nothing_safe_N[rows_n], self._wants_least, ~is_safe_n)
        goes_astray_n = self._goes_astray(state, rows_n, executed_NA[rows_n], is_safe_n & ~nothing_safe_N[rows_n])
        is_fine_n = ~(is_refused_n | goes_astray_n)
        self.left_N[rows_n[is_fine_n]] = 0
        refused_n = self._keep_to(state, rows_n[~is_fine_n], observation_NO, allowed, executed_NA, nothing_safe_N)
        if len(refused_n):
            self._choose(state, refused_n, observation_NO[refused_n], allowed, executed_NA, nothing_safe_N)

    def _keep_to(
        self,
        state: Mapping[str, np.ndarray],
        rows_n: np.ndarray,
        observation_NO: np.ndarray,
        allowed: Allowed | None,
        executed_NA: np.ndarray,
        nothing_safe_N: np.ndarray,
    ) -> np.ndarray:
        """Go on with what was chosen before, where that is still safe; the rows of which something is to be chosen.

        What is best was foreseen of an action that is held. Chosen anew at every step it is one way now and the other
        way then, and the agent stands where it is.
        """
        going_n = rows_n[(self.left_N[rows_n] > 0) & ~nothing_safe_N[rows_n]]
        if not len(going_n):
            return rows_n
        seen_nO = observation_NO[going_n]
        held_n1A, may_n1 = self._within(seen_nO, allowed, going_n, self.held_NA[going_n, None])
        is_safe_n, _ = self._weigh(state, going_n, seen_nO, held_n1A[:, 0])
        is_safe_n &= may_n1[:, 0]
        going_n = going_n[is_safe_n]
        executed_NA[going_n] = held_n1A[is_safe_n, 0]
        self.left_N[going_n] -= 1
        return np.setdiff1d(rows_n, going_n)

    def _choose(
        self,
        state: Mapping[str, np.ndarray],
        rows_n: np.ndarray,
        seen_nO: np.ndarray,
        allowed: Allowed | None,
        executed_NA: np.ndarray,
        nothing_safe_N: np.ndarray,
    ) -> None:
        """The best of the safe candidates for each of these rows, or the cheapest of all where none is safe."""
        assert self._policy is not None
        refused_nA = executed_NA[rows_n]
        found_nMA = self._candidates.of(
            self._policy, seen_nO, refused_nA, self._fallback.actions(seen_nO) if self._fallback.acts else None
        )
        if self._foresight:
            # Where the policy's course is foreseen to cost, its own action may still be the best that there is.
            found_nMA = np.concatenate([refused_nA[:, None], found_nMA], 1)
        n, M, A = found_nMA.shape
        found_nMA, may_nM = self._within(seen_nO, allowed, rows_n, found_nMA)
        rows_B, seen_BO, found_BA = np.repeat(rows_n, M), np.repeat(seen_nO, M, 0), found_nMA.reshape(n * M, A)
        is_safe_B, cost_B = self._weigh(state, rows_B, seen_BO, found_BA)
        is_safe_nM = is_safe_B.reshape(n, M) & may_nM
        order_nM, held_nM = self._order(state, rows_B, seen_BO, found_BA, is_safe_nM)
        best_n = np.where(is_safe_nM, order_nM, np.inf).argmin(1)
        is_there_nM = may_nM | ~may_nM.any(1, keepdims=True)
        least_n = np.where(is_there_nM, cost_B.reshape(n, M), np.inf).argmin(1)
        none_n = ~is_safe_nM.any(1) | nothing_safe_N[rows_n]
        nothing_safe_N[rows_n] = none_n
        executed_NA[rows_n] = found_nMA[np.arange(n), np.where(none_n & self._wants_least, least_n, best_n)]
        self.held_NA[rows_n] = executed_NA[rows_n]
        self.left_N[rows_n] = np.where(none_n, 0, held_nM[np.arange(n), best_n] - 1)

    @property
    def _critic_has_a_say(self) -> bool:
        return self.critic is not None and self.critic.has_a_say

    def _goes_astray(
        self, state: Mapping[str, np.ndarray], rows_n: np.ndarray, action_nA: np.ndarray, is_safe_n: np.ndarray
    ) -> np.ndarray:
        """[n] whether the policy's own course costs too much, of proposals that are safe by themselves."""
        astray_n = np.zeros(len(rows_n), bool)
        if self.check is None or not self._foresight:
            return astray_n
        ahead = self.check.foreseen(
            state, rows_n[is_safe_n], action_nA[is_safe_n], num_held=1, num_steps=self._foresight, policy=self._go_on
        )
        astray_n[is_safe_n] = ahead.cost > self.check.config.threshold
        return astray_n

    def _order(
        self,
        state: Mapping[str, np.ndarray],
        rows_B: np.ndarray,
        seen_BO: np.ndarray,
        found_BA: np.ndarray,
        is_safe_nM: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """[n, M] the lower the better; of equal ones the first is taken, which is the most like the refused one. And
        [n, M] for how many steps each is best held."""
        order_B, held_B = np.zeros(len(rows_B)), np.ones(len(rows_B), np.int64)
        if self.check is not None and self._foresight:
            safe_B = is_safe_nM.ravel()
            order_B[safe_B], held_B[safe_B] = self._foresee(self.check, state, rows_B[safe_B], found_BA[safe_B])
        elif self._critic_has_a_say:
            assert self.critic is not None
            order_B = self.critic.danger(seen_BO, found_BA)
        return order_B.reshape(is_safe_nM.shape), held_B.reshape(is_safe_nM.shape)

    def _foresee(
        self, check: ModelCheck, state: Mapping[str, np.ndarray], rows_k: np.ndarray, action_kA: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """[k] ranks, the lower the better, of actions that are held for some steps; [k] for how many is best."""
        # After one that is held the policy is followed as far as after a proposal, and all are foreseen as far: whoever
        # waits before they go on is not to seem safer for what they come to later.
        num_steps = int(self._holds[-1]) + self._foresight - 1
        seen = [
            check.foreseen(state, rows_k, action_kA, num_held=int(held), num_steps=num_steps, policy=self._go_on)
            for held in self._holds
        ]
        # One that ends for other reasons than cost lasts no less for it.
        lasted_Hk = np.stack([np.where(one.cost > check.config.threshold, one.lasted, np.inf) for one in seen])
        reward_Hk = np.stack([one.reward for one in seen])
        rank_Hk = np.empty(lasted_Hk.size)
        rank_Hk[np.lexsort((-reward_Hk.ravel(), -lasted_Hk.ravel()))] = np.arange(lasted_Hk.size)
        rank_Hk = rank_Hk.reshape(lasted_Hk.shape)
        return rank_Hk.min(0), self._holds[rank_Hk.argmin(0)]

    def _within(
        self, seen_nO: np.ndarray, allowed: Allowed | None, rows_n: np.ndarray, found_nMA: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Candidates within mask and projection: [n, M, A], and [n, M] which there are."""
        n, M, A = found_nMA.shape
        may_nM = np.ones((n, M), bool)
        if allowed is not None and self._mask is not None:
            may_nM &= self._mask.permits(allowed.choices_NK[rows_n], found_nMA)
        if self._projection is not None:
            near_BA, exists_B = self._projection.nearest(np.repeat(seen_nO, M, 0), found_nMA.reshape(n * M, A))
            found_nMA, may_nM = near_BA.reshape(n, M, A), may_nM & exists_B.reshape(n, M)
        return found_nMA, may_nM

    def _weigh(
        self, state: Mapping[str, np.ndarray], rows_B: np.ndarray, seen_BO: np.ndarray, action_BA: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """[B] whether critic and check let each action pass; [B] what it comes to, by the check where there is one."""
        is_safe_B, cost_B = np.ones(len(action_BA), bool), np.zeros(len(action_BA))
        if self.critic is not None:
            cost_B = self.critic.danger(seen_BO, action_BA)
            is_safe_B &= (cost_B <= self.critic.config.threshold) | (not self.critic.has_a_say)
        if self.check is not None:
            cost_B = self.check.costs(state, rows_B, action_BA)
            is_safe_B &= cost_B <= self.check.config.threshold
        return is_safe_B, cost_B

    def _brake(self, twin: World, observation_BO: np.ndarray) -> np.ndarray:
        return self._fallback.actions(observation_BO)

    def _go_on(self, twin: World, observation_BO: np.ndarray) -> np.ndarray:
        assert self._policy is not None
        allowed = None if self._mask is None else self._mask.of(twin, observation_BO)
        return self._policy.act(observation_BO, None, allowed and allowed.choices_NK).cpu().numpy()
