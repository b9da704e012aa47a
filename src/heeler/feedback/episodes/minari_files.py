"""Demonstrations from a data set of Minari's that lies in a folder: `data/main_data.hdf5`, read through h5py.

Each group `episode_N` holds `observations` [T+1, O], `actions` [T, A], `rewards`, `terminations` and `truncations` [T].
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import ConfigError, DataError

_DATA, _METADATA = Path("data") / "main_data.hdf5", Path("data") / "metadata.json"
_START = "episode_"


def is_minari(path: Path) -> bool:
    """Whether a folder is such a data set."""
    return (path / _DATA).exists() or (path / _METADATA).exists()


def load_minari(path: Path) -> Demonstrations:
    """Read all episodes of a data set.

    Args:
        path: of the data set's folder, the one that holds `data`.

    Raises:
        DataError: it is torn, or an episode lacks a field or has observations in parts; names episode and field.
        ConfigError: h5py is not installed.
    """
    if not (path / _DATA).exists():
        raise DataError(
            f"{path}: {_DATA} is missing; expected a data set that was stored as HDF5 (Minari's data_format='hdf5')"
        )
    try:
        h5py: Any = import_module("h5py")
    except ImportError as error:
        raise ConfigError(f"{path}: data sets of Minari's are read through h5py; install heeler[minari]") from error
    try:
        with h5py.File(path / _DATA, "r") as file:
            names = sorted((str(name) for name in file if str(name).startswith(_START)), key=_number)
            episodes = tuple(_episode(file[name], f"{path}, {name}") for name in names)
    except OSError as error:
        raise DataError(f"{path / _DATA}: cannot be read as HDF5: {error}") from error
    return Demonstrations(episodes=episodes, env_id=_env_id(path), source=str(path))


def _number(name: str) -> int:
    digits = name.removeprefix(_START)
    return int(digits) if digits.isdecimal() else -1


def _episode(group: Any, where: str) -> Demonstration:
    ended = _array(group, "terminations", where)
    rewards = _array(group, "rewards", where) if "rewards" in group else None
    return Demonstration(
        observation=_array(group, "observations", where),
        action=_array(group, "actions", where),
        terminated=bool(ended[-1]) if ended.ndim == 1 and len(ended) else False,
        reward=rewards,
    )


def _array(group: Any, name: str, where: str) -> np.ndarray:
    if name not in group:
        raise DataError(f"{where}: {name}: the field is missing")
    if not hasattr(group[name], "dtype"):
        raise DataError(
            f"{where}: {name}: it is in parts ({', '.join(group[name])}); expected one array, as flat spaces give"
        )
    return np.asarray(group[name])


def _env_id(path: Path) -> str:
    """Of the world, as far as the metadata says."""
    try:
        spec = json.loads((path / _METADATA).read_bytes()).get("env_spec")
        return str(json.loads(spec)["id"]) if spec else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
