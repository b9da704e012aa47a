"""Policy, ensemble and statistics."""

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn import functional

from heeler.core.errors import ConfigError
from heeler.models.ensemble import EnsembleMLP
from heeler.models.flat import FlatParameters
from heeler.models.moments import RunningMoments
from heeler.models.policy import Policy, PolicyConfig

BOX = gymnasium.spaces.Box(-1, 1, (2,))


def test_moments_merge_to_those_of_all_data():
    batches = [torch.randn(n, 3) * 2 + 5 for n in (1, 7, 50)]
    moments = RunningMoments(3)
    for batch in batches:
        moments.update(batch)
    everything = torch.cat(batches).double()
    torch.testing.assert_close(moments.mean, everything.mean(0), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(moments.variance, everything.var(0, unbiased=False), atol=1e-5, rtol=1e-5)
    assert moments.count == 58


def test_ensemble_equals_members_one_by_one():
    network = EnsembleMLP(3, 4, (8, 6), "tanh")
    x = torch.randn(10, 4)
    together = network(x)
    for m in range(3):
        hidden = x
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            hidden = functional.linear(hidden, weight[m].T, bias[m, 0])
            hidden = torch.tanh(hidden) if layer < 2 else hidden
        torch.testing.assert_close(together[m], hidden.squeeze(1))


def test_flat_parameters_are_the_networks_own():
    network = torch.nn.Linear(3, 2)
    before = [p.detach().clone() for p in network.parameters()]
    flat = FlatParameters(network)
    for parameter, old in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old)
    network(torch.ones(1, 3)).sum().backward()
    assert flat.gradient.norm().item() == pytest.approx(8**0.5)
    flat.clip_grad_norm(1.0)
    assert flat.gradient.norm().item() == pytest.approx(1.0, abs=1e-5)
    flat.clip_grad_norm(5.0)
    assert flat.gradient.norm().item() == pytest.approx(1.0, abs=1e-5)
    with torch.no_grad():
        flat.flat.fill_(3.0)
    assert all((p == 3).all() for p in network.parameters())


def test_acting_and_evaluating_leave_the_statistics_alone():
    policy = Policy(PolicyConfig(), 4, BOX)
    policy.learn_observations(torch.randn(100, 4) * 3 + 1)
    before = {k: v.clone() for k, v in policy.tensors().items()}
    observation = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    policy.act(observation, None)
    policy.act(observation, policy.head.noise((16,), torch.Generator().manual_seed(0)))
    for name, tensor in policy.tensors().items():
        assert torch.equal(tensor, before[name])


def test_policy_tensors_come_back_bit_for_bit():
    policy, other = Policy(PolicyConfig(), 4, BOX), Policy(PolicyConfig(), 4, BOX)
    policy.learn_observations(torch.randn(100, 4) * 3 + 1)
    other.load_tensors(policy.tensors())
    observation = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    assert torch.equal(policy.act(observation, None), other.act(observation, None))


def test_box_actions_are_clipped_only_on_their_way_out():
    policy = Policy(PolicyConfig(), 4, BOX)
    assert policy.executable(np.array([[3.0, -0.5]], np.float32)).tolist() == [[1.0, -0.5]]
    discrete = Policy(PolicyConfig(), 4, gymnasium.spaces.Discrete(3))
    assert discrete.executable(np.array([[2], [0]])).tolist() == [2, 0]


@pytest.mark.parametrize("bad", [{"hidden_sizes": ()}, {"hidden_sizes": (0,)}, {"activation": "softmax"}])
def test_bad_shapes_are_refused(bad):
    with pytest.raises(ConfigError):
        PolicyConfig(**bad)
