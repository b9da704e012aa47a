"""Weights in one tensor, their steps, and models that are saved while they are views of it."""

import copy
import math

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from heeler.core.errors import ConfigError, LearningError
from heeler.models.language.weights import OptimizerConfig, Weights
from tests.text_rounds import shown
from tests.tiny_models import tiny_llama


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def layers(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)


def loss_of(network, seed):
    batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)).to(network[0].weight.dtype)
    return (network(batch).float() - 1).square().mean()


def test_steps_are_those_of_torch_s_adamw():
    mine, theirs = layers(), layers()
    config = OptimizerConfig(learning_rate=0.01, weight_decay=0.1, max_gradient_norm=0.05)
    weights = Weights(list(mine.parameters()), config)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(5):
        weights.zero_gradient()
        weights.add_gradient(loss_of(mine, step))
        metrics = weights.step(step, 0.0)
        optimizer.zero_grad()
        loss_of(theirs, step).backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.05)
        optimizer.step()
        assert metrics["grad_norm"] == pytest.approx(float(norm), rel=1e-4)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_short_weights_learn_what_a_step_in_few_bits_would_lose():
    network = layers(torch.bfloat16)
    weights = Weights(list(network.parameters()), OptimizerConfig(learning_rate=1e-5))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for step in range(400):
        weights.zero_gradient()
        weights.add_gradient(loss_of(network, 0))
        weights.step(step, 0.0)
        if step == 0:
            # One step is too small for 8 bits of mantissa, but for weights that are near zero.
            assert torch.equal(network[0].weight, before[0])
    assert not torch.equal(network[0].weight, before[0])
    assert network[0].weight.dtype == torch.bfloat16
    for parameter, held in zip(network.parameters(), weights.flat.split([12, 4, 4, 1]), strict=True):
        torch.testing.assert_close(parameter.flatten(), held.bfloat16())


def test_gradients_of_short_weights_are_added_up_in_many_bits():
    network = layers(torch.bfloat16)
    weights = Weights(list(network.parameters()), OptimizerConfig())
    weights.zero_gradient()
    weights.add_gradient(loss_of(network, 0))
    once = weights.gradient.clone()
    for _ in range(299):
        weights.add_gradient(loss_of(network, 0))
    # In bf16 a sum stops growing at 256 times what is added.
    torch.testing.assert_close(weights.gradient, 300 * once, rtol=1e-4, atol=1e-4)


def test_rate_warms_up_and_anneals():
    config = OptimizerConfig(learning_rate=1.0, num_warmup_updates=4, final_learning_rate_share=0.2)
    assert [config.rate(step, 0.0) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert config.rate(9, 0.5) == pytest.approx(0.6)
    assert config.rate(9, 1.0) == pytest.approx(0.2)


def test_a_gradient_that_is_no_number_leaves_the_weights():
    network = layers()
    weights = Weights(list(network.parameters()), OptimizerConfig())
    before = weights.flat.detach().clone()
    weights.zero_gradient()
    weights.add_gradient(loss_of(network, 0) * math.inf)
    with pytest.raises(LearningError):
        weights.step(0, 0.0)
    assert torch.equal(before, weights.flat)


def test_nothing_to_learn_is_refused():
    with pytest.raises(ConfigError, match="may change"):
        Weights([], OptimizerConfig())


def test_a_model_whose_weights_are_views_is_saved_and_copied_whole(tmp_path):
    model = tiny_llama(0)
    want = model.outputs(shown(model)).logprob_T.detach()
    weights = Weights(model.trainable(), OptimizerConfig())
    assert torch.equal(model.outputs(shown(model)).logprob_T, want)
    model.save(tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.glob("*.safetensors"))
    assert size < 4 * weights.flat.numel() * 1.2 + 20_000
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    for mine, theirs in zip(model.module.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    twin = copy.deepcopy(model.module)
    with torch.no_grad():
        weights.flat.add_(1.0)
    for mine, theirs in zip(model.module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs + 1)
