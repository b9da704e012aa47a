"""Data sets of others: Minari's HDF5, and Hugging Face datasets as the package imitation writes them."""

import json
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pytest

from heeler.core.errors import DataError
from heeler.feedback.episodes import read_demonstrations
from tests.shown import BOX, CHOICES, some

SHOWN = some(11)


def write_minari(folder: Path, *, leave_out: str = "", in_parts: bool = False) -> Path:
    """A data set as Minari stores one; eleven episodes, as `episode_10` comes after `episode_9`, not after 1."""
    data = folder / "data"
    data.mkdir(parents=True)
    spec = {"id": "Toy-v0", "entry_point": "toy:Toy"}
    (data / "metadata.json").write_text(json.dumps({"data_format": "hdf5", "env_spec": json.dumps(spec)}))
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for index, one in enumerate(SHOWN.episodes):
            ends = np.zeros(len(one), bool)
            cut = ends.copy()
            ends[-1], cut[-1] = index == 0, index > 0
            fields: dict[str, Any] = {"observations": one.observation.astype(np.float64), "actions": one.action}
            fields |= {"rewards": one.reward, "terminations": ends, "truncations": cut}
            group = file.create_group(f"episode_{index}")
            for name, array in fields.items():
                if name != leave_out:
                    group.create_dataset(name, data=array)
            if in_parts:
                del group["observations"]
                group.create_group("observations").create_dataset("seen", data=one.observation)
    return folder


def test_minari_is_read_in_the_order_of_its_episodes(tmp_path: Path):
    read = read_demonstrations(str(write_minari(tmp_path / "toy")), 3, BOX)
    assert read.env_id == "Toy-v0"
    assert [len(one) for one in read.episodes] == [len(one) for one in SHOWN.episodes]
    np.testing.assert_array_equal(read.episodes[10].observation, SHOWN.episodes[10].observation)
    np.testing.assert_array_equal(read.episodes[10].action, SHOWN.episodes[10].action)
    assert [one.terminated for one in read.episodes] == [True] + [False] * 10
    np.testing.assert_allclose(read.returns, SHOWN.returns)


def test_minari_sets_that_are_torn_or_lack_a_field_are_refused(tmp_path: Path):
    whole = write_minari(tmp_path / "torn")
    file = whole / "data" / "main_data.hdf5"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=r"main_data\.hdf5: cannot be read as HDF5"):
        read_demonstrations(str(whole), 3, BOX)
    for name in ("observations", "actions", "terminations"):
        lacking = write_minari(tmp_path / name, leave_out=name)
        with pytest.raises(DataError, match=rf"episode_0: {name}: the field is missing"):
            read_demonstrations(str(lacking), 3, BOX)
    with pytest.raises(DataError, match=r"episode_0: observations: it is in parts \(seen\)"):
        read_demonstrations(str(write_minari(tmp_path / "parts", in_parts=True)), 3, BOX)
    (tmp_path / "arrow" / "data").mkdir(parents=True)
    (tmp_path / "arrow" / "data" / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="stored as HDF5"):
        read_demonstrations(str(tmp_path / "arrow"), 3, BOX)


def test_minari_sets_without_rewards_are_read(tmp_path: Path):
    assert read_demonstrations(str(write_minari(tmp_path / "toy", leave_out="rewards")), 3, BOX).returns is None


def rows(**changes: Any) -> dict[str, list[Any]]:
    """Columns as the package imitation writes them."""
    episodes = SHOWN.episodes[:3]
    columns = {
        "obs": [one.observation.tolist() for one in episodes],
        "acts": [one.action.tolist() for one in episodes],
        "infos": [["{}"] * len(one) for one in episodes],
        "terminal": [False, True, False],
        "rews": [one.reward.tolist() for one in episodes if one.reward is not None],
    }
    return {name: column for name, column in (columns | changes).items() if column is not None}


@pytest.mark.parametrize("how", ["disk", "splits", "parquet"])
def test_hugging_face_datasets_are_read_from_folders(tmp_path: Path, how: str):
    made = datasets.Dataset.from_dict(rows())
    folder = tmp_path / "set"
    if how == "parquet":
        folder.mkdir()
        made.to_parquet(str(folder / "train.parquet"))
    else:
        (datasets.DatasetDict(train=made) if how == "splits" else made).save_to_disk(str(folder))
    read = read_demonstrations(str(folder), 3, BOX)
    assert [one.terminated for one in read.episodes] == [False, True, False]
    for mine, its in zip(read.episodes, SHOWN.episodes, strict=False):
        np.testing.assert_allclose(mine.observation, its.observation, rtol=1e-6)
        np.testing.assert_allclose(mine.action, its.action, rtol=1e-6)
    np.testing.assert_allclose(read.returns, SHOWN.returns[:3] if SHOWN.returns is not None else None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acts": None}, "acts: the column is missing"),
        ({"terminal": None}, "terminal: the column is missing"),
        ({"obs": [[[0.0] * 3, [0.0] * 2]] * 3}, "episode 0: obs: expected rows of one length"),
        ({"obs": [[[0.0] * 4] * 5] * 3}, "episode 0: observation: expected 3 numbers each"),
    ],
)
def test_hugging_face_rows_that_do_not_hold_are_named(tmp_path: Path, changes: dict[str, Any], message: str):
    folder = tmp_path / "set"
    datasets.Dataset.from_dict(rows(**changes)).save_to_disk(str(folder))
    with pytest.raises(DataError, match=message):
        read_demonstrations(str(folder), 3, BOX)


def test_hugging_face_choices_come_as_flat_lists(tmp_path: Path):
    acts = [[0, 1, 2, 1], [0] * 5, [2] * 6]
    datasets.Dataset.from_dict(rows(acts=acts)).save_to_disk(str(tmp_path / "set"))
    read = read_demonstrations(str(tmp_path / "set"), 3, CHOICES)
    assert [one.action[:, 0].tolist() for one in read.episodes] == acts


def test_a_dataset_without_a_train_split_and_a_damaged_one_are_refused(tmp_path: Path):
    datasets.DatasetDict(test=datasets.Dataset.from_dict(rows())).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DataError, match="expected a split called train, got test"):
        read_demonstrations(str(tmp_path / "set"), 3, BOX)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a Hugging Face dataset"):
        read_demonstrations(str(tmp_path / "damaged"), 3, BOX)


def test_any_other_folder_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected the directory of a run, or the folder of"):
        read_demonstrations(str(tmp_path), 3, BOX)
