"""Saving an Adam or AdamW optimiser as named tensors, which safetensors can hold."""

import torch
from torch import Tensor


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Every tensor of the optimiser's state, as `PREFIX<parameter index>.<name>`; empty before the first step."""
    state = optimizer.state_dict()["state"]
    return {f"{prefix}{index}.{name}": tensor for index, row in state.items() for name, tensor in row.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Go on from what `optimizer_tensors` returned; the parameter groups stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            index, name = key.removeprefix(prefix).split(".")
            state.setdefault(int(index), {})[name] = tensor.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
