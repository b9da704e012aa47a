"""An exported policy that acts with NumPy alone. Made by `heeler export`, loaded by `NumpyPolicy.load`.

This file imports nothing but the standard library and NumPy. The export puts a copy of it beside the weights, so that
what acts with them needs neither torch nor heeler; for the same reason what is wrong is a plain `ValueError`.
`NumpyPolicy.load(folder).act(observation)` is all that there is to it.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
TENSORS_NAME, DESCRIPTION_NAME, LOADER_NAME = "policy.safetensors", "policy.json", "policy.py"

_DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}


def _silu(x: np.ndarray) -> np.ndarray:
    # x * sigmoid(x), written so that nothing overflows.
    return x * (0.5 * (1 + np.tanh(0.5 * x)))


_ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "silu": _silu,
}


@dataclass(frozen=True, eq=False)
class NumpyPolicy:
    """A policy's network and what surrounds it: normalisation before, the action's bounds after.

    Shapes: B observations, O observation numbers, A action numbers.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Weight [outputs, inputs] and bias [outputs] of each layer, float32."""
    activation: str
    """`tanh`, `relu` or `silu`, after every layer but the last."""
    shift: np.ndarray
    """[O] float32: subtracted from observations."""
    scale: np.ndarray
    """[O] float32: multiplies them then."""
    clip: float
    """They are clipped to plus and minus this then; infinite where nothing is normalised."""
    description: Mapping[str, Any]
    """All of `policy.json`: the action, the observation's parts, the run that it comes from."""

    @classmethod
    def load(cls, folder: Path | str) -> "NumpyPolicy":
        """The policy in a folder that `heeler export` wrote.

        Raises:
            ValueError: a file is missing, altered, cut short or of a newer format.
        """
        folder = Path(folder)
        description = _read_description(folder / DESCRIPTION_NAME)
        content = _read(folder / TENSORS_NAME)
        if hashlib.sha256(content).hexdigest() != description["sha256"][TENSORS_NAME]:
            raise ValueError(f"{folder / TENSORS_NAME} was altered: its SHA-256 is not the one in {DESCRIPTION_NAME}")
        tensors = read_safetensors(content, str(folder / TENSORS_NAME))
        clip = description["normalization"]["clip"]
        return cls(
            layers=tuple((tensors[layer["weight"]], tensors[layer["bias"]]) for layer in description["layers"]),
            activation=description["activation"],
            shift=tensors["shift"],
            scale=tensors["scale"],
            clip=math.inf if clip is None else clip,
            description=description,
        )

    @property
    def observation_size(self) -> int:
        """O."""
        return len(self.shift)

    def act(self, observation: np.ndarray) -> Any:
        """The likeliest action.

        Args:
            observation: [O] or [B, O] flat numbers; `flatten` makes them of a Dict, Discrete or image observation.

        Returns:
            The action as the environment takes it, of the action space's shape and dtype; an `int` for Discrete. For
            [B, O] an array with one more axis in front.

        Raises:
            ValueError: the observation has another shape.
        """
        x = np.asarray(observation, np.float32)
        if x.ndim not in (1, 2) or x.shape[-1] != self.observation_size:
            size = self.observation_size
            raise ValueError(f"an observation must have shape [{size}] or [B, {size}], got {list(x.shape)}")
        output = self.forward(np.atleast_2d(x))
        action = self._action(output)
        if x.ndim == 2:
            return action
        return int(action[0]) if self.description["action"]["kind"] == "discrete" else action[0]

    def forward(self, observation_BO: np.ndarray) -> np.ndarray:
        """What the network says of [B, O] observations: mean actions, or logits."""
        x = np.clip((observation_BO - self.shift) * self.scale, -self.clip, self.clip)
        activation = _ACTIVATIONS[self.activation]
        for index, (weight, bias) in enumerate(self.layers):
            x = (activation(x) if index else x) @ weight.T + bias
        return x

    def _action(self, output: np.ndarray) -> np.ndarray:
        action = self.description["action"]
        shape, dtype = (len(output), *action["shape"]), np.dtype(action["dtype"])
        if action["kind"] == "box":
            low = np.array([-math.inf if bound is None else bound for bound in action["low"]], dtype)
            high = np.array([math.inf if bound is None else bound for bound in action["high"]], dtype)
            return np.clip(output.astype(dtype), low, high).reshape(shape)
        ends = np.cumsum(action["num_choices"])[:-1]
        chosen = np.stack([logits.argmax(-1) for logits in np.split(output, ends, axis=-1)], -1)
        return (chosen + action["start"]).reshape(shape).astype(dtype)

    def flatten(self, observation: Any) -> np.ndarray:
        """[O] float32: one observation of the environment, whatever its space, as `act` takes it."""
        parts = [_flatten_part(part, _follow(observation, part["path"])) for part in self.description["observation"]]
        return np.concatenate(parts)


def _flatten_part(part: Mapping[str, Any], value: Any) -> np.ndarray:
    """A part of an observation as one stretch of numbers; choices become one-hot."""
    if part["kind"] == "numbers":
        return np.asarray(value, part["dtype"]).ravel().astype(np.float32)
    index = np.asarray(value, np.int64).ravel() - np.array(part["start"])
    one_hot = [np.arange(num) == chosen for num, chosen in zip(part["num_choices"], index, strict=True)]
    return np.concatenate(one_hot).astype(np.float32)


def _follow(value: Any, path: list[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{path} cannot be read ({reason}); expected a folder made by `heeler export`") from error


def description_sha256(description: Mapping[str, Any]) -> str:
    """The hash that `policy.json` carries of all its other entries."""
    rest = {key: value for key, value in description.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _read_description(path: Path) -> dict[str, Any]:
    content = _read(path)
    try:
        description = json.loads(content)
        version, sha256 = description["format"], description["sha256"][DESCRIPTION_NAME]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the description of an exported policy: {error!r}") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, this program knows {FORMAT}; export the policy again")
    if sha256 != description_sha256(description):
        raise ValueError(f"{path} was altered: its SHA-256 is not the one that it carries; export the policy again")
    return description


def read_safetensors(content: bytes, name: str) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file: 8 bytes of length, a JSON header of that length, then the numbers.

    Args:
        content: the file.
        name: for messages.

    Raises:
        ValueError: it is cut short or not of this format.
    """
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        arrays: dict[str, np.ndarray] = {}
        for key, entry in header.items():
            if key != "__metadata__":
                start, end = entry["data_offsets"]
                numbers = content[8 + length + start : 8 + length + end]
                arrays[key] = np.frombuffer(numbers, _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        return arrays
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name} is not a safetensors file that can be read: {error!r}") from error
