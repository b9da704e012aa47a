"""Shares of what a network says: by hand, complete, and exact where it is linear."""

import numpy as np
import pytest
import torch

from heeler.models.policy import MLP
from heeler.models.saliency import gradient_times_input, integrated_gradients, linear_shares


def network(activation: str, seed: int = 0) -> MLP:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MLP((4, 16, 16, 1), activation, output_gain=1.0).double()  # type: ignore[arg-type]


def samples(num: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num, 4, generator=generator, dtype=torch.float64), torch.full((4,), 0.3, dtype=torch.float64)


def test_a_square_is_shared_out_by_hand() -> None:
    """f = x₀² + 3 x₁ from (1, 0) to (3, 2): 9 − 1 of the one, 6 of the other."""
    x = torch.tensor([[3.0, 2.0]], dtype=torch.float64)
    found = integrated_gradients(lambda x: x[:, 0] ** 2 + 3 * x[:, 1], x, torch.tensor([1.0, 0.0]))
    assert found.share_BO.tolist() == [pytest.approx([8.0, 6.0])]
    # The gradient at the end alone, 2 · 3 and 3, times the way.
    local = gradient_times_input(lambda x: x[:, 0] ** 2 + 3 * x[:, 1], x, torch.tensor([1.0, 0.0]))
    assert local.share_BO.tolist() == [pytest.approx([12.0, 6.0])]
    assert local.gap_B.tolist() == pytest.approx([14.0 - 18.0])


@pytest.mark.parametrize("activation", ["tanh", "silu", "relu"])
def test_shares_sum_to_the_difference(activation: str) -> None:
    own = network(activation)

    def function(x: torch.Tensor) -> torch.Tensor:
        return own(x).squeeze(-1)

    x, baseline = samples()
    found = integrated_gradients(function, x, baseline, num_steps=400)
    with torch.no_grad():
        difference = function(x) - function(baseline[None])
    # ReLU bends at corners, which the middles of steps miss by a little more.
    assert found.share_BO.sum(-1).tolist() == pytest.approx(
        difference.tolist(), abs=3e-3 if activation == "relu" else 1e-5
    )
    assert (difference - found.share_BO.sum(-1)).tolist() == pytest.approx(found.gap_B.tolist(), abs=1e-12)
    coarse = integrated_gradients(function, x, baseline, num_steps=4)
    assert coarse.gap_B.abs().max() > found.gap_B.abs().max(), "and the gap tells how much was missed"


def test_shares_are_those_of_the_naive_sum() -> None:
    own, (x, baseline) = network("tanh"), samples(3)
    found = integrated_gradients(lambda x: own(x).squeeze(-1), x, baseline, num_steps=10)
    for row in range(3):
        total = np.zeros(4)
        for step in range(10):
            at = (baseline + (step + 0.5) / 10 * (x[row] - baseline)).clone().requires_grad_()
            own(at[None]).sum().backward()
            assert at.grad is not None
            total += at.grad.numpy()
        expected = (x[row] - baseline).numpy() * total / 10
        assert found.share_BO[row].tolist() == pytest.approx(expected.tolist())


def test_of_a_linear_function_every_way_is_exact() -> None:
    weight = torch.tensor([2.0, -1.0, 0.0, 0.5], dtype=torch.float64)
    x, baseline = samples()

    def function(x: torch.Tensor) -> torch.Tensor:
        return x @ weight + 7

    exact = linear_shares(weight, x, baseline)
    for way in (integrated_gradients, gradient_times_input):
        found = way(function, x, baseline)
        torch.testing.assert_close(found.share_BO, exact)
        assert found.gap_B.abs().max() < 1e-12
    assert (exact[:, 2] == 0).all()


def test_what_an_input_does_not_touch_has_no_share_and_weights_are_left_alone() -> None:
    own, (x, baseline) = network("tanh"), samples()
    with torch.no_grad():
        own.layers[0].weight[:, 1] = 0
    found = integrated_gradients(lambda x: own(x).squeeze(-1), x, baseline)
    assert (found.share_BO[:, 1] == 0).all()
    assert all(parameter.grad is None for parameter in own.parameters())
    assert not x.requires_grad
