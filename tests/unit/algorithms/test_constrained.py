"""Learners within budgets, on a world in which the best that a budget allows is known exactly."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, Space

from heeler.algorithms.constrained import ConstrainedPPO, ConstrainedState
from heeler.algorithms.cpo import CPO, CPOConfig
from heeler.algorithms.fixed_penalty import FixedPenalty, FixedPenaltyConfig
from heeler.algorithms.focops import FOCOPS, FOCOPSConfig
from heeler.algorithms.p3o import P3O, P3OConfig
from heeler.algorithms.ppo import PPOConfig
from heeler.algorithms.ppo_lagrangian import PPOLagrangian, PPOLagrangianConfig
from heeler.algorithms.rcpo import RCPO, RCPOConfig
from heeler.core.errors import ConfigError
from heeler.envs.world import BatchedWorld, Info
from heeler.evaluation.returns import evaluate
from heeler.models.policy import PolicyConfig
from heeler.rollouts.collector import Collector
from heeler.safety.costs import CostConfig
from heeler.safety.multipliers import MultiplierConfig, MultiplierState

LENGTH = 5
NUM_ENVS = 64
LEARNERS: dict[str, tuple[type[ConstrainedPPO[Any]], Any]] = {
    "ppo_lagrangian": (PPOLagrangian, PPOLagrangianConfig()),
    "ppo_lagrangian, adam": (
        PPOLagrangian,
        PPOLagrangianConfig(multiplier=MultiplierConfig(rule="adam", learning_rate=0.1)),
    ),
    "rcpo": (RCPO, RCPOConfig(multiplier=MultiplierConfig(rule="adam", learning_rate=0.1))),
    "focops": (FOCOPS, FOCOPSConfig()),
    "p3o": (P3O, P3OConfig()),
    "cpo": (CPO, CPOConfig(max_kl=0.02)),
    "fixed_penalty": (FixedPenalty, FixedPenaltyConfig()),
}
HELD = tuple(name for name in LEARNERS if name != "fixed_penalty")
SWINGING = ("ppo_lagrangian, adam", "rcpo")
"""Prices that follow the gradient alone swing about the budget where the best policy of a price is all or nothing, as
here; what they keep is the mean over time."""
STEADY = tuple(name for name in HELD if name not in SWINGING)


class Choice(BatchedWorld):
    """One state. Discrete: action 1 pays 1 and costs 1 in heat, action 2 pays .8 and costs 1 in wear, action 0 nothing.

    Box: the action, within 0 to 1, is the pay, and is paid for in heat.
    """

    cost_names = ("heat", "wear")

    def __init__(self, kind: str, num_envs: int = NUM_ENVS) -> None:
        space: Space[Any] = Discrete(3) if kind == "discrete" else Box(0.0, 1.0, (1,), np.float32)
        super().__init__(
            "Choice",
            num_envs,
            observation_space=Box(0.0, 1.0, (1,), np.float32),
            action_space=space,
            max_episode_steps=LENGTH,
        )
        self.kind = kind
        self.scale = 1.0
        self.cost = np.zeros((num_envs, 2))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        observation[:] = 1.0
        if self.kind == "discrete":
            reward = np.array([0.0, 1.0, 0.8])[actions]
            self.cost[:] = np.stack([actions == 1, actions == 2], 1)
        else:
            reward = actions[:, 0].astype(np.float64)
            self.cost[:, 0] = reward
        return reward, np.zeros(self.num_envs, bool)

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        observation[rows] = 1.0

    def _infos(self) -> Info:
        return {"cost": self.cost * self.scale}

    def _save(self) -> dict[str, np.ndarray]:
        return {"cost": self.cost.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.cost[:] = state["cost"]


def learner(
    name: str, costs: tuple[CostConfig, ...], world: Choice, own: Any = None, **settings: Any
) -> ConstrainedPPO[Any]:
    learner_class, usual = LEARNERS[name]
    config = PPOConfig(
        **(
            {
                "policy": PolicyConfig(hidden_sizes=(8,), normalize_observations=False),
                "learning_rate": 0.05,
                "minibatch_size": NUM_ENVS * LENGTH,
                "num_epochs": 4,
                "target_kl": None,
                "final_learning_rate_share": 0.1,
            }
            | settings
        )
    )
    space = world.single_action_space
    return learner_class(config, own or usual, costs, world.cost_names, world.observation_size, space)


def acting(world: Choice, num_steps: int = LENGTH) -> tuple[Collector, torch.Generator]:
    """Rollouts of whole episodes, unless told otherwise."""
    collector = Collector(world, num_steps, record_snapshots=False)
    collector.reset(0)
    return collector, torch.Generator().manual_seed(1)


def learned(
    one: ConstrainedPPO[Any], world: Choice, *, num_updates: int = 40, share: float = 1 / 3
) -> dict[str, float]:
    """Mean reward and costs of a step over the last share of learning."""
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    rows = []
    for update in range(num_updates):
        rollout = collector.collect(state.policy, noise, update)
        state, metrics = one.update(state, rollout, rollout.true_reward, progress=update / num_updates)
        assert all(math.isfinite(value) for value in metrics.values()), metrics
        rows.append([rollout.true_reward.mean(), *rollout.cost.mean((0, 1))])
    reward, heat, wear = np.mean(rows[-round(share * num_updates) :], 0)
    return {"reward": reward, "heat": heat, "wear": wear}


def held(name: str, kind: str, *costs: CostConfig, **length: Any) -> dict[str, float]:
    """What a learner comes to within budgets."""
    world = Choice(kind)
    return learned(learner(name, costs, world), world, **length)


def heat(share: float) -> CostConfig:
    """A budget for heat in so many of an episode's steps."""
    return CostConfig(name="heat", budget=share * LENGTH)


