"""The collector on a world whose every number is known."""

import gymnasium
import numpy as np
import pytest
import torch

from heeler.models.policy import Policy, PolicyConfig
from heeler.rollouts.collector import CalledOff, Collector
from tests.toy_worlds import Corridor, Identity


@pytest.fixture
def policy():
    return Policy(PolicyConfig(hidden_sizes=(8,)), 1, gymnasium.spaces.Discrete(2))


def collect(collector, policy, version=0, seed=0):
    return collector.collect(policy, torch.Generator().manual_seed(seed), version)


def test_terminal_observation_is_kept_and_ends_stay_apart(policy):
    collector = Collector(Corridor(2), 5, record_snapshots=True)
    collector.reset(0)
    rollout = collect(collector, policy)
    # Environment 0 ends (terminated) after 2 steps, environment 1 (truncated) after 3.
    assert rollout.observation[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert rollout.observation[:, 1, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert rollout.next_observation[:, 0, 0].tolist() == [1, 2, 1, 2, 1]
    assert rollout.next_observation[:, 1, 0].tolist() == [1, 2, 3, 1, 2]
    assert rollout.terminated[:, 0].tolist() == [False, True, False, True, False]
    assert not rollout.terminated[:, 1].any()
    assert rollout.truncated[:, 1].tolist() == [False, False, True, False, False]
    assert rollout.episode_index[:, 0].tolist() == [0, 0, 1, 1, 2]
    assert rollout.episode_step[:, 1].tolist() == [0, 1, 2, 0, 1]
    assert rollout.snapshot is not None
    assert rollout.snapshot[:, 1, 0].tolist() == [0, 1, 2, 0, 1]


def test_actions_are_kept_as_chosen_and_as_executed():
    world = Identity("box", 4)
    policy = Policy(PolicyConfig(initial_log_std=2.0), world.observation_size, world.single_action_space)
    rollout = collect(Collector(world, 50, record_snapshots=False), policy)
    low, high = world.single_action_space.low, world.single_action_space.high
    assert (rollout.action > high).any() and (rollout.action < low).any()
    np.testing.assert_array_equal(rollout.executed, np.clip(rollout.action, low, high))


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_noise_of_actions_lasts_as_long_as_it_should(correlation):
    """Over 200 x 32 x 2 numbers a correlation is known to about 0.01."""
    world = Identity("box", 32)
    policy = Policy(PolicyConfig(noise_correlation=correlation), world.observation_size, world.single_action_space)
    rollout = collect(Collector(world, 200, record_snapshots=False), policy)
    noise = rollout.action - policy.actor(torch.from_numpy(rollout.observation[:-1])).detach().numpy()
    assert np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1] == pytest.approx(correlation, abs=0.05)


def test_episodes_go_on_from_one_rollout_to_the_next(policy):
    collector = Collector(Corridor(2), 2, record_snapshots=False)
    collector.reset(0)
    collect(collector, policy)
    rollout = collect(collector, policy, version=1)
    assert rollout.observation[:, 1, 0].tolist() == [2, 0, 1]
    assert rollout.episode_index[:, 1].tolist() == [0, 1]
    assert rollout.policy_version == 1


def test_log_probs_are_those_of_the_policy_that_acted():
    world = Identity("box", 4)
    policy = Policy(PolicyConfig(hidden_sizes=(8,)), 2, world.single_action_space)
    policy.learn_observations(torch.randn(50, 2))
    collector = Collector(world, 6, record_snapshots=False)
    collector.reset(0)
    rollout = collect(collector, policy)
    for t in range(6):
        output = policy.actor(policy.normalize(torch.from_numpy(rollout.observation[t])))
        want = (
            torch.distributions.Normal(output, policy.log_std.exp())
            .log_prob(torch.from_numpy(rollout.action[t]))
            .sum(-1)
        )
        np.testing.assert_allclose(rollout.log_prob[t], want.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "box"])
def test_saved_collector_goes_on_bit_for_bit(kind):
    world, other = Identity(kind, 3), Identity(kind, 3)
    policy = Policy(PolicyConfig(hidden_sizes=(8,)), world.single_observation_space.shape[0], world.single_action_space)
    collector = Collector(world, 4, record_snapshots=True)
    collector.reset(3)
    collect(collector, policy)
    continued = Collector(other, 4, record_snapshots=True)
    continued.load_state_dict({k: v.copy() for k, v in collector.state_dict().items()})
    for name, array in vars(collect(collector, policy, seed=1)).items():
        if isinstance(array, np.ndarray):
            rerun = Collector(Identity(kind, 3), 4, record_snapshots=True)
            rerun.load_state_dict({k: v.copy() for k, v in continued.state_dict().items()})
            np.testing.assert_array_equal(getattr(collect(rerun, policy, seed=1), name), array)


def test_staggered_episodes_end_at_different_times():
    collector = Collector(Identity("discrete", 64, max_episode_steps=10), 10, record_snapshots=False)
    collector.reset(0, stagger=True)
    policy = Policy(PolicyConfig(hidden_sizes=(8,)), 3, gymnasium.spaces.Discrete(3))
    rollout = collect(collector, policy)
    per_step = rollout.truncated.sum(1)
    assert (per_step > 0).all()
    assert per_step.max() < 20


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_rollout_that_is_called_off_takes_no_further_step(policy, at):
    world, taken = Corridor(2), []
    collector = Collector(world, 5, record_snapshots=False)
    collector.reset(0)
    step = world.step
    world.step = lambda actions: (taken.append(1), step(actions))[1]  # type: ignore[method-assign]
    collector.is_called_off = lambda: len(taken) == at
    with pytest.raises(CalledOff):
        collect(collector, policy)
    assert len(taken) == at


def test_what_is_put_back_after_that_is_collected_again_bit_for_bit(policy):
    collector = Collector(Corridor(2), 5, record_snapshots=False)
    collector.reset(0)
    before, numbers = collector.state_dict(), iter(range(4))
    collector.is_called_off = lambda: next(numbers) == 3
    with pytest.raises(CalledOff):
        collect(collector, policy)
    collector.load_state_dict(before)
    collector.is_called_off = lambda: False
    again = collect(collector, policy)
    fresh = Collector(Corridor(2), 5, record_snapshots=False)
    fresh.reset(0)
    whole = collect(fresh, policy)
    for name in ("observation", "action", "true_reward", "terminated", "episode_index", "episode_step"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
