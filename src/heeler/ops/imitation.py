r"""Adversarial imitation and soft values as plain functions of tensors.

A discriminator's logit is $\log D/(1 - D)$, D the probability that a step is the expert's. Shapes: B steps, L logits.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

RewardForm = Literal["survive", "finish", "logit"]


def gail_reward(logit: Float[Tensor, "*B"], form: RewardForm) -> Float[Tensor, "*B"]:
    r"""What a step is paid for looking like the expert's.

    `survive` is $-\log(1 - D) \geq 0$, which pays for staying alive; `finish` is $\log D \leq 0$, which pays for
    ending; `logit` is $\log D - \log(1 - D)$, which does neither where D is a half.

    Args:
        logit: of D.
        form: one of the three.

    Example:
        >>> gail_reward(torch.zeros(1), "survive").item()
        0.6931471824645996

    Source: Ho and Ermon 2016, arXiv 1606.03476; Kostrikov et al. 2019, arXiv 1809.02925, on the first two.
    """
    if form == "survive":
        return nn.functional.softplus(logit)
    if form == "finish":
        return -nn.functional.softplus(-logit)
    return logit


def discriminator_loss(expert_logit: Float[Tensor, " E"], learner_logit: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    r"""$-\frac{1}{2}\,\mathbb{E}_{expert} \log D - \frac{1}{2}\,\mathbb{E}_{learner} \log(1 - D)$.

    Its least value, over all functions, is at $D = p/(p + q)$, p and q how often expert and learner make a step.

    Args:
        expert_logit: of the expert's steps.
        learner_logit: of the learner's; there may be more or fewer of them.
    """
    return 0.5 * (nn.functional.softplus(-expert_logit).mean() + nn.functional.softplus(learner_logit).mean())


def end_logit(
    expert_ends: float, expert_steps: float, learner_ends: float, learner_steps: float, *, discount: float
) -> float:
    r"""$\log p - \log q$ of the state that follows a terminal one, p and q the shares of steps spent there.

    An end counts as the $1/(1 - \gamma)$ steps that are worth as much as all that follow it; one step on either side
    keeps the logarithm finite where nobody ended.

    Args:
        expert_ends: episodes of the expert's that ended by themselves.
        expert_steps: its steps.
        learner_ends: the same of the learner.
        learner_steps: the same of the learner.
        discount: gamma, below 1.

    Example:
        >>> round(end_logit(1, 9, 1, 9, discount=0.9), 6)
        0.0
    """
    weight = 1 / (1 - discount)
    shares = [
        (weight * ends + 1) / (weight * ends + steps + 2)
        for ends, steps in ((expert_ends, expert_steps), (learner_ends, learner_steps))
    ]
    return math.log(shares[0]) - math.log(shares[1])


def airl_value(
    reward: Float[Tensor, "*B"],
    potential: Float[Tensor, "*B"],
    next_potential: Float[Tensor, "*B"],
    terminated: Float[Tensor, "*B"],
    *,
    discount: float,
) -> Float[Tensor, "*B"]:
    r"""$f(s, a, s') = r + \gamma\,h(s') - h(s)$, with $h = 0$ in terminal states.

    $D = \exp f / (\exp f + \pi)$, so that its logit is $f - \log \pi(a \mid s)$.

    Args:
        reward: r of each step.
        potential: h of the observation before it.
        next_potential: h of what followed: at an episode's end of its last observation, never of the reset's.
        terminated: 1 where the episode ended in a terminal state, else 0.
        discount: gamma, the learner's.

    Example:
        >>> one = torch.ones(2)
        >>> airl_value(one, 2 * one, 4 * one, torch.tensor([0.0, 1.0]), discount=0.5).tolist()
        [1.0, -1.0]

    Source: Fu et al. 2018, arXiv 1710.11248.
    """
    return reward + discount * (1 - terminated) * next_potential - potential


def soft_value(logits: Float[Tensor, "*B L"], num_choices: tuple[int, ...]) -> Float[Tensor, "*B"]:
    r"""$\log \sum_a \exp Q(s, a)$ where Q is a sum over components, each with logits of its own.

    Args:
        logits: of all components' choices, one component after the other, in units of the temperature.
        num_choices: of each component.

    Example:
        >>> round(soft_value(torch.zeros(1, 5), (2, 3)).exp().item(), 4)
        6.0
    """
    parts: tuple[Tensor, ...] = torch.split(logits, list(num_choices), -1)
    return torch.stack([torch.logsumexp(part, -1) for part in parts]).sum(0)


def soft_target(
    reward: Float[Tensor, " B"], next_value: Float[Tensor, " B"], terminated: Float[Tensor, " B"], *, discount: float
) -> Float[Tensor, " B"]:
    r"""$r + \gamma\,(1 - \text{terminated})\,V(s')$: a cut episode's end has a value, a terminal state has none."""
    return reward + discount * (1 - terminated) * next_value
