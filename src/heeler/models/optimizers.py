"""Adam on one tensor.

torch's own does the same; but making one imports its compiler, which costs every process 70 MB and more than a second,
and its bookkeeping for each step costs more than the arithmetic of the networks here.
"""

import math

import torch
from torch import Tensor

_MEAN_DECAY = 0.9
"""Of the running mean of the gradient."""


class Adam:
    r"""Adam with decoupled weight decay.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g,\quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2,\quad
      \theta \leftarrow (1 - \alpha w) \theta
      - \alpha \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}$$

    Sources: Kingma and Ba 2015, arXiv 1412.6980; Loshchilov and Hutter 2019, arXiv 1711.05101.

    Args:
        parameter: all that is learned, in one tensor; its `grad` is what `step` uses.
        learning_rate: alpha.
        epsilon: keeps the division finite.
        weight_decay: w.
        square_decay: beta_2, of the running mean of the gradient's square.
    """

    def __init__(
        self,
        parameter: Tensor,
        *,
        learning_rate: float,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        square_decay: float = 0.999,
    ) -> None:
        self.parameter = parameter
        self.learning_rate, self.epsilon, self.weight_decay = learning_rate, epsilon, weight_decay
        self.square_decay = square_decay
        self.mean = torch.zeros_like(parameter, requires_grad=False)
        self.square = torch.zeros_like(parameter, requires_grad=False)
        self.num_steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradient; none where there is no gradient."""
        gradient = self.parameter.grad
        if gradient is None:
            return
        self.num_steps += 1
        first, second = _MEAN_DECAY, self.square_decay
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = self.square.sqrt().div_(math.sqrt(1 - second**self.num_steps)).add_(self.epsilon)
        if self.weight_decay:
            self.parameter.mul_(1 - self.learning_rate * self.weight_decay)
        self.parameter.addcdiv_(self.mean, root, value=-self.learning_rate / (1 - first**self.num_steps))

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"mean": self.mean, "square": self.square, "num_steps": torch.tensor(self.num_steps)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        self.mean.copy_(tensors["mean"])
        self.square.copy_(tensors["square"])
        self.num_steps = int(tensors["num_steps"])
