"""Action heads against torch.distributions, which is written quite differently."""

import gymnasium
import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal

from heeler.core.errors import ConfigError, WorldError
from heeler.models.actions import CategoricalHead, GaussianHead, action_head, correlate
from heeler.models.policy import Policy, PolicyConfig


def test_gaussian_log_prob_and_entropy():
    head = GaussianHead(3)
    output, log_std, action = torch.randn(5, 3), torch.tensor([0.1, -0.5, 0.7]), torch.randn(5, 3)
    log_prob, entropy = head.log_prob_entropy(output, log_std, action)
    reference = Normal(output, log_std.exp())
    torch.testing.assert_close(log_prob, reference.log_prob(action).sum(-1))
    torch.testing.assert_close(entropy, reference.entropy().sum(-1).mean())


def test_categorical_log_prob_and_entropy():
    head = CategoricalHead((3, 2))
    output = torch.randn(6, 5)
    action = torch.stack([torch.randint(0, 3, (6,)), torch.randint(0, 2, (6,))], 1)
    log_prob, entropy = head.log_prob_entropy(output, torch.zeros(0), action)
    parts = [Categorical(logits=output[:, :3]), Categorical(logits=output[:, 3:])]
    torch.testing.assert_close(log_prob, sum(p.log_prob(action[:, i]) for i, p in enumerate(parts)))
    torch.testing.assert_close(entropy, sum(p.entropy().mean() for p in parts))


def test_samples_follow_the_distribution():
    generator = torch.Generator().manual_seed(0)
    head = CategoricalHead((3,))
    logits = torch.tensor([0.0, 1.0, -1.0])
    action = head.sample(logits.expand(40_000, 3), torch.zeros(0), head.noise((40_000,), generator))
    share = torch.bincount(action[:, 0], minlength=3) / 40_000
    torch.testing.assert_close(share, torch.softmax(logits, 0), atol=0.01, rtol=0)

    gaussian = GaussianHead(1)
    sample = gaussian.sample(torch.full((40_000, 1), 2.0), torch.tensor([0.5]), gaussian.noise((40_000,), generator))
    assert sample.mean().item() == pytest.approx(2.0, abs=0.03)
    assert sample.std().item() == pytest.approx(np.exp(0.5), abs=0.03)


def test_mode_is_the_likeliest():
    head = CategoricalHead((2, 3))
    output = torch.tensor([[0.0, 1.0, 5.0, 1.0, 2.0]])
    assert head.mode(output).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "space",
    [gymnasium.spaces.Discrete(3, start=1), gymnasium.spaces.MultiBinary(3), gymnasium.spaces.Box(-1, 1, (2, 2))],
)
def test_other_spaces_are_refused(space):
    with pytest.raises(WorldError, match="action space must be"):
        action_head(space)


def test_noise_that_lasts_is_standard_normal_at_every_step():
    white = GaussianHead(2).noise((20, 50_000), torch.Generator().manual_seed(0))
    lasting = correlate(white, 0.8)
    torch.testing.assert_close(lasting.mean(1), torch.zeros(20, 2), atol=0.02, rtol=0)
    torch.testing.assert_close(lasting.std(1), torch.ones(20, 2), atol=0.02, rtol=0)
    for lag in (1, 2, 5):
        seen = (lasting[10 - lag] * lasting[10]).mean(0)
        torch.testing.assert_close(seen, torch.full((2,), 0.8**lag), atol=0.02, rtol=0)
    assert (lasting[10, :, 0] * lasting[10, :, 1]).mean().abs() < 0.02, "components stay independent"


def test_noise_without_correlation_is_left_as_it_is():
    white = GaussianHead(2).noise((5, 3), torch.Generator().manual_seed(0))
    torch.testing.assert_close(correlate(white, 0.0), white, atol=0, rtol=0)


def test_noise_of_a_rollout_follows_the_setting():
    box = gymnasium.spaces.Box(-1, 1, (1,))

    def lag_one(correlation: float) -> float:
        policy = Policy(PolicyConfig(noise_correlation=correlation), 3, box)
        noise = policy.rollout_noise(2, 20_000, torch.Generator().manual_seed(0))
        return float((noise[0] * noise[1]).mean())

    assert lag_one(0.0) == pytest.approx(0.0, abs=0.03)
    assert lag_one(0.6) == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("correlation", [-0.1, 1.0, float("nan")])
def test_correlation_out_of_range_is_refused(correlation):
    with pytest.raises(ConfigError, match="noise_correlation must be at least 0 and below 1"):
        PolicyConfig(noise_correlation=correlation)


@pytest.mark.parametrize(
    ("name", "value"), [("noise_correlation", 0.5), ("initial_log_std", 0.5), ("final_log_std", -0.5)]
)
def test_noise_of_choices_cannot_be_set(name, value):
    with pytest.raises(ConfigError, match=rf"{name} is for Box actions.*Discrete\(2\), got {value}"):
        Policy(PolicyConfig(**{name: value}), 3, gymnasium.spaces.Discrete(2))
