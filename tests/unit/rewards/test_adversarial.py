"""Rewards from demonstrations: what they learn in tables, what an end is worth, and that they see what they should."""

import math
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from scipy import stats

from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import ConfigError
from heeler.models.policy import Policy, PolicyConfig
from heeler.ops.imitation import RewardForm, end_logit, gail_reward
from heeler.rewards.airl import AIRL, AIRLConfig
from heeler.rewards.density import Density, DensityConfig
from heeler.rewards.discriminator import DiscriminatorConfig, StepBatch, slope_penalty
from heeler.rewards.ends import Ends
from heeler.rewards.gail import GAIL, GAILConfig
from heeler.rewards.shown_steps import StepSpace
from heeler.rollouts.collector import Collector
from tests.shown import BOX, CHOICES, of_identity, some
from tests.toy_worlds import Corridor, Identity, TwoPlaces
from tests.unit.rewards.comparisons import rollout

PLAIN = DiscriminatorConfig(gradient_penalty=0.0, learning_rate=0.02, num_gradient_steps=200, minibatch_size=512)
REWARDS = ["gail", "airl", "density"]


def reward_of(name: str, shown: Demonstrations | None, space: Any = BOX, size: int = 3, **settings: Any) -> Any:
    if name == "density":
        return Density(DensityConfig(**settings), size, space, shown)
    made = GAIL(GAILConfig(**settings), size, space, shown, discount=0.9) if name == "gail" else None
    return made or AIRL(AIRLConfig(**settings), size, space, shown, discount=0.9)


def policy_of(size: int = 3, space: Any = BOX) -> Policy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Policy(PolicyConfig(hidden_sizes=(8,)), size, space)


# Which world the demonstrations are of does not matter to these: a rollout of random numbers is the learner's.


@pytest.mark.parametrize("name", REWARDS)
def test_same_seed_same_reward_and_saved_it_goes_on_bit_for_bit(name: str):
    settings = {} if name == "density" else {"discriminator": DiscriminatorConfig(num_rollouts_kept=3)}
    made = [reward_of(name, some(4), **settings) for _ in range(2)]
    policy, rollouts = policy_of(), [rollout(seed=seed) for seed in range(4)]
    states = [one.init(5) for one in made]
    for one in rollouts[:3]:
        states = [reward.update(state, one, policy)[0] for reward, state in zip(made, states, strict=True)]
    assert torch.equal(*(reward.reward(s, rollouts[3], policy) for reward, s in zip(made, states, strict=True)))
    saved = {name: tensor.clone() for name, tensor in made[0].tensors(states[0]).items()}
    loaded = made[1].load_tensors(made[1].init(99), saved)
    (first, told), (second, same) = (
        reward.update(state, rollouts[3], policy) for reward, state in zip(made, (states[0], loaded), strict=True)
    )
    assert told == same
    for name, tensor in made[0].tensors(first).items():
        assert torch.equal(tensor, made[1].tensors(second)[name]), name


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "box"])
def test_every_kind_of_action_is_rewarded(name: str, kind: str):
    world = Identity(kind, 4)
    reward = reward_of(name, of_identity(kind), world.single_action_space, world.observation_size)
    collector = Collector(world, 10, record_snapshots=False)
    collector.reset(0)
    policy = policy_of(world.observation_size, world.single_action_space)
    acted = collector.collect(policy, torch.Generator().manual_seed(0), 0)
    state, _ = reward.update(reward.init(0), acted, policy)
    got = reward.reward(state, acted, policy)
    assert got.shape == (10, 4)
    assert torch.isfinite(got).all() and got.std() > 0


