"""Adversarial imitation and soft values against hand-computed cases, loops and enumeration."""

import math

import numpy as np
import pytest
import torch

from heeler.ops.imitation import airl_value, discriminator_loss, gail_reward, soft_target, soft_value


@pytest.mark.parametrize("logit", [-30.0, -2.0, 0.0, 0.7, 30.0])
def test_the_forms_of_the_reward_are_what_they_say(logit: float):
    d = 1 / (1 + math.exp(-logit))
    x = torch.tensor([logit], dtype=torch.float64)
    if abs(logit) < 20:
        assert gail_reward(x, "survive").item() == pytest.approx(-math.log(1 - d))
        assert gail_reward(x, "finish").item() == pytest.approx(math.log(d))
    assert gail_reward(x, "logit").item() == logit
    assert gail_reward(x, "survive").item() >= 0 >= gail_reward(x, "finish").item()
    both = gail_reward(x, "survive") + gail_reward(x, "finish")
    assert both.item() == pytest.approx(logit)


def test_the_loss_against_a_loop():
    expert, learner = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.1, 0.5])
    sigmoid = [1 / (1 + math.exp(-v)) for v in (0.3, -1.0, 2.0)], [1 / (1 + math.exp(-v)) for v in (0.1, 0.5)]
    wanted = -0.5 * np.mean([math.log(d) for d in sigmoid[0]]) - 0.5 * np.mean([math.log(1 - d) for d in sigmoid[1]])
    assert discriminator_loss(expert, learner).item() == pytest.approx(wanted, rel=1e-6)


def test_the_discriminators_gradient_against_enumeration():
    """Over a table of four kinds of step: the expectation, its derivative by hand, and by differences."""
    p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
    logit = torch.tensor([0.2, -0.4, 1.0, 0.1], dtype=torch.float64, requires_grad=True)
    # Each kind as often as it comes, so that means are expectations.
    expert, learner = (np.repeat(np.arange(4), np.rint(10 * share).astype(int)) for share in (p, q))
    loss = discriminator_loss(logit[expert], logit[learner])
    loss.backward()
    d = 1 / (1 + np.exp(-logit.detach().numpy()))
    by_hand = -0.5 * p * (1 - d) + 0.5 * q * d
    np.testing.assert_allclose(logit.grad, by_hand, rtol=1e-12)

    def expectation(x: np.ndarray) -> float:
        return float(0.5 * (p * np.log1p(np.exp(-x)) + q * np.log1p(np.exp(x))).sum())

    for kind in range(4):
        step = np.eye(4)[kind] * 1e-6
        x = logit.detach().numpy()
        slope = (expectation(x + step) - expectation(x - step)) / 2e-6
        assert logit.grad is not None
        assert logit.grad[kind].item() == pytest.approx(slope, abs=1e-8)


def test_the_best_discriminator_is_p_over_p_plus_q():
    """The trap of a discriminator that is trained to something else: its optimum is known in a table."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.2, 0.7])
    best = torch.log(p / q).requires_grad_()
    softplus = torch.nn.functional.softplus
    loss = 0.5 * ((p * softplus(-best)).sum() + (q * softplus(best)).sum())
    (slope,) = torch.autograd.grad(loss, best)
    torch.testing.assert_close(slope, torch.zeros(3), atol=1e-7, rtol=0)
    torch.testing.assert_close(torch.sigmoid(best), p / (p + q))


def test_airl_value_against_a_loop():
    rng = np.random.default_rng(0)
    reward, before, after = rng.normal(size=(3, 6))
    ends = np.array([0.0, 1, 0, 0, 1, 0])
    got = airl_value(*(torch.from_numpy(a) for a in (reward, before, after, ends)), discount=0.9)
    for i in range(6):
        following = 0.0 if ends[i] else after[i]
        assert got[i].item() == pytest.approx(reward[i] + 0.9 * following - before[i])


@pytest.mark.parametrize("num_choices", [(3,), (2, 3), (2, 2, 2)])
def test_the_soft_value_of_a_sum_over_components_is_that_of_all_joint_actions(num_choices: tuple[int, ...]):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=sum(num_choices))
    parts = np.split(logits, np.cumsum(num_choices)[:-1])
    joint = parts[0]
    for part in parts[1:]:
        joint = (joint[:, None] + part[None]).ravel()
    got = soft_value(torch.from_numpy(logits)[None], num_choices).item()
    assert got == pytest.approx(math.log(np.exp(joint).sum()))


def test_soft_targets_bootstrap_cut_episodes_and_not_terminal_states():
    one = torch.ones(2)
    assert soft_target(one, 3 * one, torch.tensor([0.0, 1.0]), discount=0.5).tolist() == [2.5, 1.0]
