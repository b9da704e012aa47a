"""Demonstrations from a Hugging Face dataset with a row for each episode, as the package `imitation` writes them.

Columns: `obs` [T+1, O], `acts` [T, A] or [T], `terminal` (whether it ended in a terminal state), and `rews` [T] where
it is known; `infos` is not read.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import ConfigError, DataError

HUB = "hf:"
"""What a name on the hub begins with: `hf:OWNER/NAME`."""
_NEEDED = ("obs", "acts", "terminal")


def is_dataset_folder(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`, or holds Parquet files."""
    return (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists() or bool(_parquet(path))


def load_hugging_face(source: str) -> Demonstrations:
    """Read all episodes; of a dataset with several splits those of `train`.

    Args:
        source: a folder, or `hf:OWNER/NAME` for a dataset of the hub.

    Raises:
        DataError: it cannot be read, or a column is missing or of another form; names row and column.
        ConfigError: the package datasets is not installed.
    """
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise ConfigError(f"{source}: Hugging Face datasets are read through datasets; install heeler[lm]") from error
    try:
        found: Any = _open(datasets, source)
    # Whatever the package raises: of the network, of files, of names.
    except Exception as error:
        raise DataError(f"{source}: cannot be read as a Hugging Face dataset: {error}") from error
    rows = _rows(found, source)
    columns: list[str] = list(rows.column_names)
    for name in _NEEDED:
        if name not in columns:
            raise DataError(
                f"{source}: {name}: the column is missing; expected {', '.join(_NEEDED)}, got {', '.join(columns)}"
            )
    kept: Any = rows.select_columns([name for name in (*_NEEDED, "rews") if name in columns])
    episodes = tuple(_episode(row, f"{source}, episode {index}") for index, row in enumerate(kept))
    return Demonstrations(episodes=episodes, source=source)


def _rows(found: Any, source: str) -> Any:
    """Of a dataset with several splits, which is a dict of them, those of `train`."""
    if not isinstance(found, dict):
        return found
    splits = cast(dict[str, Any], found)
    if "train" not in splits:
        raise DataError(f"{source}: expected a split called train, got {', '.join(splits)}")
    return splits["train"]


def _open(datasets: Any, source: str) -> Any:
    if source.startswith(HUB):
        return datasets.load_dataset(source.removeprefix(HUB))
    folder = Path(source)
    if files := _parquet(folder):
        return datasets.load_dataset("parquet", data_files=[str(file) for file in files])
    return datasets.load_from_disk(str(folder))


def _parquet(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _episode(row: dict[str, Any], where: str) -> Demonstration:
    reward = row.get("rews")
    return Demonstration(
        observation=_array(row["obs"], f"{where}: obs"),
        action=_array(row["acts"], f"{where}: acts"),
        terminated=bool(row["terminal"]),
        reward=None if reward is None else _array(reward, f"{where}: rews"),
    )


def _array(value: Any, where: str) -> np.ndarray:
    try:
        return np.array(value)
    except ValueError as error:
        raise DataError(f"{where}: expected rows of one length: {error}") from error
