"""What learners that are held within budgets share: a critic for each cost, its price, and what is known of both.

What the prices do is each learner's own: `ppo_lagrangian`, `rcpo`, `p3o`, `focops`, `cpo`, `fixed_penalty`.
Shapes: T steps, N environments, B samples, C costs, O observation numbers.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.ppo import PPO, LossParts, PPOConfig, PPOState, Samples, Seen, advantages
from heeler.core.named import under
from heeler.core.rollout import Rollout
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.optimizers import Adam
from heeler.ops.policy_gradient import explained_variance
from heeler.ops.returns import discounted_sums
from heeler.safety.costs import CostConfig, CostMeter, check_costs
from heeler.safety.multipliers import MultiplierConfig, MultiplierState, first_state, moved

_SPREAD_DECAY = 0.9
"""Of the running spread of a cost's advantages, so that an update in which nothing costs does not blow noise up."""


@dataclass(kw_only=True)
class ConstrainedState(PPOState):
    """All that learning within budgets changes."""

    critics: EnsembleMLP
    """One network a cost."""
    cost_parameters: FlatParameters
    cost_optimizer: Adam
    cost_moments: RunningMoments
    """Of running discounted sums of each cost: what the critics' targets are scaled by."""
    running_cost_NC: Tensor
    """Discounted sum so far in each environment."""
    spread_C: Tensor
    """Running spread of each cost's advantages; 0 before the first update."""
    multipliers: list[MultiplierState]
    """The price of each cost."""
    meter: CostMeter
    levels: list[float | None]
    """What each cost came to in the last rollout, in its budget's terms."""
    cost_explained: float = 0.0
    """How much of the costs' returns their critics had explained."""


Own = TypeVar("Own")
"""A learner's settings beside those of PPO."""