@pytest.mark.parametrize("name", STEADY)
def test_one_budget_is_kept_and_used(name: str):
    # Heat may be .3: three of ten times action 1, seven times action 2, is the best there is: .3 + .56.
    # An exact penalty nears its budget from below, and slowly.
    got = held(name, "discrete", heat(0.3), num_updates=80 if name == "p3o" else 40)
    assert got["heat"] == pytest.approx(0.3, abs=0.045)
    assert got["reward"] > 0.93 * 0.86


@pytest.mark.parametrize("name", STEADY)
def test_learning_aims_at_its_share_of_the_budget(name: str):
    aimed = CostConfig(name="heat", budget=0.6 * LENGTH, aim=0.5)
    got = held(name, "discrete", aimed, num_updates=80 if name == "p3o" else 40)
    assert got["heat"] == pytest.approx(0.3, abs=0.045)


@pytest.mark.parametrize("name", SWINGING)
def test_prices_by_gradient_keep_the_budget_over_time(name: str):
    got = held(name, "discrete", heat(0.3), num_updates=140 if name == "rcpo" else 80, share=0.9)
    assert got["heat"] == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("name", STEADY)
def test_two_budgets_at_once(name: str):
    # Heat .3 and wear .4: the best is .3 + .32.
    got = held(name, "discrete", heat(0.3), CostConfig(name="wear", budget=0.4, per="step"))
    assert got["heat"] == pytest.approx(0.3, abs=0.06)
    assert got["wear"] == pytest.approx(0.4, abs=0.06)
    assert got["reward"] > 0.85 * 0.62


@pytest.mark.parametrize("name", STEADY)
def test_box_actions(name: str):
    assert held(name, "box", heat(0.4))["heat"] == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize(("weight", "expected"), [(0.5, 1.0), (2.0, 0.0)])
def test_a_fixed_penalty_knows_no_budget(weight: float, expected: float):
    """With a weight below the pay all is taken, with one above it nothing: the reason for all the others."""
    world = Choice("box")
    one = learner("fixed_penalty", (heat(0.3),), world, FixedPenaltyConfig(weight=weight))
    assert learned(one, world)["heat"] == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("name", HELD)
