"""What one update of PPO does, part by part: none of them can be left out unnoticed."""

import numpy as np
import pytest
import torch

from heeler.algorithms.ppo import PPO, PPOConfig, PPOState
from heeler.core.rollout import Rollout
from heeler.models.policy import PolicyConfig
from heeler.rollouts.collector import Collector
from tests.toy_worlds import Identity

N, T = 16, 20


def fresh(**settings) -> tuple[PPO, PPOState, Rollout]:
    """A learner that has learned nothing yet, and how it acted. One minibatch holds half a rollout."""
    world = Identity("box", N)
    small = {"policy": PolicyConfig(hidden_sizes=(16,)), "learning_rate": 1e-2, "minibatch_size": N * T // 2}
    config = PPOConfig(**(small | {"target_kl": None} | settings))
    learner = PPO(config, world.observation_size, world.single_action_space)
    state = learner.init(0, N)
    collector = Collector(world, T, record_snapshots=False)
    collector.reset(0)
    return learner, state, collector.collect(state.policy, torch.Generator().manual_seed(0), 0)


def weights(progress: float, **settings) -> torch.Tensor:
    """Of the networks after one update."""
    learner, state, rollout = fresh(**settings)
    learner.update(state, rollout, rollout.true_reward, progress=progress)
    return state.parameters.flat.detach()


def test_long_gradients_are_shortened():
    learner, state, rollout = fresh(max_gradient_norm=0.01)
    learner.update(state, rollout, rollout.true_reward, progress=0.0)
    assert state.parameters.gradient.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_observations_are_counted_into_the_statistics():
    learner, state, rollout = fresh()
    for num_updates in (1, 2):
        learner.update(state, rollout, rollout.true_reward, progress=0.0)
        assert state.policy.moments.count == num_updates * N * T
    seen = rollout.observation[:-1].reshape(N * T, -1)
    np.testing.assert_allclose(state.policy.shift, seen.mean(0), atol=1e-5)
    np.testing.assert_allclose(1 / state.policy.scale, seen.std(0), rtol=1e-5)


def test_returns_are_counted_into_their_spread():
    learner, state, rollout = fresh()
    for num_updates in (1, 2):
        learner.update(state, rollout, rollout.true_reward, progress=0.0)
        assert state.return_moments.count == num_updates * N * T


def test_adam_is_given_the_annealed_learning_rate():
    learner, state, rollout = fresh(final_learning_rate_share=0.5)
    learner.update(state, rollout, rollout.true_reward, progress=0.5)
    assert state.optimizer.learning_rate == pytest.approx(0.75 * 1e-2)


def paced(pace: float, **settings) -> torch.Tensor:
    learner, state, rollout = fresh(**settings)
    state.pace = pace
    learner.update(state, rollout, rollout.true_reward, progress=0.0)
    return state.parameters.flat.detach()


def test_a_slowed_update_is_one_with_less_of_rate_clip_and_kl():
    full = {"learning_rate": 0.02, "clip": 0.2, "target_kl": 0.5}
    half = {name: value / 2 for name, value in full.items()}
    slowed = paced(0.5, **full)
    assert torch.equal(slowed, paced(1.0, **half))
    for name in ("learning_rate", "clip"):
        assert not torch.equal(slowed, paced(1.0, **(half | {name: full[name]}))), f"{name} has its part"


def test_a_slowed_update_stops_at_less_kl():
    def num_epochs(pace: float, **settings) -> float:
        learner, state, rollout = fresh(num_epochs=20, target_kl=0.05, **settings)
        state.pace = pace
        return learner.update(state, rollout, rollout.true_reward, progress=0.0)[1]["num_epochs"]

    # The same learning rate and clip, and a tenth of the KL.
    assert num_epochs(0.1, learning_rate=0.1, clip=2.0) < num_epochs(1.0, learning_rate=0.01, clip=0.2)


def test_the_clip_is_annealed_where_it_should_be():
    half_way = weights(0.5, clip=0.1, anneal_clip=True)
    assert torch.equal(half_way, weights(0.5, clip=0.05))
    assert not torch.equal(half_way, weights(0.5, clip=0.1))


def test_advantages_are_normalised_over_the_rollout():
    learner, state, rollout = fresh(normalize_rewards=False)
    samples, _ = learner._prepare(state, rollout, 7.0 + 100.0 * rollout.true_reward)
    assert samples.advantage_B.mean().item() == pytest.approx(0, abs=1e-5)
    assert samples.advantage_B.std().item() == pytest.approx(1, abs=1e-5)


def test_an_entropy_bonus_alone_widens_the_policy():
    """Nothing is paid and no value expected, so that no advantage pulls."""
    learner, state, rollout = fresh(entropy_coefficient=0.1)
    with torch.no_grad():
        state.policy.critic.layers[-1].weight.zero_()
    learner.update(state, rollout, np.zeros((T, N)), progress=0.0)
    assert state.policy.log_std.min().item() > 0.01


@pytest.mark.parametrize(("progress", "most"), [(0.0, 0.5), (0.5, -0.5), (1.0, -1.5)])
def test_noise_fades_to_what_it_may_be_at_the_end(progress: float, most: float):
    """Though an entropy bonus widens it."""
    policy = PolicyConfig(hidden_sizes=(16,), initial_log_std=0.5, final_log_std=-1.5)
    learner, state, rollout = fresh(policy=policy, entropy_coefficient=0.1)
    learner.update(state, rollout, np.zeros((T, N)), progress=progress)
    assert state.policy.log_std.tolist() == pytest.approx([most, most])


def test_an_update_brings_values_nearer_their_targets():
    learner, state, rollout = fresh(normalize_rewards=False)
    samples, _ = learner._prepare(state, rollout, rollout.true_reward)

    def error() -> float:
        return (state.policy.value(samples.observation_BO) - samples.target_B).square().mean().item()

    before = error()
    learner.update(state, rollout, rollout.true_reward, progress=0.0)
    assert error() < 0.95 * before


def test_all_epochs_are_run_while_the_kl_is_below_its_target():
    learner, state, rollout = fresh(target_kl=100.0, num_epochs=3)
    _, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.0)
    assert metrics["num_epochs"] == 3


def test_the_kl_that_stops_an_update_is_that_after_the_epoch():
    """Before the only gradient step of an epoch the policy is still the old one, and every KL would be 0."""
    learner, state, rollout = fresh(target_kl=1e-6, num_epochs=3, minibatch_size=N * T)
    samples, _ = learner._prepare(state, rollout, rollout.true_reward)
    _, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.0)
    with torch.no_grad():
        output = state.policy.actor(samples.observation_BO)
        log_prob, _ = state.policy.head.log_prob_entropy(output, state.policy.log_std, samples.action_BA)
    difference = (log_prob - samples.log_prob_B).double()
    assert metrics["num_epochs"] == 1
    assert metrics["kl"] == pytest.approx((difference.exp() - 1 - difference).mean().item(), rel=1e-3)
    assert metrics["kl"] > 1e-6
