"""The weights that learning changes, and how they take a step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heeler.core.errors import ConfigError, LearningError
from heeler.core.named import under
from heeler.models.data_parallel import from_first, total
from heeler.models.flat import FlatParameters
from heeler.models.optimizers import Adam


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How long steps are."""

    learning_rate: float = 1e-5
    """Adam's step after the warm-up."""
    num_warmup_updates: int = 0
    """Updates over which the step grows to its length."""
    final_learning_rate_share: float = 1.0
    """Share of `learning_rate` left at the end; annealed linearly. 1 keeps it constant."""
    weight_decay: float = 0.0
    """Decoupled from the gradient; for all weights alike."""
    square_decay: float = 0.999
    """Of Adam's running mean of the gradient's square (beta_2). Less follows a gradient that changes quickly, as in
    training from nothing."""
    max_gradient_norm: float = 1.0
    """Gradients longer than this are shortened to it."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be > 0 and finite, got {getattr(self, name)}")
        for name in ("num_warmup_updates", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if not 0 <= self.square_decay < 1:
            raise ConfigError(f"square_decay must be between 0 and 1, 1 not included, got {self.square_decay}")
        if not 0 <= self.final_learning_rate_share <= 1:
            raise ConfigError(
                f"final_learning_rate_share must be between 0 and 1, got {self.final_learning_rate_share}"
            )

    def rate(self, num_updates: int, progress: float) -> float:
        """Length of the next step, after `num_updates` of them, with this share of the training over."""
        warmth = min(1.0, (num_updates + 1) / self.num_warmup_updates) if self.num_warmup_updates else 1.0
        share = self.final_learning_rate_share + (1 - self.final_learning_rate_share) * (1 - progress)
        return self.learning_rate * warmth * share


class Weights:
    """Weights, their gradient and Adam's memory, each in one tensor.

    Weights of 32 bits become views of it. Of others (bf16) it holds copies of 32 bits, in which gradients are added up
    and steps are taken: steps that are small beside a weight would be lost in fewer bits. With several processes all
    begin with the first one's weights.

    Args:
        parameters: all that may change.
        config: how long steps are.

    Raises:
        ConfigError: there is nothing that may change.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: OptimizerConfig) -> None:
        if not parameters:
            raise ConfigError(
                "no weight of the model may change; give it an adapter, or let weights require a gradient"
            )
        self.config = config
        self.pace = 1.0
        """Share of their length that steps have at present; less where learning is slowed."""
        self._copied = () if _is_one_wide_type(parameters) else tuple(parameters)
        if self._copied:
            self.flat = nn.Parameter(torch.cat([p.detach().flatten().float() for p in parameters]))
            self.flat.grad = torch.zeros_like(self.flat)
        else:
            self.flat = FlatParameters(parameters).flat
        from_first(self.flat.data)
        self._write_back()
        self._adam = Adam(
            self.flat,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            square_decay=config.square_decay,
        )

    @property
    def gradient(self) -> Tensor:
        """The gradient of all weights."""
        assert self.flat.grad is not None
        return self.flat.grad

    def zero_gradient(self) -> None:
        """Forget the gradient, keeping its memory."""
        self.gradient.zero_()

    def add_gradient(self, loss: Tensor) -> None:
        """Differentiate a part of the loss, and add what comes of it to the gradient."""
        loss.backward()
        if self._copied:
            sizes = [parameter.numel() for parameter in self._copied]
            for parameter, held in zip(self._copied, self.gradient.split(sizes), strict=True):
                if parameter.grad is not None:
                    held.add_(parameter.grad.flatten())
                    parameter.grad = None

    def step(self, num_updates: int, progress: float) -> dict[str, float]:
        """One step along the gradient of all processes.

        Args:
            num_updates: made so far.
            progress: share of the training that is over, 0 to 1.

        Returns:
            `grad_norm`, before it was shortened, and `learning_rate`.

        Raises:
            LearningError: the gradient is not finite; the weights are as they were.
        """
        total(self.gradient)
        norm = float(self.gradient.norm())
        if not math.isfinite(norm):
            raise LearningError(f"the gradient's length is {norm}; lower the learning rate, or look at the rewards")
        limit = self.config.max_gradient_norm
        if norm > limit:
            self.gradient.mul_(limit / (norm + 1e-6))
        self._adam.learning_rate = self.config.rate(num_updates, progress) * self.pace
        self._adam.step()
        self._write_back()
        return {"grad_norm": norm, "learning_rate": self._adam.learning_rate}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, the weights with all their bits."""
        adam = {f"adam.{name}": tensor for name, tensor in self._adam.tensors().items()}
        return {"flat": self.flat.detach()} | adam

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned.

        Raises:
            ConfigError: that was of another number of weights.
        """
        if tensors["flat"].shape != self.flat.shape:
            raise ConfigError(
                f"the checkpoint holds {tensors['flat'].numel()} weights, and {self.flat.numel()} of the model may "
                "change; load the model or adapter that it was made with"
            )
        self.flat.copy_(tensors["flat"])
        self._adam.load_tensors(under("adam.", tensors))
        self._write_back()

    @torch.no_grad()
    def _write_back(self) -> None:
        """Give copied weights to the model."""
        sizes = [parameter.numel() for parameter in self._copied]
        if sizes:
            for parameter, held in zip(self._copied, self.flat.split(sizes), strict=True):
                parameter.copy_(held.view_as(parameter))


def _is_one_wide_type(parameters: Sequence[nn.Parameter]) -> bool:
    types = {parameter.dtype for parameter in parameters}
    return types in ({torch.float32}, {torch.float64})