def test_resume_is_bit_identical(name: str):
    costs = (CostConfig(name="heat", budget=3.0), CostConfig(name="wear", budget=2.0))
    world = Choice("discrete")
    one = learner(name, costs, world)

    def go(state: Any, collector: Collector, noise: torch.Generator, updates: range) -> list[dict[str, float]]:
        rows = []
        for update in updates:
            rollout = collector.collect(state.policy, noise, update)
            state, metrics = one.update(state, rollout, rollout.true_reward, progress=update / 6)
            rows.append(metrics)
        return rows

    state = one.init(0, world.num_envs)
    collector, noise = acting(world, 7)
    go(state, collector, noise, range(3))
    tensors = {key: value.clone() for key, value in one.tensors(state).items()}
    places, at = collector.state_dict(), noise.get_state()
    whole = go(state, collector, noise, range(3, 6))
    again = one.load_tensors(one.init(7, world.num_envs), tensors)
    other = Collector(Choice("discrete"), 7, record_snapshots=False)
    other.load_state_dict(places)
    resumed = torch.Generator()
    resumed.set_state(at)
    assert go(again, other, resumed, range(3, 6)) == whole


@pytest.mark.parametrize("name", HELD)
def test_rescaling_the_cost_does_not_change_the_meaning_of_its_price(name: str):
    """A cost in other units, its budget in them too, is learned from in the same way."""
    weights = []
    for scale in (1.0, 1024.0):
        world = Choice("discrete")
        world.scale = scale
        one = learner(name, (CostConfig(name="heat", budget=0.3 * LENGTH * scale),), world)
        state = one.init(0, world.num_envs)
        collector, noise = acting(world)
        for update in range(5):
            rollout = collector.collect(state.policy, noise, update)
            state, _ = one.update(state, rollout, rollout.true_reward, progress=0.0)
        weights.append(state.parameters.flat.detach().clone())
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_truncation_bootstraps_both_critics_and_termination_neither():
    """By the terminal observation's value; the cost's critic looks ahead by a discount of its own."""
    world = Choice("discrete", num_envs=2)
    cost = CostConfig(name="heat", budget=3.0, discount=0.5, trace_decay=0.0)
    one = learner("ppo_lagrangian", (cost,), world, trace_decay=0.0, normalize_rewards=False)
    collector, noise = acting(world)
    rollout = collector.collect(one.init(0, 2).policy, noise, 0)
    assert rollout.truncated[-1].all()
    last = torch.from_numpy(rollout.true_reward[-1]).float()
    for terminated in (False, True):
        rollout.terminated[-1], rollout.truncated[-1] = terminated, not terminated
        state = one.init(0, 2)
        samples, _ = one._prepare(state, rollout, rollout.true_reward)
        goes_on = 0.0 if terminated else 1.0
        value = state.policy.value(torch.ones(1, 1))[0]
        torch.testing.assert_close(samples.target_B.view(LENGTH, 2)[-1], last + goes_on * 0.99 * value)
        cost_value = state.critics(torch.ones(1, 1))[0, 0]
        got = samples.cost_target_BC.view(LENGTH, 2)[-1]
        torch.testing.assert_close(got, one_scaled(state, rollout)[-1] + goes_on * 0.5 * cost_value)


@torch.no_grad()
def test_each_cost_has_a_discount_and_a_trace_decay_of_its_own():
    """Against a plain loop over what the critics say; neither is the reward's."""
    world = Choice("discrete", num_envs=2)
    costs = (
        CostConfig(name="heat", budget=3.0, discount=0.5, trace_decay=0.8),
        CostConfig(name="wear", budget=3.0, discount=0.9, trace_decay=0.3),
    )
    one = learner("ppo_lagrangian", costs, world, discount=0.99, trace_decay=0.95)
    collector, noise = acting(world)
    rollout = collector.collect(one.init(0, 2).policy, noise, 0)
    state = one.init(0, 2)
    samples, _ = one._prepare(state, rollout, rollout.true_reward)
    value_C = state.critics(torch.ones(1, 1))[:, 0].tolist()
    for index, cost in enumerate(costs):
        scaled = rollout.cost[..., index] / state.cost_moments.variance.sqrt()[index].item()
        advantage, target = np.zeros(2), np.zeros((LENGTH, 2))
        for t in reversed(range(LENGTH)):
            # Each value is that of the one observation there is; the last step is cut, and bootstrapped.
            error = scaled[t] + cost.discount * value_C[index] - value_C[index]
            advantage = error + cost.discount * cost.trace_decay * advantage
            target[t] = advantage + value_C[index]
        got = samples.cost_target_BC[:, index].view(LENGTH, 2).numpy()
        np.testing.assert_allclose(got, target, rtol=1e-4, atol=1e-5)


