"""Demonstration files of heeler's own: whole or refused by name."""

from pathlib import Path

import numpy as np
import pytest

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import DataError, RunError
from heeler.feedback.episodes import load_npz, read_demonstrations, save_npz
from tests.shown import BOX, demonstration, some


def test_what_is_written_comes_back(tmp_path: Path):
    shown = some(3)
    save_npz(tmp_path / "demos.npz", shown)
    again = load_npz(tmp_path / "demos.npz")
    assert again.env_id == "Toy"
    assert again.fingerprint == shown.fingerprint
    assert again.returns is not None and shown.returns is not None
    np.testing.assert_array_equal(again.returns, shown.returns)
    assert [path.name for path in tmp_path.iterdir()] == ["demos.npz"]


def test_rewards_that_are_not_known_stay_unknown(tmp_path: Path):
    save_npz(tmp_path / "demos.npz", Demonstrations(episodes=(demonstration(3), demonstration(2, reward=None))))
    assert load_npz(tmp_path / "demos.npz").returns is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_by_its_name(tmp_path: Path, share: float):
    path = tmp_path / "demos.npz"
    save_npz(path, some(3))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"demos\.npz: cannot be read"):
        load_npz(path)


def test_altered_bytes_are_refused(tmp_path: Path):
    path = tmp_path / "demos.npz"
    save_npz(path, some(3))
    whole = bytearray(path.read_bytes())
    for place in range(60, len(whole) - 60, 97):
        path.write_bytes(bytes(whole[:place]) + bytes([whole[place] ^ 0xFF]) + bytes(whole[place + 1 :]))
        # Bytes that zip does not read may change; what is read must be what was written.
        try:
            again = load_npz(path)
        except DataError as error:
            assert "demos.npz" in str(error)
        else:
            assert again.fingerprint == some(3).fingerprint


def test_one_array_alone_is_no_file_of_episodes(tmp_path: Path):
    with (tmp_path / "demos.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"demos\.npz: cannot be read"):
        load_npz(str(tmp_path / "demos.npz"))


def test_pickled_arrays_are_refused(tmp_path: Path):
    path = tmp_path / "demos.npz"
    with path.open("wb") as file:
        np.savez(file, observation=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"cannot be read as a file \.npz of plain arrays"):
        load_npz(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": None}, "length: the array is missing"),
        ({"format": np.array(9)}, "format: expected 1"),
        ({"length": np.array([4, 5])}, "terminated: expected 2 booleans"),
        ({"length": np.array([4.0, 5.0, 6.0])}, "length: expected a whole number"),
        ({"length": np.array([-4, 5, 6])}, "length: expected a whole number"),
        ({"terminated": np.array([0, 1, 1])}, "terminated: expected 3 booleans"),
        ({"action": np.zeros((14, 2), np.float32)}, "action: expected 15 rows"),
        ({"observation": np.zeros((15, 3), np.float32)}, "observation: expected 18 rows"),
        ({"reward": np.zeros(3)}, "reward: expected 15 rows"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "demos.npz"
    save_npz(path, some(3))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | change
    with path.open("wb") as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=message) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_and_one_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(DataError, match="there is no such file"):
        load_npz(tmp_path / "none.npz")
    with pytest.raises(DataError, match="there is no 'nowhere'"):
        read_demonstrations("nowhere", 3, BOX)
    with pytest.raises(DataError, match=r"ends in \.npz"):
        save_npz(tmp_path / "demos.txt", some())
    with pytest.raises(DataError, match="at least one episode"):
        save_npz(tmp_path / "demos.npz", Demonstrations(episodes=()))
    with pytest.raises(RunError, match="cannot write"):
        save_npz(tmp_path / "nowhere" / "demos.npz", some())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "demos.npz"
    save_npz(path, some(1))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        save_npz(path, some(2))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["demos.npz"]
