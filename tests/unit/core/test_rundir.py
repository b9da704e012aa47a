"""The run directory: whole or nothing, and what does not match its hash is refused by name."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import CheckpointError, RunError
from heeler.core.rundir import RunDirectory, write_atomically

CONFIG = {"recipe": "x", "seed": 0, "algorithm": {"clip": 0.2}}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory.create(tmp_path / "run", CONFIG)
    with directory.locked():
        return directory


def save(directory: RunDirectory, step: int, keep: int = 3):
    return directory.save_checkpoint(step, {"w": np.arange(5.0) + step}, {"update": step}, keep=keep)


def test_checkpoint_comes_back_bit_for_bit(directory):
    tensors = {
        "a": np.random.default_rng(0).normal(size=(3, 4)),
        "b": np.arange(3, dtype=np.uint8),
        "scalar": np.array(2.5),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    }
    saved = directory.save_checkpoint(7, tensors, {"x": [1, 0.1]}, keep=3)
    loaded, refused = directory.newest_checkpoint()
    assert refused == []
    assert loaded is not None
    assert (loaded.step, loaded.state, loaded.sha256) == (7, {"x": [1, 0.1]}, saved.sha256)
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], array, strict=True)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_damaged_checkpoint_is_refused_and_the_one_before_is_used(directory, name, damage):
    save(directory, 1)
    save(directory, 2)
    file = directory.path / "checkpoints" / "step-2" / name
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    loaded, refused = directory.newest_checkpoint()
    assert loaded is not None
    assert loaded.step == 1
    assert len(refused) == 1
    assert "step-2" in refused[0]
    with pytest.raises(CheckpointError, match="step-2"):
        directory.load_checkpoint(2)


def test_a_checkpoint_under_another_name_is_refused_and_displaces_none(directory):
    for step in (1, 2):
        save(directory, step)
    folder = directory.path / "checkpoints"
    (folder / "step-2").rename(folder / "step-99")
    loaded, refused = directory.newest_checkpoint()
    assert loaded is not None
    assert loaded.step == 1
    assert refused == [f"checkpoint {folder / 'step-99'} is refused: it was saved as step-2; give it that name again"]
    save(directory, 3, keep=1)
    assert directory.checkpoint_steps() == [3, 99]


def test_a_replacement_that_was_cut_short_is_undone(directory):
    """A checkpoint of a stretch that is walked again takes the old one's place; a kill in between loses neither."""
    save(directory, 1, keep=1)
    folder = directory.path / "checkpoints"
    os.replace(folder / "step-1", folder / ".step-1.replaced")
    assert directory.newest_checkpoint() == (None, [])
    with directory.locked():
        loaded, refused = directory.newest_checkpoint()
    assert loaded is not None
    assert (loaded.step, refused) == (1, [])
    save(directory, 1, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step-1"]


def test_a_folder_that_is_no_run_is_left_as_it_was(tmp_path):
    (tmp_path / "config.yaml").write_text("a: 1")
    RunDirectory.open(tmp_path).config()
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_only_the_newest_checkpoints_stay(directory):
    for step in range(1, 6):
        save(directory, step, keep=2)
    assert directory.checkpoint_steps() == [4, 5]


def test_an_old_checkpoint_that_cannot_be_removed_is_named(directory, monkeypatch):
    save(directory, 1)
    remove = os.rmdir

    def refuse(path, *, dir_fd=None):
        if Path(path).name == "step-1":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        remove(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refuse)
    with pytest.raises(RunError, match=r"cannot remove .*step-1, which is older .*: Permission denied"):
        save(directory, 2, keep=1)
    assert directory.load_checkpoint(2).step == 2


def test_unfinished_checkpoint_is_not_seen(directory):
    save(directory, 1)
    aside = directory.path / "checkpoints" / ".step-2.tmp"
    aside.mkdir()
    (aside / "state.json").write_text("{")
    assert directory.checkpoint_steps() == [1]
    save(directory, 2)
    assert directory.checkpoint_steps() == [1, 2]


def test_other_configuration_is_refused_and_named(directory):
    with pytest.raises(RunError, match=r"algorithm\.clip"):
        RunDirectory.create(directory.path, CONFIG | {"algorithm": {"clip": 0.3}})
    assert directory.config() == CONFIG
    assert RunDirectory.create(directory.path, CONFIG).path == directory.path


def test_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        RunDirectory.create(tmp_path, CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match=r"no config\.yaml"):
        RunDirectory.open(tmp_path)


def test_torn_configuration_is_named(directory):
    (directory.path / "config.yaml").write_text("a: [1")
    with pytest.raises(RunError, match=r"config\.yaml"):
        directory.config()


def test_two_learners_cannot_hold_one_run(directory):
    with directory.locked():
        code = (
            "import sys; from pathlib import Path; from heeler.core.rundir import RunDirectory\n"
            "with RunDirectory(Path(sys.argv[1])).locked(): print('held')"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(directory.path)], capture_output=True, text=True, check=False
        )
        assert "in use by another process" in other.stderr
    with directory.locked():
        assert directory.path.exists()