@pytest.mark.parametrize("name", REWARDS)
def test_what_followed_the_last_action_is_what_ended_the_episode_not_the_reset(name: str):
    """A trap: a reward that sees the next observation must not see the first one of another episode there."""
    world = Corridor(2)
    collector = Collector(world, 4, record_snapshots=False)
    collector.reset(0)
    acted = collector.collect(policy_of(1, world.single_action_space), torch.Generator().manual_seed(0), 0)
    batch = StepSpace(1, world.single_action_space).acted(acted, None)
    assert batch.next_observation_BO.view(4, 2)[1, 0].item() == 2.0
    assert batch.next_observation_BO.view(4, 2)[2, 1].item() == 3.0
    assert batch.terminated_B.view(4, 2).sum().item() == batch.terminated_B.view(4, 2)[:, 0].sum().item() == 2.0
    shown = some(3, observation_size=1, action="choices")
    for one in shown.episodes:
        one.action[:] = 0
    reward = reward_of(name, shown, world.single_action_space, 1, inputs=("next_observation",))
    state, _ = reward.update(reward.init(0), acted, policy_of(1, world.single_action_space))
    altered = replace(acted, observation=acted.observation.copy())
    altered.observation[2, 0] = altered.observation[3, 1] = 99.0
    policy = policy_of(1, world.single_action_space)
    before, after = reward.reward(state, acted, policy), reward.reward(state, altered, policy)
    if name != "airl":
        # The resets are what the next steps begin with, and of those AIRL's potential is asked.
        assert torch.equal(before, after)
    assert torch.equal(before[1, 0], after[1, 0]) and torch.equal(before[2, 1], after[2, 1])


def table(counts: dict[int, int]) -> Demonstrations:
    """Steps of one state, by how often each choice was made."""
    action = np.repeat(list(counts), list(counts.values()))[:, None]
    still = np.zeros((len(action) + 1, 3), np.float32)
    return Demonstrations(episodes=(Demonstration(observation=still, action=action, terminated=False),))


def rollout_of(counts: dict[int, int]) -> Any:
    action = np.repeat(list(counts), list(counts.values()))[:, None, None]
    num = len(action)
    made = rollout(num_steps=num, num_envs=1, action=action, executed=action)
    return replace(made, observation=np.zeros((num + 1, 1, 3), np.float32))


@pytest.mark.parametrize("inputs", [("action",), ("observation", "action")])
def test_a_discriminator_trained_in_a_table_is_p_over_p_plus_q(inputs: Any):
    """The trap of normalising the two sides apart, and of sides of different sizes: 10 steps against 100."""
    gail = GAIL(GAILConfig(inputs=inputs, discriminator=PLAIN), 3, CHOICES, table({0: 5, 1: 3, 2: 2}), discount=0.9)
    state = gail.init(0)
    state, told = gail.update(state, rollout_of({0: 20, 1: 20, 2: 60}), policy_of(3, CHOICES))
    batch = gail.space.acted(rollout_of({0: 1, 1: 1, 2: 1}), None)
    d = torch.sigmoid(gail.logit(state, state.discriminator.scale(batch))).detach().numpy()
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    np.testing.assert_allclose(d, p / (p + q), atol=0.04)
    assert 0.5 < told["discriminator_accuracy"] < 0.8


def test_airl_in_a_table_finds_the_log_of_the_experts_frequencies_whatever_the_policy():
    """Where D is p/(p+q), f is log p: what the policy does drops out, as its likelihood is known and not learned."""
    airl = AIRL(
        AIRLConfig(inputs=("action",), discriminator=PLAIN), 3, CHOICES, table({0: 5, 1: 3, 2: 2}), discount=0.9
    )
    policy = policy_of(3, CHOICES)
    with torch.no_grad():
        for parameter in policy.actor.parameters():
            parameter.zero_()
        policy.actor.layers[-1].bias.copy_(torch.log(torch.tensor([0.2, 0.2, 0.6])))
    state = airl.init(0)
    for _ in range(3):
        state, _ = airl.update(state, rollout_of({0: 20, 1: 20, 2: 60}), policy)
    batch = airl.space.acted(rollout_of({0: 1, 1: 1, 2: 1}), policy)
    value = airl.value(state, state.discriminator.scale(batch), batch.terminated_B).detach().numpy()
    np.testing.assert_allclose(value, np.log([0.5, 0.3, 0.2]), atol=0.15)


