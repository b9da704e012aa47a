"""Policy-gradient losses: exact gradients by enumerating a two-state problem, and hand-computed cases."""

import math

import pytest
import torch

from heeler.ops.policy_gradient import approximate_kl, clipped_surrogate_loss, explained_variance
from heeler.ops.returns import gae
from tests.two_states import HORIZON, REWARD, trajectories


def expected_return(logits: torch.Tensor) -> torch.Tensor:
    """J by enumeration: the sum over all trajectories of probability times return."""
    log_policy = torch.log_softmax(logits, -1)
    total = torch.zeros((), dtype=torch.float64)
    for states, actions in trajectories():
        log_prob = sum(log_policy[s, a] for s, a in zip(states, actions, strict=True))
        total = total + torch.exp(log_prob) * sum(REWARD[s, a] for s, a in zip(states, actions, strict=True))
    return total


def test_gradient_equals_exact_enumeration():
    """The surrogate's gradient over all trajectories, weighted by probability, is that of the expected return."""
    logits = torch.tensor([[0.2, -0.4], [0.1, 0.7]], dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(expected_return(logits), logits)

    estimate = torch.zeros_like(exact)
    zero = torch.zeros(HORIZON, 1, dtype=torch.float64)
    terminated = torch.tensor([[False], [False], [True]])
    for states, actions in trajectories():
        log_policy = torch.log_softmax(logits, -1)
        log_prob = log_policy[states, actions]
        probability = math.exp(log_prob.sum().item())
        # With lambda 1 and no value function the advantage is the return to go, so that nothing is approximated.
        reward = REWARD[states, actions].unsqueeze(1)
        advantage = gae(reward, zero, zero, terminated, terminated & False, discount=1.0, trace_decay=1.0).squeeze(1)
        loss = clipped_surrogate_loss(log_prob, log_prob.detach(), advantage, clip=0.2)
        (gradient,) = torch.autograd.grad(-loss * HORIZON, logits)
        estimate += probability * gradient
    torch.testing.assert_close(estimate, exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "want", "slope"),
    [(1.5, 1.0, 1.2, 0.0), (0.5, 1.0, 0.5, 0.5), (1.5, -1.0, -1.5, -1.5), (0.5, -1.0, -0.8, 0.0), (1.1, 2.0, 2.2, 2.2)],
)
def test_clipping_by_hand(ratio, advantage, want, slope):
    log_prob = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    loss = clipped_surrogate_loss(log_prob, torch.zeros(1), torch.tensor([advantage]), clip=0.2)
    loss.backward()
    assert -loss.item() == pytest.approx(want)
    assert log_prob.grad is not None
    assert -log_prob.grad.item() == pytest.approx(slope)


def test_kl_estimate_equals_the_sum_over_a_categorical():
    old, new = torch.tensor([0.2, 0.5, 0.3]).double(), torch.tensor([0.3, 0.3, 0.4]).double()
    exact = (old * (old / new).log()).sum()
    # Every outcome as often as the old policy takes it: 2, 5 and 3 times in ten.
    sample = torch.tensor([0] * 2 + [1] * 5 + [2] * 3)
    torch.testing.assert_close(approximate_kl(new.log()[sample], old.log()[sample]), exact)
    assert approximate_kl(old.log(), old.log()).item() == 0.0


def test_explained_variance_extremes():
    target = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(target, target) == 1.0
    assert explained_variance(torch.full((3,), 9.0), target) == pytest.approx(0.0)
    assert explained_variance(-target, target) == pytest.approx(-3.0)
    assert explained_variance(target, torch.ones(3)) == 0.0