def test_an_update_in_which_nothing_costs_blows_no_noise_up():
    """The spread that advantages are measured in follows slowly."""
    world = Choice("discrete")
    one = learner("ppo_lagrangian", (heat(0.3),), world)
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    rollout = collector.collect(state.policy, noise, 0)
    assert one._prepare(state, rollout, rollout.true_reward)[0].cost_advantage_BC.std().item() == pytest.approx(1.0)
    rollout.cost[:] = 0.0
    before = state.spread_C.clone()
    assert one._prepare(state, rollout, rollout.true_reward)[0].cost_advantage_BC.std().item() < 0.3
    assert 0.89 * before < state.spread_C < before


def test_what_an_episode_has_cost_so_far_counts_in_the_next_rollout_too():
    """The spread that costs are scaled by is that of sums that go on where the last rollout stopped."""
    world = Choice("discrete", num_envs=1)
    one = learner("ppo_lagrangian", (CostConfig(name="heat", budget=1.0, discount=0.5),), world)
    state = one.init(0, 1)
    collector, noise = acting(world, 2)
    sums = []
    carried = 0.0
    for update in range(3):
        rollout = collector.collect(state.policy, noise, update)
        rollout.cost[..., 0] = 1.0
        one._prepare(state, rollout, rollout.true_reward)
        for t in range(2):
            carried = 1.0 + 0.5 * carried
            sums.append(carried)
            carried *= not rollout.ended[t, 0]
    assert state.cost_moments.variance.item() == pytest.approx(np.var(sums), rel=1e-5)


def test_focops_is_slowed_in_its_trust_region_too():
    """Samples between a tenth of delta and delta teach nothing while it is slowed."""
    world = Choice("discrete")
    one = learner("focops", (heat(1.0),), world, FOCOPSConfig(max_kl=0.02))
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    rollout = collector.collect(state.policy, noise, 0)
    for pace, teaches in ((1.0, True), (0.1, False)):
        state.pace = pace
        samples, _ = one._prepare(state, rollout, rollout.true_reward)
        moved = one.fresh_policy(0)
        with torch.no_grad():
            moved.actor.layers[-1].bias.add_(torch.tensor([0.2, 0.0, 0.0]))
        output = moved.output(samples.observation_BO, samples.allowed_BL)
        kl = moved.head.kl(output, moved.log_std, samples.acted_BL, moved.log_std)
        assert kl.min() > 0.002 and kl.max() < 0.02
        loss = one.policy_loss(moved, samples, 0.2)[0]
        assert bool(loss != 0) is teaches


def one_scaled(state: ConstrainedState, rollout: Any) -> torch.Tensor:
    """[T, N] the first cost as its critic sees it."""
    return torch.from_numpy(rollout.cost[..., 0] / state.cost_moments.variance.sqrt()[0].item()).float()


def test_budgets_for_costs_that_the_world_does_not_have_are_refused():
    with pytest.raises(ConfigError, match=r"no cost 'haet'.*Did you mean 'heat'"):
        learner("cpo", (CostConfig(name="haet", budget=1.0),), Choice("box"))