def test_the_gradient_of_airls_loss_is_by_enumeration_what_it_is_by_differences():
    airl = AIRL(AIRLConfig(), 3, BOX, some(2), discount=0.9)
    state = airl.init(0)
    for parameter in state.discriminator.networks.parameters():
        parameter.data = parameter.data.double()
    batches = [airl.space.shown(some(2), None), airl.space.acted(rollout(seed=1), None)]
    batches = [StepBatch._make(tensor.double() for tensor in batch) for batch in batches]
    seen = [torch.cat([b.observation_BO, b.action_BK, b.next_observation_BO], -1) for b in batches]

    def loss() -> torch.Tensor:
        logit = [airl.value(state, x, b.terminated_B) - b.log_prob_B for x, b in zip(seen, batches, strict=True)]
        return 0.5 * (torch.log1p(torch.exp(-logit[0])).mean() + torch.log1p(torch.exp(logit[1])).mean())

    weight = airl_weight(state)
    (slope,) = torch.autograd.grad(loss(), weight)
    for place in ((0, 0), (3, 2)):
        kept = weight.data[place].item()
        values = []
        for step in (1e-6, -1e-6):
            weight.data[place] = kept + step
            values.append(loss().item())
        weight.data[place] = kept
        assert slope[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


def airl_weight(state: Any) -> torch.nn.Parameter:
    return state.discriminator.networks.potential.layers[0].weight


def test_the_slope_penalty_of_a_linear_logit_by_hand():
    gail = GAIL(GAILConfig(), 3, BOX, some(2), discount=0.9)
    state = gail.init(0).discriminator
    batch = gail.space.acted(rollout(), None)
    x = state.scale(batch)
    weight = torch.zeros(x.shape[1])
    weight[0], weight[4] = 3.0, 4.0
    assert slope_penalty(state, lambda x_BX, _: x_BX @ weight, [(batch, x), (batch, x)]).item() == pytest.approx(16.0)


def test_steps_of_both_sides_are_normalised_by_the_same_numbers():
    """A trap: each side in its own spreads would look alike, or be told apart by its units alone."""
    far = some(4)
    for one in far.episodes:
        one.observation[:] = one.observation * 10 + 100
    gail = GAIL(GAILConfig(), 3, BOX, far, discount=0.9)
    state, _ = gail.update(gail.init(0), rollout(), policy_of())
    scale = state.discriminator.scale
    shown, acted = scale(gail.space.shown(far, None))[:, :3], scale(gail.space.acted(rollout(), None))[:, :3]
    assert shown.mean() > 0.5 and acted.mean() < -0.5
    assert abs(float(shown.mean() + acted.mean())) < 0.2


# What an end is worth


def returns_of_two_ways(form: RewardForm, *, count_ends: bool, expert_ends: bool, discount: float = 0.95) -> Any:
    """Expected returns of going on for ever and of ending at once, against a learner that does each half of the time.

    One state, two choices: 0 goes on and 1 ends. The expert always does the one or the other; D is known.
    """
    p = np.array([0.0, 1.0]) if expert_ends else np.array([1.0, 0.0])
    q = np.array([0.5, 0.5])
    logit = np.log((p + 1e-3) / (q + 1e-3))
    paid = gail_reward(torch.from_numpy(logit), form).numpy()
    # A learner that ends in half of its steps; an expert that ends in all or in none of them.
    after = 0.0
    if count_ends:
        end = end_logit(100.0 * expert_ends, 100.0, 50.0, 100.0, discount=discount)
        after = gail_reward(torch.tensor(end), form).item() * discount / (1 - discount)
    return paid[0] / (1 - discount), paid[1] + after


def test_gails_survive_form_pays_for_staying_alive_where_the_expert_ends():
    """The trap: -log(1 - D) >= 0 makes going on, which the expert never does, worth more than ending as it does."""
    going_on, ending = returns_of_two_ways("survive", count_ends=False, expert_ends=True)
    assert going_on >= 0
    # However right the discriminator is, whoever loops through a step that looks half right is paid for ever.
    half_right = math.log(2) / (1 - 0.95)
    assert half_right > ending
    counted = returns_of_two_ways("survive", count_ends=True, expert_ends=True)
    assert counted[1] > half_right


def test_gails_finish_form_pays_for_ending_where_the_expert_goes_on():
    """log D <= 0 makes falling at once cheaper than to go on as the expert does, unless ends are counted."""
    going_on, ending = returns_of_two_ways("finish", count_ends=False, expert_ends=False)
    assert ending > going_on
    going_on, ending = returns_of_two_ways("finish", count_ends=True, expert_ends=False)
    assert going_on > ending


@pytest.mark.parametrize("form", ["survive", "finish", "logit"])
@pytest.mark.parametrize("expert_ends", [True, False])
def test_with_ends_counted_every_form_prefers_what_the_expert_did(form: RewardForm, expert_ends: bool):
    going_on, ending = returns_of_two_ways(form, count_ends=True, expert_ends=expert_ends)
    assert (ending > going_on) == expert_ends


def test_a_learner_loops_for_the_survive_form_and_ends_once_ends_are_counted():
    """Two places: the expert goes to the second and ends there; a learner may go to and fro until it is cut."""
    length = {count: learned_length(count_ends=count) for count in (False, True)}
    assert length[False] > 15
    assert length[True] < 3


def learned_length(*, count_ends: bool) -> float:
    """Mean length of the last episodes of PPO under GAIL."""
    world = TwoPlaces(16)
    seen = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    shown = Demonstration(observation=seen, action=np.array([[0], [1]]), terminated=True)
    discriminator = DiscriminatorConfig(learning_rate=0.01, num_gradient_steps=4, minibatch_size=128)
    config = GAILConfig(count_ends=count_ends, hidden_sizes=(16,), discriminator=discriminator)
    gail = GAIL(config, 2, world.single_action_space, Demonstrations(episodes=(shown,) * 4), discount=0.95)
    ppo_config = PPOConfig(
        policy=PolicyConfig(hidden_sizes=(16,), normalize_observations=False),
        discount=0.95,
        learning_rate=0.01,
        num_epochs=4,
        minibatch_size=128,
        target_kl=None,
        final_learning_rate_share=1.0,
    )
    ppo = PPO(ppo_config, 2, world.single_action_space)
    collector = Collector(world, 16, record_snapshots=False)
    collector.reset(0)
    state, reward, noise = ppo.init(0, 16), gail.init(0), torch.Generator().manual_seed(0)
    lengths: list[float] = []
    for update in range(60):
        acted = collector.collect(state.policy, noise, update)
        reward, _ = gail.update(reward, acted, state.policy)
        state, _ = ppo.update(state, acted, gail.reward(reward, acted, state.policy).numpy(), progress=update / 60)
        lengths.append(acted.ended.size / max(1, acted.ended.sum()))
    return float(np.mean(lengths[-5:]))


def test_ends_against_a_count():
    ends = Ends.of(Demonstrations(episodes=(*some(1, terminated=True).episodes, *some(2).episodes[1:])))
    assert ends.expert == (1.0, 9.0)
    terminated = np.zeros((6, 2), bool)
    terminated[2, 0] = True
    ends.learn(rollout(num_steps=6, num_envs=2, terminated=terminated))
    ends.learn(rollout(num_steps=6, num_envs=2))
    assert ends.learner == pytest.approx((0.9, 0.9 * 12 + 12))
    wanted = math.log((10 + 1) / (10 + 9 + 2)) - math.log((9 + 1) / (9 + 22.8 + 2))
    worth = ends.worth(torch.tensor([0.0, 1.0]), "logit", discount=0.9)
    assert worth.tolist() == pytest.approx([0.0, wanted * 9], rel=1e-5)


def test_what_lasts_for_ever_needs_a_discount():
    for made in (GAIL, AIRL):
        config = GAILConfig() if made is GAIL else AIRLConfig()
        with pytest.raises(ConfigError, match="count_ends needs an algorithm"):
            made(config, 3, BOX, some(2), discount=1.0)  # type: ignore[arg-type]


# Density


@pytest.mark.parametrize("inputs", [("observation",), ("observation", "action"), ("observation", "next_observation")])
def test_the_kernel_against_a_loop(inputs: Any):
    shown = some(3)
    density = Density(DensityConfig(inputs=inputs, bandwidth=0.7), 3, BOX, shown)
    state, _ = density.update(density.init(0), rollout(), policy_of())
    steps, acted = density.space.shown(shown, None), density.space.acted(rollout(), None)
    parts = [[getattr(batch, name) for name in FIELDS if NAMES[name] in inputs] for batch in (steps, acted)]
    mine, theirs = (torch.cat(some, -1).double().numpy() for some in parts)
    spread = mine.std(0)

    def log_density(x: np.ndarray) -> float:
        distances = [np.sum(((x - one) / spread) ** 2) for one in mine]
        return math.log(np.mean([math.exp(-d / (2 * 0.7**2 * len(x))) for d in distances]))

    own = np.array([log_density(x) for x in mine])
    got = density.reward(state, rollout(), policy_of()).ravel().numpy()
    logs = np.array([log_density(x) for x in theirs])
    wanted = (logs - np.quantile(logs, 0.05)) / own.std()
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)


