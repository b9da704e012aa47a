"""PPO's own loss against exact enumeration: a two-state problem, three steps, every trajectory by its probability."""

import gymnasium
import torch

from heeler.algorithms.ppo import PPO, PPOConfig, Samples
from heeler.models.policy import PolicyConfig
from heeler.ops.returns import gae
from tests.two_states import HORIZON, REWARD, trajectories

STATES = torch.eye(2, dtype=torch.float64)


def test_the_gradient_of_the_loss_is_that_of_the_expected_return():
    config = PPOConfig(policy=PolicyConfig(hidden_sizes=(5,), normalize_observations=False))
    learner = PPO(config, 2, gymnasium.spaces.Discrete(2))
    policy = learner.fresh_policy(0).double()
    parameters = list(policy.actor.parameters())
    with torch.no_grad():
        parameters[-1].copy_(torch.tensor([0.4, -0.3]))  # so that the actions are not equally likely

    expected = torch.zeros((), dtype=torch.float64)
    for states, actions in trajectories():
        log_policy = torch.log_softmax(policy.actor(STATES), -1)
        expected = expected + torch.exp(log_policy[states, actions].sum()) * REWARD[states, actions].sum()
    exact = torch.autograd.grad(expected, parameters)

    estimate = [torch.zeros_like(gradient) for gradient in exact]
    zero = torch.zeros(HORIZON, 1, dtype=torch.float64)
    terminated = torch.tensor([[False], [False], [True]])
    for states, actions in trajectories():
        reward = REWARD[states, actions].unsqueeze(1)
        # With lambda 1 and no value function the advantage is the return to go, so that nothing is approximated.
        advantage = gae(reward, zero, zero, terminated, terminated & False, discount=1.0, trace_decay=1.0).squeeze(1)
        with torch.no_grad():
            log_prob = torch.log_softmax(policy.actor(STATES), -1)[states, actions]
        none = torch.zeros(len(log_prob), 0)
        action = torch.tensor(actions).unsqueeze(1)
        samples = Samples(STATES[states], action, log_prob, advantage, advantage, none, none, none, none.bool())
        loss, *_ = learner.policy_loss(policy, samples, clip=0.2)
        gradients = torch.autograd.grad(-loss * HORIZON, parameters)
        for total, gradient in zip(estimate, gradients, strict=True):
            total += torch.exp(log_prob.sum()) * gradient
    for total, gradient in zip(estimate, exact, strict=True):
        torch.testing.assert_close(total, gradient, atol=1e-12, rtol=0)
    assert max(gradient.abs().max() for gradient in exact) > 0.01