@pytest.mark.parametrize("name", ["cpo", "focops", "ppo_lagrangian", "p3o"])
def test_a_slowed_learner_keeps_nearer_to_what_acted(name: str):
    moved = []
    for pace in (1.0, 0.1):
        world = Choice("box")
        one = learner(name, (CostConfig(name="heat", budget=100.0),), world)
        state = one.init(0, world.num_envs)
        collector = Collector(world, 2 * LENGTH, record_snapshots=False)
        collector.reset(0)
        rollout = collector.collect(state.policy, torch.Generator().manual_seed(1), 0)
        before = one._kl(state.policy, one._prepare(state, rollout, rollout.true_reward)[0])
        state = one.init(0, world.num_envs)
        state.pace = pace
        _, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
        samples = one._prepare(state, rollout, rollout.true_reward)[0]
        moved.append(one._kl(state.policy, samples))
        assert before == pytest.approx(0.0, abs=1e-6)
        if name == "cpo":
            assert 0 < metrics["step_kl"] <= 0.02 * pace
            assert metrics["step_share"] > 0.5, "the step itself is shorter, and not only the search along it"
    assert 0 <= moved[1] < 0.3 * moved[0]


@pytest.mark.parametrize("name", LEARNERS)
def test_no_finished_episode_is_no_update_of_prices_and_not_nan(name: str):
    world = Choice("discrete")
    one = learner(name, (heat(0.1),), world)
    state = one.init(0, world.num_envs)
    before = list(state.multipliers)
    collector, noise = acting(world, 2)
    for update in range(2):
        rollout = collector.collect(state.policy, noise, update)
        assert not len(rollout.final_index)
        state, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
        assert state.multipliers == before
        assert "cost_heat_level" not in metrics
        assert all(math.isfinite(value) for value in metrics.values()), metrics
    rollout = collector.collect(state.policy, noise, 2)
    rollout.cost[..., 0] = 1.0
    _, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
    assert metrics["cost_heat_level"] == pytest.approx(LENGTH)
    assert not before or state.multipliers[0].value > 0


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_is_paid_for_in_the_reward_and_through_a_price_at_once(name: str):
    world = Choice("discrete")
    one = learner(name, (heat(0.3),), world)
    collector, noise = acting(world)
    rollout = collector.collect(one.init(0, world.num_envs).policy, noise, 0)
    in_reward, in_advantage = [], []
    for price in (0.0, 7.0):
        state = one.init(0, world.num_envs)
        state.multipliers = [MultiplierState(value=price) for _ in state.multipliers]
        in_reward.append(one.priced_reward(state, rollout, rollout.true_reward))
        in_advantage.append(one._prepare(state, rollout, rollout.true_reward)[0].advantage_B)
    moves_reward = not np.array_equal(in_reward[0], in_reward[1])
    moves_advantage = not torch.equal(in_advantage[0], in_advantage[1])
    priced = name in ("ppo_lagrangian", "ppo_lagrangian, adam", "focops")
    assert (moves_reward, moves_advantage) == (name == "rcpo", priced)
    if name == "fixed_penalty":
        np.testing.assert_allclose(in_reward[0], rollout.true_reward - rollout.cost[..., 0])
    elif name != "rcpo":
        assert in_reward[0] is rollout.true_reward


def test_violations_cost_per_step_and_level_are_told_while_learning():
    world = Choice("discrete")
    one = learner("ppo_lagrangian", (heat(0.2),), world)
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    total = over = 0.0
    for update in range(3):
        rollout = collector.collect(state.policy, noise, update)
        state, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
        total += rollout.cost[..., 0].sum()
        over += (rollout.cost[..., 0].sum(0) > heat(0.2).budget).sum()
        assert metrics["cost_heat_per_step"] == pytest.approx(rollout.cost[..., 0].mean())
        assert metrics["cost_heat_level"] == pytest.approx(LENGTH * rollout.cost[..., 0].mean())
    assert (metrics["cost_heat_total"], metrics["cost_heat_episodes_over"]) == (total, over)
    assert over > 0


def test_evaluation_never_updates_statistics():
    """Neither the policy's own, nor those of the costs, nor what is known of budgets."""
    world = Choice("discrete")
    one = learner("ppo_lagrangian", (heat(0.3),), world, policy=PolicyConfig(hidden_sizes=(8,)))
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    rollout = collector.collect(state.policy, noise, 0)
    state, _ = one.update(state, rollout, rollout.true_reward, progress=0.0)
    before = {name: tensor.clone() for name, tensor in one.tensors(state).items()}
    evaluated = evaluate(state.policy, Choice("discrete", 8), seed=3)
    assert set(evaluated.figures) == {"cost_heat", "cost_wear"}
    after = one.tensors(state)
    assert all(torch.equal(before[name], after[name]) for name in before)