NAMES = {"observation_BO": "observation", "action_BK": "action", "next_observation_BO": "next_observation"}
FIELDS = tuple(NAMES)


def test_the_gaussian_against_scipy():
    shown = some(6)
    density = Density(DensityConfig(kind="gaussian", inputs=("observation",), form="finish"), 3, BOX, shown)
    state = density.init(0)
    seen = shown.steps.observation.astype(np.float64)
    normal = stats.multivariate_normal(seen.mean(0), np.cov(seen.T, bias=True) + 1e-3 * np.eye(3))
    acted = rollout()
    logs = normal.logpdf(acted.observation[:-1].reshape(-1, 3))
    own = normal.logpdf(seen)
    wanted = np.minimum((logs - own.max()) / own.std(), 0.0)
    got = density.reward(state, acted, policy_of()).ravel().numpy()
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)
    assert (got <= 0).all()


@pytest.mark.parametrize(
    ("config_class", "bad"),
    [
        (DiscriminatorConfig, {"learning_rate": 0.0}),
        (DiscriminatorConfig, {"num_gradient_steps": 0}),
        (DiscriminatorConfig, {"minibatch_size": 0}),
        (DiscriminatorConfig, {"gradient_penalty": math.inf}),
        (DiscriminatorConfig, {"weight_decay": -1.0}),
        (DiscriminatorConfig, {"num_rollouts_kept": 0}),
        (DiscriminatorConfig, {"activation": "step"}),
        (GAILConfig, {"inputs": ()}),
        (GAILConfig, {"inputs": ("observation", "observation")}),
        (GAILConfig, {"form": "best"}),
        (GAILConfig, {"hidden_sizes": ()}),
        (AIRLConfig, {"inputs": ("reward",)}),
        (AIRLConfig, {"form": "best"}),
        (AIRLConfig, {"potential_hidden_sizes": (0,)}),
        (DensityConfig, {"kind": "histogram"}),
        (DensityConfig, {"inputs": ()}),
        (DensityConfig, {"bandwidth": 0.0}),
        (DensityConfig, {"max_steps": 0}),
        (DensityConfig, {"form": "logit"}),
    ],
)
def test_bad_settings_are_refused(config_class: Any, bad: dict[str, Any]):
    (name,) = bad
    with pytest.raises(ConfigError, match=name):
        config_class(**bad)


