"""Finite worlds in `.npz` files, without pickle: every error names the file and the field.

| field | what it is |
|---|---|
| `transitions` | [S, A, S] probability of each next state; or, for large worlds, the next two |
| `next_state`, `probability` | [S, A, M] whole numbers, and the probability of each |
| `start` | [S] probability of each first state |
| `discount` | at least 0 and at most 1 |
| `horizon` | steps of an episode; left out where it goes on for ever |
| `terminal` | [S] booleans; may be left out |
| `features`, `feature_names` | [S, F] or [S, A, F], and F names; may be left out |
| `state_names`, `action_names` | may be left out |
| `cells` | [S, 2] row and column of each state on a grid; may be left out |
| `true_reward` | [S] or [S, A], to compare with; may be left out |
"""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.errors import DataError, RunError, did_you_mean
from heeler.rewards.inverse.world import FiniteWorld, from_dense

_SPARSE = ("next_state", "probability")
_FIELDS = (
    *("transitions", *_SPARSE, "start", "discount", "horizon", "terminal", "features", "feature_names"),
    *("state_names", "action_names", "cells", "true_reward"),
)
_OF_WORLD = {"start": "start_S", "terminal": "terminal_S", "cells": "cell_S2"}
_NAMES = ("feature_names", "state_names", "action_names")


def read_world(path: Path | str) -> FiniteWorld:
    """Read and check a world.

    Raises:
        DataError: there is no such file, it is torn, a field is missing or unknown, or does not hold.
    """
    path = Path(path)
    arrays = read_arrays(path, _FIELDS, "a world")
    try:
        return _world(arrays)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write_world(world: FiniteWorld, path: Path | str) -> None:
    """Write a world as `read_world` reads it.

    Raises:
        RunError: it cannot be written.
    """
    arrays: dict[str, Any] = {
        "next_state": world.next_SAM,
        "probability": world.chance_SAM,
        "start": world.start_S,
        "discount": np.float64(world.discount),
        "terminal": world.terminal_S,
    }
    optional = {"features": world.features, "cells": world.cell_S2, "true_reward": world.true_reward}
    arrays |= {name: value for name, value in optional.items() if value is not None}
    arrays |= {name: np.array(getattr(world, name)) for name in _NAMES if getattr(world, name)}
    if world.horizon is not None:
        arrays["horizon"] = np.int64(world.horizon)
    write_arrays(Path(path), arrays)


def read_arrays(path: Path, fields: Iterable[str], what: str) -> dict[str, np.ndarray]:
    """All arrays of an `.npz`, of which none may be an object.

    Args:
        path: of the file.
        fields: that may be there.
        what: it holds, for messages.

    Raises:
        DataError: as `read_world`.
    """
    try:
        # Opened here, as NumPy leaves a file open that it finds torn.
        with path.open("rb") as content:
            file = np.load(content, allow_pickle=False)
            arrays = None if isinstance(file, np.ndarray) else {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} cannot be read as .npz, without pickle: {reason}") from error
    if arrays is None:
        raise DataError(f"{path} holds one array, as .npy files do; {what} is an .npz with named fields")
    known = tuple(fields)
    for name in arrays:
        if name not in known:
            raise DataError(f"{path}: {what} has no field {name!r}.{did_you_mean(name, known)} It may have: {known}")
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an `.npz` whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    import io

    from heeler.core.rundir import write_atomically

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {path.parent}: {error.strerror or error}; choose another folder") from error
    write_atomically(path, content.getvalue())


def scalar(arrays: Mapping[str, np.ndarray], name: str) -> float:
    """The one number of a field."""
    array = arrays[name]
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise DataError(f"{name} must be one number, got {array.dtype} of shape {array.shape}")
    return float(array.ravel()[0])


def _world(arrays: dict[str, np.ndarray]) -> FiniteWorld:
    sparse = [name for name in _SPARSE if name in arrays]
    if "transitions" in arrays and sparse:
        raise DataError(f"{sparse[0]} would be ignored beside transitions; leave one out")
    if "transitions" not in arrays and len(sparse) < 2:
        missing = ["transitions"] if not sparse else [name for name in _SPARSE if name not in arrays]
        raise DataError(f"{missing[0]} is missing; give transitions, or next_state and probability")
    for name in ("start", "discount"):
        if name not in arrays:
            raise DataError(f"{name} is missing")
    fields: dict[str, Any] = {"discount": scalar(arrays, "discount")}
    if "horizon" in arrays:
        horizon = scalar(arrays, "horizon")
        if not horizon.is_integer():
            raise DataError(f"horizon must be a whole number of steps, got {horizon:g}")
        fields["horizon"] = int(horizon)
    for name in _NAMES:
        if name in arrays:
            fields[name] = _strings(name, arrays[name])
    for name in ("start", "terminal", "features", "cells", "true_reward"):
        if name in arrays:
            fields[_OF_WORLD.get(name, name)] = arrays[name]
    if "transitions" in arrays:
        _expect_numbers("transitions", arrays["transitions"])
        return from_dense(arrays["transitions"], **fields)
    for name in ("probability", "start"):
        _expect_numbers(name, arrays[name])
    return FiniteWorld(next_SAM=arrays["next_state"], chance_SAM=arrays["probability"], **fields)


def _expect_numbers(name: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name} must be numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        place = ", ".join(str(int(index)) for index in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{name}[{place}] must be a finite number, got {array[~np.isfinite(array)][0]}")


def _strings(name: str, array: np.ndarray) -> tuple[str, ...]:
    if array.dtype.kind != "U" or array.ndim != 1:
        raise DataError(f"{name} must be strings in one dimension, got {array.dtype} of shape {array.shape}")
    return tuple(array.tolist())
