"""From the name of a source to its demonstrations."""

from pathlib import Path
from typing import Any

from gymnasium.spaces import Space

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import DataError
from heeler.core.rundir import RunDirectory
from heeler.feedback.episodes.answers import load_answers
from heeler.feedback.episodes.checking import checked
from heeler.feedback.episodes.hugging_face import HUB, is_dataset_folder, load_hugging_face
from heeler.feedback.episodes.minari_files import is_minari, load_minari
from heeler.feedback.episodes.npz_files import load_npz


def read_demonstrations(source: str, observation_size: int, action_space: Space[Any]) -> Demonstrations:
    """Read demonstrations and check them whole.

    Args:
        source: a file `.npz` that `heeler demonstrate` wrote; the directory of a run in whose store people showed
            something; the folder of a Minari data set or of a Hugging Face dataset; or `hf:OWNER/NAME`.
        observation_size: O of the world that they are to be used in.
        action_space: of one environment of that world.

    Raises:
        DataError: there is no such thing, it is damaged, or it is of another world; names file, episode and field.
        ConfigError: a package that reads it is not installed.
    """
    return checked(_read(source), observation_size, action_space)


def _read(source: str) -> Demonstrations:
    if source.startswith(HUB):
        return load_hugging_face(source)
    path = Path(source)
    if path.is_dir():
        if (path / "config.yaml").exists():
            return load_answers(RunDirectory.open(path))
        if is_minari(path):
            return load_minari(path)
        if is_dataset_folder(path):
            return load_hugging_face(source)
        raise DataError(
            f"{path}: expected the directory of a run, or the folder of a Minari data set or of a Hugging Face dataset"
        )
    if path.suffix == ".npz" or path.exists():
        return load_npz(path)
    raise DataError(
        f"demonstrations: there is no {source!r}; expected a file .npz, a run's directory, the folder of a Minari data "
        "set or of a Hugging Face dataset, or hf:OWNER/NAME"
    )