def cpo_step(
    monkeypatch: pytest.MonkeyPatch | None = None,
    worse: int = 0,
    by: tuple[float, ...] = (-1.0, 0.0),
    costs: tuple[CostConfig, ...] = (CostConfig(name="heat", budget=0.9 * LENGTH),),
    **own: Any,
) -> tuple[dict[str, float], bool]:
    """Figures of one update of CPO, and whether the policy moved; the first tries may be made to look worse, by so much
    in what is gained and what each cost rises by."""
    world = Choice("discrete")
    one = learner("cpo", costs, world, CPOConfig(**({"max_kl": 0.02} | own)))
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    rollout = collector.collect(state.policy, noise, 0)
    tries = 0
    if monkeypatch is not None:
        seen = CPO._surrogates

        def looked_at(one: CPO, policy: Any, samples: Any) -> torch.Tensor:
            nonlocal tries
            tries += 1
            # The first look is at the policy as it acted.
            return seen(one, policy, samples) + torch.tensor(by) * (2 <= tries <= 1 + worse)

        monkeypatch.setattr(CPO, "_surrogates", looked_at)
    before = state.policy.actor.layers[0].weight.detach().clone()
    _, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
    return metrics, not torch.equal(before, state.policy.actor.layers[0].weight)


def test_cpo_searches_along_its_step_until_it_holds(monkeypatch: pytest.MonkeyPatch):
    metrics, moved = cpo_step(monkeypatch, worse=3, shortening=0.5)
    assert (metrics["step_share"], moved) == (0.125, True)
    assert 0 < metrics["step_kl"] <= 0.02


@pytest.mark.parametrize("budget", [0.9, 0.25])
def test_cpo_searches_until_no_cost_is_above_where_it_may_be(monkeypatch: pytest.MonkeyPatch, budget: float):
    """Within the budget up to it, above it no higher than it was, however much is gained."""
    metrics, moved = cpo_step(monkeypatch, worse=2, by=(5.0, 5.0), costs=(heat(budget),), shortening=0.5)
    assert (metrics["cost_heat_level"] > budget * LENGTH) == (budget == 0.25)
    assert (metrics["step_share"], moved) == (0.25, True)


def test_cpo_comes_down_from_one_cost_at_no_others_expense(monkeypatch: pytest.MonkeyPatch):
    costs = (heat(0.1), CostConfig(name="wear", budget=0.4, per="step"))
    metrics, moved = cpo_step(monkeypatch, worse=2, by=(0.0, -0.3, 0.3), costs=costs, shortening=0.5)
    assert metrics["cost_heat_level"] > 0.1 * LENGTH and metrics["cost_wear_level"] < 0.4
    assert (metrics["step_share"], moved) == (0.25, True)


def test_cpo_stays_where_it_is_if_no_shortening_will_do(monkeypatch: pytest.MonkeyPatch):
    metrics, moved = cpo_step(monkeypatch, worse=100)
    assert (metrics["step_share"], metrics["step_kl"], moved) == (0.0, 0.0, False)


def test_cpo_keeps_to_its_kl_and_damping_keeps_it_shorter():
    plain, damped = cpo_step(damping=0.0)[0], cpo_step(damping=10.0)[0]
    assert 0.005 < plain["step_kl"] <= 0.02
    assert 0 < damped["step_kl"] < 0.5 * plain["step_kl"]


def test_cpo_recovers_where_no_step_keeps_the_budget():
    world = Choice("discrete")
    one = learner("cpo", (heat(0.0),), world, CPOConfig(max_kl=1e-4))
    state = one.init(0, world.num_envs)
    collector, noise = acting(world)
    spent = []
    for update in range(20):
        rollout = collector.collect(state.policy, noise, update)
        state, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
        assert metrics["step_recovers"] == 1.0
        spent.append(rollout.cost[..., 0].mean())
    assert np.mean(spent[-5:]) < np.mean(spent[:5]) - 0.02


