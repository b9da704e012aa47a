"""All parameters of a network in one stretch of memory.

Small networks spend more time on the bookkeeping of each tensor than on arithmetic; with one tensor, clipping and Adam
are one operation each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlatParameters:
    """Makes every parameter of a module, and its gradient, a view of one tensor.

    Args:
        module: on the device that it will stay on; or some parameters, of one type.
    """

    def __init__(self, module: nn.Module | Sequence[nn.Parameter]) -> None:
        parameters = list(module.parameters() if isinstance(module, nn.Module) else module)
        self.flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        sizes = [p.numel() for p in parameters]
        with torch.no_grad():
            values, gradients = self.flat.detach().split(sizes), self.flat.grad.split(sizes)
            for parameter, value, gradient in zip(parameters, values, gradients, strict=True):
                parameter.data = value.view_as(parameter)
                parameter.grad = gradient.view_as(parameter)

    @property
    def gradient(self) -> Tensor:
        """The gradient of all parameters."""
        assert self.flat.grad is not None
        return self.flat.grad

    def zero_grad(self) -> None:
        """Forget the gradient, keeping its memory."""
        self.gradient.zero_()

    def clip_grad_norm(self, max_norm: float) -> Tensor:
        """Shorten the gradient to `max_norm` where it is longer; returns how long it was."""
        norm = self.gradient.norm()
        self.gradient.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))
        return norm
