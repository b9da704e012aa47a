"""Evaluation against a naive loop, and that it moves nothing."""

import gymnasium
import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, make
from heeler.evaluation.returns import Evaluation, evaluate
from heeler.models.policy import Policy, PolicyConfig
from tests.toy_worlds import Corridor, Identity


def policy_for(world, seed: int = 0) -> Policy:
    torch.manual_seed(seed)
    policy = Policy(PolicyConfig(hidden_sizes=(8,)), world.single_observation_space.shape[0], world.single_action_space)
    policy.learn_observations(torch.randn(64, policy.observation_size))
    return policy


def test_first_episodes_only_and_to_their_end():
    """Environment n of the corridor ends after n + 2 steps and pays 1, 2, 3, ...; the later episodes do not count."""
    world = Corridor(5)
    evaluation = evaluate(policy_for(world), world, seed=0)
    lengths = np.arange(5) + 2
    np.testing.assert_array_equal(evaluation.lengths, lengths)
    np.testing.assert_array_equal(evaluation.returns, lengths * (lengths + 1) / 2)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_against_a_naive_loop_over_gymnasiums_own(env_id):
    """The same policy in Gymnasium's environment, one step at a time, from the same states."""
    world = make(EnvConfig(id=env_id, num_envs=4, vectorization="sync"), seed=0)
    policy = policy_for(world)
    evaluation = evaluate(policy, world, seed=11)
    seeds = np.random.SeedSequence(11).generate_state(4).tolist()
    for index, seed in enumerate(seeds):
        env = gymnasium.make(env_id)
        observation, _ = env.reset(seed=seed)
        total, length, ended = 0.0, 0, False
        while not ended:
            action = policy.executable(policy.act(np.asarray(observation, np.float32)[None], None).numpy())[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        assert evaluation.lengths[index] == length
        assert evaluation.returns[index] == pytest.approx(total, abs=1e-3)


def test_it_never_moves_the_policys_statistics():
    world = Identity("box", 8)
    policy = policy_for(world)
    before = {name: tensor.clone() for name, tensor in policy.tensors().items()}
    evaluate(policy, world, seed=0)
    evaluate(policy, world, seed=0, deterministic=False)
    for name, tensor in policy.tensors().items():
        assert torch.equal(tensor, before[name]), name


def test_same_seed_same_episodes():
    for deterministic in (True, False):
        world = Identity("box", 8)
        policy = policy_for(world)
        one, same = (evaluate(policy, world, seed=4, deterministic=deterministic).returns for _ in range(2))
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, evaluate(policy, world, seed=5, deterministic=deterministic).returns)


def test_sampling_is_not_the_likeliest_action():
    world = Identity("discrete", 64)
    policy = policy_for(world)
    with torch.no_grad():
        # Always shown what to do, and almost sure of it: the likeliest action is right, a sampled one not always.
        for layer in policy.actor.layers:
            layer.weight.zero_()
            layer.bias.zero_()
        policy.actor.layers[-1].bias[0] = 1.0
    likeliest = evaluate(policy, world, seed=0).returns.mean()
    sampled = evaluate(policy, world, seed=0, deterministic=False).returns.mean()
    assert likeliest == pytest.approx(10 / 3, abs=0.5)
    actions = policy.act(np.zeros((500, 3), np.float32), policy.head.noise((500,), torch.Generator().manual_seed(0)))
    assert (actions != 0).any()
    assert sampled != likeliest


def test_an_episode_that_never_ends_is_cut():
    world = Identity("discrete", 3, max_episode_steps=10**9)
    evaluation = evaluate(policy_for(world), world, seed=0, max_steps=50)
    np.testing.assert_array_equal(evaluation.lengths, 50)
    with pytest.raises(ConfigError, match="max_steps must be >= 1, got 0"):
        evaluate(policy_for(world), world, seed=0, max_steps=0)


def test_the_worlds_own_counts_are_those_at_the_first_episodes_end():
    world = make(EnvConfig(id="Backflip", num_envs=3, num_threads=1, kwargs={"max_episode_steps": 60}), seed=0)
    evaluation = evaluate(policy_for(world), world, seed=0)
    assert evaluation.figures.keys() == {"landed_backflips"}
    assert evaluation.figures["landed_backflips"].shape == (3,)
    assert "landed_backflips_mean" in evaluation.summary()


def test_summary_by_hand():
    evaluation = Evaluation(
        returns=np.array([1.0, 2.0, 6.0]),
        lengths=np.array([10, 20, 60]),
        figures={"hops": np.arange(3)},
    )
    assert evaluation.summary() == {
        "return_mean": 3.0,
        "return_standard_error": pytest.approx(7**0.5 / 3**0.5),
        "length_mean": 30.0,
        "hops_mean": 1.0,
    }
    alone = Evaluation(returns=np.array([5.0]), lengths=np.array([1]), figures={})
    assert alone.summary()["return_standard_error"] == 0.0
