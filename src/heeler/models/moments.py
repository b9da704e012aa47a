"""Running mean and variance, for normalising observations and scaling rewards."""

import torch
from torch import Tensor


class RunningMoments:
    """Mean and variance of all that was seen, merged batch by batch (Chan et al. 1979), in float64.

    Args:
        size: how many numbers are followed, each on its own.
    """

    def __init__(self, size: int) -> None:
        self.count = torch.zeros((), dtype=torch.float64)
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.variance = torch.ones(size, dtype=torch.float64)

    def update(self, batch: Tensor) -> None:
        """Merge a batch [B, size] in."""
        batch_count = batch.shape[0]
        # Means and squares need float64 only once they are sums over many rows.
        batch_variance, batch_mean = torch.var_mean(batch, dim=0, unbiased=False)
        batch_variance, batch_mean = batch_variance.cpu().double(), batch_mean.cpu().double()
        total = self.count + batch_count
        delta = batch_mean - self.mean
        weight = batch_count / total
        self.variance = self.variance * (1 - weight) + batch_variance * weight + delta**2 * weight * (1 - weight)
        self.mean = self.mean + delta * weight
        self.count = total

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"count": self.count, "mean": self.mean, "variance": self.variance}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what `tensors` returned."""
        self.count, self.mean, self.variance = (
            tensors[name].clone().to(torch.float64) for name in ("count", "mean", "variance")
        )
