"""The peers' virtual environments: made once from the pinned list, made again when it changes, never half made."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.harness import BenchmarkError


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    place = tmp_path / "lists"
    place.mkdir()
    (place / "empty.txt").write_text("")
    return place


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would be run; only the folder that the first of them makes is made."""
    made: list[tuple[str, ...]] = []

    def note(command: tuple[str, ...]) -> None:
        made.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(peers, "_call", note)
    return made


def test_a_real_environment_is_made(tmp_path: Path, lists: Path) -> None:
    interpreter = peers.python("empty", home=tmp_path / "home", lists=lists)
    assert subprocess.run([interpreter, "-c", "import sys; sys.exit(sys.prefix == sys.base_prefix)"]).returncode == 0


def test_made_once_and_again_when_the_list_changes(tmp_path: Path, lists: Path, calls: list[tuple[str, ...]]) -> None:
    (lists / "empty.txt").write_text("numpy==2.4.6\ntorch==2.13.0\n")
    peers.python("empty", home=tmp_path, lists=lists)
    assert [command[-1] for command in calls] == [str(tmp_path / "empty"), "torch==2.13.0", str(lists / "empty.txt")]
    peers.python("empty", home=tmp_path, lists=lists)
    assert len(calls) == 3
    (lists / "empty.txt").write_text("numpy==2.4.6\n")
    peers.python("empty", home=tmp_path, lists=lists)
    assert [command[-1] for command in calls[3:]] == [str(tmp_path / "empty"), str(lists / "empty.txt")]


def test_what_contradicts_itself_is_taken_as_it_is_listed(
    tmp_path: Path, lists: Path, calls: list[tuple[str, ...]]
) -> None:
    (lists / "omnisafe.txt").write_text("torch==2.13.0\nnumpy==1.23.5\n")
    peers.python("omnisafe", home=tmp_path, lists=lists)
    assert all("--no-deps" in command for command in calls[1:])
    peers.python("empty", home=tmp_path, lists=lists)
    assert "--no-deps" not in calls[-1]


def test_one_that_could_not_be_made_is_not_taken_for_whole(
    tmp_path: Path, lists: Path, calls: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: tuple[str, ...]) -> None:
        raise BenchmarkError("no such version")

    with monkeypatch.context() as patched:
        patched.setattr(peers, "_call", fail)
        with pytest.raises(BenchmarkError, match="no such version"):
            peers.python("empty", home=tmp_path, lists=lists)
    peers.python("empty", home=tmp_path, lists=lists)
    assert calls, "what was begun and not finished was taken for whole"


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(BenchmarkError, match=r"exit code 3(.|\n)*out of room"):
        peers._call((sys.executable, "-c", "import sys; print('out of room', file=sys.stderr); sys.exit(3)"))


def test_an_unknown_peer_is_named_with_the_known_ones(tmp_path: Path, lists: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no peer 'sbx'.*There are: empty"):
        peers.python("sbx", home=tmp_path, lists=lists)


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_list_pins_every_version_and_torch(name: str) -> None:
    lines = (peers.LISTS / f"{name}.txt").read_text().splitlines()
    assert name == "schemathesis" or "torch==2.13.0" in lines
    assert all(line.count("==") == 1 and "@" not in line for line in lines)