def cpo_from(
    world: Choice, bias: list[float], *costs: CostConfig, num_updates: int, own: CPOConfig, **settings: Any
) -> tuple[np.ndarray, list[dict[str, float]], ConstrainedState]:
    """[updates, C] mean costs of a step, figures and last state of CPO that begins with a lean of its own."""
    one = learner("cpo", costs, world, own, **settings)
    state = one.init(0, world.num_envs)
    with torch.no_grad():
        state.policy.actor.layers[-1].bias += torch.tensor(bias)
    collector, noise = acting(world)
    spent, rows = [], []
    for update in range(num_updates):
        rollout = collector.collect(state.policy, noise, update)
        state, metrics = one.update(state, rollout, rollout.true_reward, progress=0.0)
        spent.append(rollout.cost.mean((0, 1)))
        rows.append(metrics)
    return np.array(spent), rows, state


def test_cpo_comes_down_to_a_budget_within_reach_though_the_reward_falls():
    """Pay is what heat costs here, so that whatever comes nearer to the budget earns less."""
    spent, rows, _ = cpo_from(Choice("box"), [0.5], heat(0.3), num_updates=12, own=CPOConfig(max_kl=0.02))
    assert spent[0, 0] > 0.45
    assert spent[-5:, 0].mean() == pytest.approx(0.3, abs=0.05)
    within_reach = [row for row in rows if row["cost_heat_level"] > 0.3 * LENGTH and not row["step_recovers"]]
    assert len(within_reach) >= 2
    assert all(row["step_share"] > 0 for row in within_reach)


def test_cpo_recovers_from_two_costs_at_once_though_one_falls_at_the_others_expense():
    costs = (heat(0.0), CostConfig(name="wear", budget=0.0))
    spent, rows, _ = cpo_from(Choice("discrete"), [-2.0, 1.0, 0.0], *costs, num_updates=15, own=CPOConfig(max_kl=0.005))
    assert all(row["step_recovers"] == 1 and row["step_share"] > 0 for row in rows)
    assert spent[4, 1] > spent[0, 1], "the smaller one rises at first"
    assert np.linalg.norm(spent[-1]) < 0.75 * np.linalg.norm(spent[0]), spent


def test_cpo_searches_until_its_true_kl_is_within_its_own():
    """From a policy that leans, a step goes further than the quadratic that it was reckoned by."""
    own = CPOConfig(max_kl=0.2, damping=0.0)
    _, rows, _ = cpo_from(Choice("discrete"), [3.0, -1.0, -1.0], heat(1.0), num_updates=1, own=own)
    assert 0 < rows[0]["step_share"] < 1.0
    assert 0.1 < rows[0]["step_kl"] <= 0.2


def test_cpo_takes_a_bonus_for_entropy():
    """Nothing is paid: without the bonus nothing has a reason to move, with it the lean is given up."""
    leaned = []
    for bonus in (0.0, 0.1):
        world = Choice("discrete")
        one = learner("cpo", (heat(1.0),), world, CPOConfig(max_kl=0.02), entropy_coefficient=bonus)
        state = one.init(0, world.num_envs)
        with torch.no_grad():
            state.policy.actor.layers[-1].bias += torch.tensor([2.0, 0.0, 0.0])
        collector, noise = acting(world)
        for update in range(8):
            rollout = collector.collect(state.policy, noise, update)
            state, _ = one.update(state, rollout, 0 * rollout.true_reward, progress=0.0)
        leaned.append(torch.softmax(state.policy.actor(torch.ones(1, 1)), -1)[0, 0].item())
    assert leaned[1] < leaned[0] - 0.15


def test_cpos_critics_learn_on_though_its_step_went_further_than_ppo_would():
    _, rows, _ = cpo_from(
        Choice("discrete"), [0.0, 0.0, 0.0], heat(1.0), num_updates=1, own=CPOConfig(max_kl=0.1), target_kl=0.01
    )
    assert rows[0]["kl"] > 0.01
    assert rows[0]["num_epochs"] == 4
