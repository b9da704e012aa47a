"""Losses of learning within budgets: by hand, and their gradients against what the papers say they are."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from heeler.ops.constrained import clipped_cost_surrogates, exact_penalty, focops_loss, lagrangian_advantage


def test_the_price_of_each_cost_by_hand():
    """(3 - 1 * 1 - 2 * .5) / (1 + 3) and (-1 - 1 * -2 - 2 * 4) / (1 + 3)."""
    costs = torch.tensor([[1.0, 0.5], [-2.0, 4.0]])
    got = lagrangian_advantage(torch.tensor([3.0, -1.0]), costs, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(got, torch.tensor([0.25, -1.75]))


def test_without_a_price_the_reward_is_as_it_was_and_a_high_one_leaves_the_cost_alone():
    reward, costs = torch.tensor([3.0, -1.0]), torch.tensor([[1.0], [-2.0]])
    assert torch.equal(lagrangian_advantage(reward, costs, torch.zeros(1)), reward)
    high = lagrangian_advantage(reward, costs, torch.tensor([1e6]))
    torch.testing.assert_close(high, -costs[:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "rise", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),
        (1.5, 2.0, 3.0, 3.0),  # dearer and likelier: it is not clipped, so that it is taken back
        (1.5, -2.0, -2.4, 0.0),  # cheaper and likelier: no further gain is seen beyond the clip
        (0.5, 2.0, 1.6, 0.0),
        (0.5, -2.0, -1.0, -1.0),
    ],
)
def test_a_costs_rise_is_seen_pessimistically(ratio: float, advantage: float, rise: float, slope: float):
    """The mirror image of PPO's: of what is clipped and what is not, the dearer."""
    log_prob = torch.tensor([ratio]).log().requires_grad_()
    got = clipped_cost_surrogates(log_prob, torch.zeros(1), torch.tensor([[advantage]]), clip=0.2)
    got.sum().backward()
    assert got.item() == pytest.approx(rise)
    assert log_prob.grad is not None and log_prob.grad.item() == pytest.approx(slope)


def test_the_exact_penalty_is_nothing_within_the_budgets_and_straight_above_them():
    rise = torch.tensor([0.5, 0.1, -0.4]).requires_grad_()
    penalty = exact_penalty(rise, torch.tensor([0.5, -2.0, 0.5]), coefficient=10.0)
    penalty.backward()
    assert penalty.item() == pytest.approx(10 * (1.0 + 0.0 + 0.1))
    assert rise.grad is not None
    assert rise.grad.tolist() == [10.0, 0.0, 10.0], "each cost by itself: what one leaves is no other's to spend"


def focops(log_prob_B: Tensor, kl_B: Tensor, advantage_B: Tensor) -> Tensor:
    return focops_loss(log_prob_B, torch.zeros_like(log_prob_B), kl_B, advantage_B, temperature=2.0, max_kl=0.02)


def test_focops_by_hand():
    """KL - ratio * A / tau of those within delta; the third is further away and counts as nothing in the mean."""
    kl = torch.tensor([0.0, 0.02, 0.03]).requires_grad_()
    log_prob = torch.tensor([1.0, 1.5, 9.0]).log().requires_grad_()
    loss = focops(log_prob, kl, torch.tensor([4.0, -2.0, 100.0]))
    loss.backward()
    assert loss.item() == pytest.approx(((0.0 - 1.0 * 4 / 2) + (0.02 + 1.5 * 2 / 2)) / 3)
    assert kl.grad is not None and log_prob.grad is not None
    assert kl.grad.tolist() == pytest.approx([1 / 3, 1 / 3, 0.0])
    assert log_prob.grad.tolist() == pytest.approx([-2 / 3, 1.5 / 3, 0.0])


def test_focops_goes_to_the_policy_that_its_paper_derives():
    """The best within the trust region is pi_old exp(A / tau) / Z; of all actions it is the loss's minimum."""
    advantage, temperature = torch.tensor([0.3, -0.2, 0.1, 0.0]), 1.5
    old = Categorical(logits=torch.tensor([0.2, -0.5, 1.0, 0.3]))
    best = Categorical(logits=old.logits + advantage / temperature)

    def loss(logits: Tensor) -> Tensor:
        new = Categorical(logits=logits)
        # Of all actions by how often the old policy takes them, in the place of samples.
        each = [
            focops_loss(
                new.logits[action : action + 1],
                old.logits[action : action + 1],
                kl_divergence(new, old).view(1),
                advantage[action : action + 1],
                temperature=temperature,
                max_kl=1.0,
            )
            for action in range(4)
        ]
        return (torch.stack(each) * old.probs).sum()

    at_best = best.logits.clone().requires_grad_()
    loss(at_best).backward()
    assert at_best.grad is not None
    torch.testing.assert_close(at_best.grad, torch.zeros(4), atol=1e-6, rtol=0)
    assert all(loss(best.logits) < loss(best.logits + 0.1 * torch.randn(4)) for _ in range(20))