def test_settings_of_the_kernel_are_refused_for_the_gaussian():
    with pytest.raises(ConfigError, match="bandwidth is for the kernel and would be ignored"):
        DensityConfig(kind="gaussian", bandwidth=1.0)


NUM_PLACES, WANTED = 7, np.eye(7)[3]
STEPS_ON = {"as shown": (-1, 1), "the other way round": (1, -1)}


def soft_values(paid_SA: np.ndarray, moves: tuple[int, int]) -> np.ndarray:
    """[S, A] of a ring on which each action moves by its own number, by value iteration."""
    places, value_S = np.arange(NUM_PLACES), np.zeros(NUM_PLACES)
    for _ in range(500):
        after_SA = np.stack([value_S[(places + move) % NUM_PLACES] for move in moves], 1)
        q_SA = paid_SA + 0.9 * after_SA
        value_S = np.log(np.exp(q_SA).sum(1))
    return q_SA - value_S[:, None]


def walked(log_policy_SA: np.ndarray, num_steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """([T+1, S] places as vectors, [T, 1] actions)."""
    generator, place, places, actions = np.random.default_rng(seed), 0, [0], []
    for _ in range(num_steps):
        actions.append(int(generator.random() < np.exp(log_policy_SA[place, 1])))
        place = (place + STEPS_ON["as shown"][actions[-1]]) % NUM_PLACES
        places.append(place)
    return np.eye(NUM_PLACES, dtype=np.float32)[places], np.array(actions)[:, None]


def as_rollout(observation: np.ndarray, action: np.ndarray) -> Any:
    made = rollout(num_steps=len(action), num_envs=1, action=action[:, None], executed=action[:, None])
    return replace(made, observation=observation[:, None], final_observation=np.zeros((0, NUM_PLACES), np.float32))


@pytest.mark.parametrize("inputs", [("observation",), ("observation", "action")], ids=["states", "states and actions"])
def test_airl_transfers_only_with_a_state_only_reward_tested_under_changed_dynamics(inputs: Any):
    """At AIRL's optimum, where learner and expert do the same; then the two actions change places."""
    expert_SA = soft_values(np.tile(WANTED[:, None], 2), STEPS_ON["as shown"])
    observation, action = walked(expert_SA, 4000, 1)
    shown = Demonstrations(episodes=(Demonstration(observation=observation, action=action, terminated=False),))
    acted = as_rollout(*walked(expert_SA, 4000, 2))
    space = gymnasium.spaces.Discrete(2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = Policy(PolicyConfig(hidden_sizes=(NUM_PLACES,)), NUM_PLACES, space)
    with torch.no_grad():
        # One unit for each place: a table.
        policy.actor.layers[0].weight.copy_(torch.eye(NUM_PLACES))
        policy.actor.layers[0].bias.zero_()
        policy.actor.layers[-1].weight.copy_(torch.tensor(expert_SA.T / np.tanh(1.0)))
        policy.actor.layers[-1].bias.zero_()
    # A reward that sees actions can do without a potential: what it has taken up of the dynamics is nobody's choice.
    units = (32, 32) if inputs == ("observation",) else (1,)
    config = AIRLConfig(
        inputs=inputs,
        potential_hidden_sizes=units,
        discriminator=replace(PLAIN, num_gradient_steps=400, minibatch_size=256),
    )
    airl = AIRL(config, NUM_PLACES, space, shown, discount=0.9)
    state, _ = airl.update(airl.init(0), acted, policy)
    every_place = np.eye(NUM_PLACES, dtype=np.float32)[[*np.repeat(range(NUM_PLACES), 2), 0]]
    each = as_rollout(every_place, np.tile([0, 1], NUM_PLACES)[:, None])
    learned_SA = airl.step_reward(state, airl.space.acted(each, None))
    paid_SA = learned_SA.view(NUM_PLACES, 2).numpy().astype(float)
    off = {}
    for name, moves in STEPS_ON.items():
        wanted_SA = soft_values(np.tile(WANTED[:, None], 2), moves)
        off[name] = np.abs(np.exp(soft_values(paid_SA, moves)) - np.exp(wanted_SA)).mean()
    assert off["as shown"] < 0.06
    if inputs == ("observation",):
        assert off["the other way round"] < 0.06
    else:
        assert off["the other way round"] > 0.1
