"""Demonstrations as one file `.npz` of plain arrays, read without pickle and written whole or not at all.

Arrays: `format`, `env_id`, `length` [E], `terminated` [E], `observation` [B+E, O], `action` [B, A], and `reward` [B]
where it is known; episodes one after the other. Shapes as in `heeler.core.demonstrations`.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import DataError, RunError
from heeler.core.rundir import flush_directory

FORMAT = 1
_NEEDED = ("format", "env_id", "length", "terminated", "observation", "action")


def save_npz(path: Path | str, demonstrations: Demonstrations) -> None:
    """Write the file aside and rename it; one that is there is replaced.

    Raises:
        DataError: there is no episode, or they differ in their sizes.
        RunError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise DataError(f"{path}: expected a name that ends in .npz")
    if not demonstrations.episodes:
        raise DataError(f"{path}: expected at least one episode to write, got none")
    episodes = demonstrations.episodes
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "env_id": np.array(demonstrations.env_id),
        "length": np.array([len(one) for one in episodes]),
        "terminated": np.array([one.terminated for one in episodes]),
    }
    try:
        arrays["observation"] = np.concatenate([one.observation for one in episodes])
        arrays["action"] = np.concatenate([one.action for one in episodes])
    except ValueError as error:
        raise DataError(f"{path}: episodes must have observations and actions of one size: {error}") from error
    rewards = [one.reward for one in episodes if one.reward is not None]
    if len(rewards) == len(episodes):
        arrays["reward"] = np.concatenate(rewards)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        flush_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another place"
        ) from error


def load_npz(path: Path | str) -> Demonstrations:
    """Read what `save_npz` wrote.

    Raises:
        DataError: it is missing, torn or of another kind, or its arrays do not fit each other; names the array.
    """
    path = Path(path)
    arrays = _arrays(path)
    for name in _NEEDED:
        if name not in arrays:
            there = ", ".join(arrays) or "nothing"
            raise DataError(
                f"{path}: {name}: the array is missing; expected what `heeler demonstrate` writes, got {there}"
            )
    if arrays["format"].shape != () or arrays["format"] != FORMAT:
        raise DataError(f"{path}: format: expected {FORMAT}, as this version reads it, got {arrays['format']}")
    length, ended = arrays["length"], arrays["terminated"]
    if length.ndim != 1 or length.dtype.kind not in "iu" or (length < 0).any():
        raise DataError(f"{path}: length: expected a whole number of steps for each episode, got {length.dtype}")
    if ended.shape != length.shape or ended.dtype != bool:
        raise DataError(f"{path}: terminated: expected {len(length)} booleans, got {ended.dtype} {list(ended.shape)}")
    num_steps, num_episodes = int(length.sum()), len(length)
    wanted = {"observation": num_steps + num_episodes, "action": num_steps, "reward": num_steps}
    for name, num_rows in wanted.items():
        if name in arrays and (arrays[name].ndim == 0 or len(arrays[name]) != num_rows):
            raise DataError(
                f"{path}: {name}: expected {num_rows} rows, as length says, got shape {list(arrays[name].shape)}"
            )
    cuts = np.cumsum(length)[:-1]
    rewards = np.split(arrays["reward"], cuts) if "reward" in arrays else [None] * num_episodes
    shown = zip(
        np.split(arrays["observation"], np.cumsum(length + 1)[:-1]),
        np.split(arrays["action"], cuts),
        ended.tolist(),
        rewards,
        strict=True,
    )
    episodes = tuple(Demonstration(observation=o, action=a, terminated=t, reward=r) for o, a, t, r in shown)
    return Demonstrations(episodes=episodes if num_episodes else (), env_id=str(arrays["env_id"]), source=str(path))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, as NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    # The last where the file holds one array alone.
    except (OSError, ValueError, EOFError, BadZipFile, ZlibError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as a file .npz of plain arrays: {error}") from error
