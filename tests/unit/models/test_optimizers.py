"""Adam against torch's own."""

import subprocess
import sys

import pytest
import torch

from heeler.models.optimizers import Adam


def gradients(num: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(7, generator=generator) * 10 ** (step % 3 - 1) for step in range(num)]


@pytest.mark.parametrize(("weight_decay", "square_decay"), [(0.0, 0.999), (0.1, 0.999), (0.1, 0.95)])
def test_every_step_equals_that_of_torch(weight_decay, square_decay):
    start = torch.linspace(-1, 1, 7)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    adam = Adam(ours, learning_rate=0.01, epsilon=1e-5, weight_decay=weight_decay, square_decay=square_decay)
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, square_decay), eps=1e-5, weight_decay=weight_decay)
    for gradient in gradients(50):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        adam.step()
        reference.step()
        torch.testing.assert_close(ours.detach(), theirs.detach(), atol=1e-6, rtol=1e-5)


def test_saved_adam_goes_on_bit_for_bit():
    ours, again = torch.zeros(7, requires_grad=True), torch.zeros(7, requires_grad=True)
    adam, other = Adam(ours, learning_rate=0.01), Adam(again, learning_rate=0.01)
    before, after = gradients(10)[:6], gradients(10)[6:]
    for gradient in before:
        ours.grad = gradient.clone()
        adam.step()
    with torch.no_grad():
        again.copy_(ours)
    other.load_tensors(adam.tensors())
    for gradient in after:
        ours.grad, again.grad = gradient.clone(), gradient.clone()
        adam.step()
        other.step()
    assert torch.equal(ours, again)


def test_no_gradient_no_step():
    parameter = torch.ones(3, requires_grad=True)
    Adam(parameter, learning_rate=1.0, weight_decay=0.5).step()
    assert parameter.tolist() == [1, 1, 1]


def test_a_learner_does_not_load_the_compiler():
    """It would cost every run 70 MB."""
    code = (
        "import sys, gymnasium\n"
        "from heeler.algorithms import PPO, PPOConfig\n"
        "from heeler.rewards.preference_model import PreferenceModel, PreferenceModelConfig\n"
        "PPO(PPOConfig(), 3, gymnasium.spaces.Discrete(2)).init(0, 4)\n"
        "PreferenceModel(PreferenceModelConfig(), 3, 1).init(0)\n"
        "print('sympy' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