def test_metrics_of_a_lost_stretch_are_forgotten(directory):
    directory.append_metrics({"step": 1})
    size = directory.append_metrics({"step": 2})
    directory.append_metrics({"step": 3})
    with directory.metrics_path.open("a") as file:
        file.write('{"step": 4')
    assert [row["step"] for row in directory.metrics()] == [1, 2, 3]
    directory.truncate_metrics(size)
    assert [row["step"] for row in directory.metrics()] == [1, 2]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"step": 2, "ret', "line 2 is damaged"),
        (b"\xff\xfe\0", "line 2 is damaged"),
        (b"", "line 2 is damaged"),
        (b"17", "line 2 must be an object with a step, got b'17'"),
        (b"{}", "line 2 must be an object with a step"),
    ],
)
def test_a_damaged_line_of_metrics_is_named(directory, line, told):
    directory.metrics_path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
    with pytest.raises(RunError, match=rf"metrics.jsonl, {told}.* mend that line"):
        directory.metrics()


def test_metrics_refuse_nan(directory):
    with pytest.raises(ValueError, match="not JSON compliant"):
        directory.append_metrics({"loss": float("nan")})
    assert directory.metrics() == []


@pytest.fixture
def full_disk(monkeypatch):
    """Every flush to the disk fails as on a full one."""

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)


def test_full_disk_keeps_what_was_there(directory, request):
    save(directory, 1)
    request.getfixturevalue("full_disk")
    with pytest.raises(RunError, match="No space left on device"):
        save(directory, 2)
    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(directory.path / "config.yaml", b"other")
    assert directory.checkpoint_steps() == [1]
    assert directory.config() == CONFIG
    assert not list(directory.path.rglob("*.tmp"))


def test_read_only_directory_is_a_clear_error(tmp_path):
    # Root may write anywhere, so the check runs as an ordinary user where the tests run as root.
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    tmp_path.chmod(0o755)
    if os.getuid() != 0:
        with pytest.raises(RunError, match="cannot write"):
            RunDirectory.create(home / "run", CONFIG)
        return
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunError, match="cannot write"):
        RunDirectory.create(blocked / "run", CONFIG)


def test_a_read_only_file_system_is_a_clear_error(directory, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunError, match=r"cannot write .*report.html: Read-only file system"):
        write_atomically(directory.path / "report.html", b"")


def test_manifest_names_every_file(directory):
    save(directory, 3)
    folder = directory.path / "checkpoints" / "step-3"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["sha256"]) == {p.name for p in folder.iterdir()} - {"manifest.json"}


def test_a_configuration_changed_by_hand_may_name_off(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", {"monitors": {"off": []}})
    (directory.path / "config.yaml").write_text("monitors: {off: [kl_spike]}\n")
    assert directory.config() == {"monitors": {"off": ["kl_spike"]}}
