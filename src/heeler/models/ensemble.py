"""Several small networks evaluated in one pass. Shapes: M members, B samples, F features, H hidden units."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from heeler.core.errors import ConfigError
from heeler.models.policy import ACTIVATIONS, Activation


class EnsembleMLP(nn.Module):
    """M independent networks F → H … → 1 that read the same input.

    The first layer is one matrix product for all members, since they share their input; the rest are batched products.
    """

    def __init__(
        self, num_members: int, num_features: int, hidden_sizes: tuple[int, ...], activation: Activation
    ) -> None:
        super().__init__()
        if num_members < 1:
            raise ConfigError(f"num_members must be >= 1, got {num_members}")
        self.num_members = num_members
        self.activation = ACTIVATIONS[activation]
        sizes = (num_features, *hidden_sizes, 1)
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(num_members, a, b)) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(num_members, 1, b)) for b in sizes[1:])
        for weight in self.weights:
            # The default of a linear layer: uniform within 1/√inputs.
            bound = 1 / math.sqrt(weight.shape[1])
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x_BF: Tensor) -> Tensor:
        """[M, B]: each member's output."""
        (first, *weights), (first_bias, *biases) = self.weights, self.biases
        M, F, H = first.shape
        flat = x_BF @ first.permute(1, 0, 2).reshape(F, M * H)
        x = flat.view(-1, M, H).transpose(0, 1) + first_bias
        for weight, bias in zip(weights, biases, strict=True):
            x = torch.baddbmm(bias, self.activation(x), weight)
        return x.squeeze(-1)
