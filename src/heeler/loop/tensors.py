"""Tensors as checkpoints keep them."""

from collections.abc import Mapping

import numpy as np
import torch


def to_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """For a checkpoint."""
    return {name: _array(tensor) for name, tensor in tensors.items()}


def to_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """From a checkpoint."""
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def _array(tensor: torch.Tensor) -> np.ndarray:
    """NumPy knows no bfloat16; of the model's own weights in that float32 holds all bits."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