class ConstrainedPPO(PPO, Generic[Own]):
    """PPO with costs beside the reward.

    Args:
        config: of PPO.
        own: the learner's own settings.
        costs: with their budgets.
        cost_names: the world's.
        observation_size: O.
        action_space: of one environment.

    Raises:
        ConfigError: a budget is for no cost of the world, or there are two for one.
    """

    def __init__(
        self,
        config: PPOConfig,
        own: Own,
        costs: Sequence[CostConfig],
        cost_names: Sequence[str],
        observation_size: int,
        action_space: gymnasium.Space,
    ) -> None:
        super().__init__(config, observation_size, action_space)
        check_costs(costs, cost_names, "the world")
        self.own, self.costs, self.cost_names = own, tuple(costs), tuple(cost_names)
        self.multiplier: MultiplierConfig | None = getattr(own, "multiplier", None)
        """How prices move; None for a learner that has none."""
        self._beside_costs = ThreadPoolExecutor(max_workers=1, thread_name_prefix="costs")

    def init(self, seed: int, num_envs: int) -> ConstrainedState:
        """A fresh policy, fresh critics and first prices."""
        base = super().init(seed, num_envs)
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            hidden, activation = self.config.policy.hidden_sizes, self.config.policy.activation
            critics = EnsembleMLP(len(self.costs), self.observation_size, hidden, activation).to(self.config.device)
        parameters = FlatParameters(critics)
        return ConstrainedState(
            **vars(base),
            critics=critics,
            cost_parameters=parameters,
            cost_optimizer=Adam(parameters.flat, learning_rate=self.config.learning_rate, epsilon=1e-5),
            cost_moments=RunningMoments(len(self.costs)),
            running_cost_NC=torch.zeros(num_envs, len(self.costs)),
            spread_C=torch.zeros(len(self.costs)),
            multipliers=[first_state(self.multiplier)] * len(self.costs) if self.multiplier else [],
            meter=CostMeter(self.costs, self.cost_names),
            levels=[None] * len(self.costs),
        )

    def tensors(self, state: PPOState) -> dict[str, Tensor]:
        """What a checkpoint keeps; what is of costs stands under `costs.`."""
        assert isinstance(state, ConstrainedState)
        tensors = {f"optimizer.{name}": tensor for name, tensor in state.cost_optimizer.tensors().items()}
        tensors |= {f"moments.{name}": tensor for name, tensor in state.cost_moments.tensors().items()}
        tensors |= {
            "critics": state.cost_parameters.flat.detach(),
            "running_cost": state.running_cost_NC,
            "spread": state.spread_C,
            "multipliers": torch.tensor([one.to_numbers() for one in state.multipliers], dtype=torch.float64),
        } | {f"meter.{name}": torch.from_numpy(array) for name, array in state.meter.arrays().items()}
        return super().tensors(state) | {f"costs.{name}": tensor for name, tensor in tensors.items()}

    def load_tensors(self, state: PPOState, tensors: dict[str, Tensor]) -> PPOState:
        """Go on from what `tensors` returned, bit for bit."""
        assert isinstance(state, ConstrainedState)
        own = under("costs.", tensors)
        state.cost_optimizer.load_tensors(under("optimizer.", own))
        state.cost_moments.load_tensors(under("moments.", own))
        with torch.no_grad():
            state.cost_parameters.flat.copy_(own["critics"])
        state.running_cost_NC, state.spread_C = own["running_cost"], own["spread"]
        state.multipliers = [MultiplierState.from_numbers(row) for row in own["multipliers"].tolist()]
        state.meter.load({name: tensor.numpy() for name, tensor in under("meter.", own).items()})
        return super().load_tensors(state, tensors)

    def update(
        self, state: PPOState, rollout: Rollout, reward: np.ndarray, *, progress: float
    ) -> tuple[PPOState, dict[str, float]]:
        """One round of learning, after the prices have moved by what the rollout cost."""
        assert isinstance(state, ConstrainedState)
        state.levels = state.meter.add(rollout)
        if self.multiplier:
            state.multipliers = [
                moved(self.multiplier, before, None if level is None else level / cost.scale, cost.aimed / cost.scale)
                for cost, before, level in zip(self.costs, state.multipliers, state.levels, strict=True)
            ]
        _, metrics = super().update(state, rollout, self.priced_reward(state, rollout, reward), progress=progress)
        return state, metrics | self._cost_metrics(state)

    def priced_reward(self, state: ConstrainedState, rollout: Rollout, reward: np.ndarray) -> np.ndarray:
        """[T, N] what is maximised: the reward as it is, unless a learner takes the costs off it."""
        return reward

    def _cost_metrics(self, state: ConstrainedState) -> dict[str, float]:
        metrics = {"cost_explained_variance": state.cost_explained}
        meter = state.meter
        known = zip(self.costs, state.levels, meter.rates, meter.totals, meter.num_over, strict=True)
        for cost, level, rate, total, num_over in known:
            metrics |= {
                f"cost_{cost.name}_per_step": float(rate),
                f"cost_{cost.name}_budget": cost.budget,
                f"cost_{cost.name}_total": float(total),
                f"cost_{cost.name}_episodes_over": float(num_over),
            }
            if level is not None:
                metrics[f"cost_{cost.name}_level"] = level
        prices = zip(self.costs, state.multipliers, strict=True) if self.multiplier else ()
        return metrics | {f"multiplier_{cost.name}": price.value for cost, price in prices}

    def excess(self, state: ConstrainedState) -> Tensor:
        """[C] how far each cost is above its budget a step, in spreads of its advantages; negative below it."""
        # What papers write as (1 - gamma)(J - budget) is, for sums that are not discounted, the excess of a step.
        excess_C = torch.from_numpy(state.meter.excess_per_step())
        spread_C = state.spread_C * state.cost_moments.variance.sqrt()
        return (excess_C / (spread_C + 1e-8)).float().to(self.config.device)

    def prices(self, state: ConstrainedState) -> Tensor:
        """[C] float32 multipliers."""
        return torch.tensor([one.value for one in state.multipliers], device=self.config.device)

    def _cost_advantages(self, state: PPOState, rollout: Rollout, seen: Seen) -> tuple[Tensor, Tensor]:
        assert isinstance(state, ConstrainedState)
        device = self.config.device
        scaled_TNC = self._scaled_cost(state, rollout).to(device)
        value_CTN = state.critics(seen.observation_TNO.flatten(0, 1)).view(-1, *seen.observation_TNO.shape[:2])
        final_CE = state.critics(seen.final_EO)
        per_cost = [
            advantages(
                scaled_TNC[..., index],
                value_CTN[index],
                final_CE[index],
                seen,
                discount=cost.discount,
                trace_decay=cost.trace_decay,
            )
            for index, cost in enumerate(self.costs)
        ]
        advantage_TNC = torch.stack(per_cost, -1)
        value_TNC = value_CTN[:, :-1].permute(1, 2, 0)
        target_TNC = advantage_TNC + value_TNC
        state.cost_explained = explained_variance(value_TNC.flatten(), target_TNC.flatten())
        spread_C = advantage_TNC.flatten(0, 1).std(0).cpu()
        known = state.spread_C > 0
        state.spread_C = torch.where(known, state.spread_C.lerp(spread_C, 1 - _SPREAD_DECAY), spread_C)
        advantage_TNC = (advantage_TNC - advantage_TNC.mean((0, 1))) / (state.spread_C.to(device) + 1e-8)
        return advantage_TNC, target_TNC

    def _scaled_cost(self, state: ConstrainedState, rollout: Rollout) -> Tensor:
        """[T, N, C] costs in units of the spread of their discounted sums, whatever units they come in."""
        cost_TNC = torch.from_numpy(state.meter.of(rollout).astype(np.float32))
        ended_TN = torch.from_numpy(rollout.ended)
        sums, running = [], []
        for index, cost in enumerate(self.costs):
            sum_TN, carried_N = discounted_sums(
                cost_TNC[..., index], ended_TN, state.running_cost_NC[:, index], discount=cost.discount
            )
            sums.append(sum_TN)
            running.append(carried_N)
        state.running_cost_NC = torch.stack(running, -1)
        state.cost_moments.update(torch.stack(sums, -1).flatten(0, 1))
        # A cost that never came yet has no spread, and is nought in any unit.
        variance_C = state.cost_moments.variance.float()
        return cost_TNC / torch.where(variance_C > 0, variance_C, torch.ones_like(variance_C)).sqrt()

    def _step(self, state: PPOState, batch: Samples, clip: float) -> LossParts:
        assert isinstance(state, ConstrainedState)
        state.cost_optimizer.learning_rate = state.optimizer.learning_rate
        learned = self._beside_costs.submit(self._learn_costs, state, batch)
        parts = super()._step(state, batch, clip)
        learned.result()
        return parts

    def _learn_costs(self, state: ConstrainedState, batch: Samples) -> None:
        """One gradient step of the costs' critics."""
        state.cost_parameters.zero_grad()
        error_BC = state.critics(batch.observation_BO).T - batch.cost_target_BC
        (self.config.value_coefficient * 0.5 * error_BC.square().mean(0).sum()).backward()
        state.cost_parameters.clip_grad_norm(self.config.max_gradient_norm)
        state.cost_optimizer.step()
