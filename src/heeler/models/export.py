"""Writing a policy so that it runs with NumPy alone; `heeler.models.numpy_policy` loads what is written here."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from safetensors.numpy import save

from heeler import __version__
from heeler.core.errors import RunError, WorldError
from heeler.core.rundir import write_atomically
from heeler.models import numpy_policy
from heeler.models.policy import Policy


def export_policy(
    policy: Policy,
    folder: Path,
    *,
    observation_space: Space[Any],
    action_space: Space[Any],
    origin: Mapping[str, Any],
) -> list[Path]:
    """Write `policy.safetensors`, `policy.json` and `policy.py`, which loads and runs them.

    Args:
        policy: what to write.
        folder: made where it is missing; files of an earlier export in it are replaced.
        observation_space: the environment's own, before it was flattened.
        action_space: the environment's own, before it was flattened.
        origin: where the policy comes from, JSON-ready.

    Returns:
        The files.

    Raises:
        RunError: the folder holds other things under these names, or cannot be written.
    """
    tensors = _tensors(policy)
    content = save(tensors)
    description: dict[str, Any] = {
        "format": numpy_policy.FORMAT,
        "made_by": f"heeler {__version__}",
        "origin": dict(origin),
        "observation": list(observation_parts(observation_space)),
        "normalization": {"clip": policy.config.clip_observations if policy.config.normalize_observations else None},
        "layers": [
            {"weight": name, "bias": name.replace("weight", "bias"), "shape": list(tensor.shape)}
            for name, tensor in tensors.items()
            if name.endswith(".weight")
        ],
        "activation": policy.config.activation,
        "action": describe_action(action_space),
    }
    sha256 = {numpy_policy.DESCRIPTION_NAME: numpy_policy.description_sha256(description)}
    sha256[numpy_policy.TENSORS_NAME] = hashlib.sha256(content).hexdigest()
    files = {
        numpy_policy.TENSORS_NAME: content,
        numpy_policy.DESCRIPTION_NAME: dumps(description | {"sha256": sha256}, indent=1, allow_nan=False).encode(),
        numpy_policy.LOADER_NAME: Path(numpy_policy.__file__).read_bytes(),
    }
    return _write_all(folder, files)


def _write_all(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    there = [name for name in files if (folder / name).exists()]
    if there and len(there) < len(files):
        raise RunError(f"{folder} already holds {there[0]}, and not from an export; choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}; choose a writable --out") from error
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [folder / name for name in files]


def _tensors(policy: Policy) -> dict[str, np.ndarray]:
    size, normalizes = policy.observation_size, policy.config.normalize_observations
    tensors = {
        "shift": policy.shift.cpu().numpy() if normalizes else np.zeros(size, np.float32),
        "scale": policy.scale.cpu().numpy() if normalizes else np.ones(size, np.float32),
    }
    tensors |= {name: tensor.cpu().numpy() for name, tensor in policy.actor.state_dict().items()}
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def observation_parts(space: Space[Any], path: tuple[str | int, ...] = ()) -> Iterator[dict[str, Any]]:
    """How an observation is laid out in the flat vector, part after part.

    Yields:
        `path`: keys and places that lead to the part; `kind`: `numbers` (with `shape` and `dtype`) or `choices`, which
        become one-hot (with `num_choices` and `start` of each).
    """
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from observation_parts(part, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for place, part in enumerate(space.spaces):
            yield from observation_parts(part, (*path, place))
    elif isinstance(space, spaces.Discrete):
        yield {"path": list(path), "kind": "choices", "num_choices": [int(space.n)], "start": [int(space.start)]}
    elif isinstance(space, spaces.MultiDiscrete):
        counts, start = space.nvec.ravel().tolist(), np.ravel(space.start).tolist()
        yield {"path": list(path), "kind": "choices", "num_choices": counts, "start": start}
    elif isinstance(space, spaces.Box | spaces.MultiBinary):
        yield {"path": list(path), "kind": "numbers", "shape": list(space.shape), "dtype": str(space.dtype)}
    else:
        raise WorldError(f"observations of {space} cannot be exported; expected Box, Discrete and what is made of them")


def describe_action(space: Space[Any]) -> dict[str, Any]:
    """An action space as JSON-ready values; a bound that is infinite is None."""
    if isinstance(space, spaces.Box):
        low, high = (bound.ravel().tolist() for bound in (space.low, space.high))
        bounds = {"low": [_finite(bound) for bound in low], "high": [_finite(bound) for bound in high]}
        return {"kind": "box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        choices = {"num_choices": [int(space.n)], "start": [int(space.start)]}
        return {"kind": "discrete", "shape": [], "dtype": "int64", **choices}
    if isinstance(space, spaces.MultiDiscrete):
        choices = {"num_choices": space.nvec.ravel().tolist(), "start": np.ravel(space.start).tolist()}
        return {"kind": "multi_discrete", "shape": list(space.nvec.shape), "dtype": str(space.dtype), **choices}
    raise WorldError(f"actions of {space} cannot be exported; expected Box, Discrete or MultiDiscrete")


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
