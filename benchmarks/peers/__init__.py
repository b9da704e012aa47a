"""The peers that heeler is measured against, and what fuzzes it; each package has a virtual environment in `.peers/`.

`NAME.txt` beside this file pins everything that goes into `.peers/NAME`, which is made on first use and again when the
list changes.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, BenchmarkError

PEERS = ("sb3", "imitation", "schemathesis", "trl", "omnisafe")
_TAKEN_AS_LISTED = ("omnisafe",)
"""Peers whose packages ask for versions that contradict each other; their lists name all that they need."""
HOME = ROOT / ".peers"
LISTS = Path(__file__).resolve().parent


def python(name: str, *, home: Path = HOME, lists: Path = LISTS) -> str:
    """The Python of the peer's virtual environment, which is made if it is not there.

    Args:
        name: one of `PEERS`.
        home: where the virtual environments are.
        lists: where the pinned lists are.

    Raises:
        BenchmarkError: there is no such list, or the environment could not be made.
    """
    pinned = lists / f"{name}.txt"
    if not pinned.exists():
        known = ", ".join(sorted(path.stem for path in lists.glob("*.txt")))
        raise BenchmarkError(f"there is no peer {name!r}: {pinned} does not exist. There are: {known}")
    place = home / name
    interpreter = str(place / "bin" / "python")
    stamp = place / "installed.sha256"
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"making the virtual environment of {name} in {place} ...", file=sys.stderr)
        _make(place, pinned, interpreter)
        stamp.write_text(digest)
    return interpreter


def _make(place: Path, pinned: Path, interpreter: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    pip = (interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if place.name in _TAKEN_AS_LISTED:
        pip = (*pip, "--no-deps")
    torch = [line for line in pinned.read_text().splitlines() if line.startswith("torch==")]
    _call((sys.executable, "-m", "venv", str(place)))
    # By itself and first: the rest then finds it there and asks for no other build of it.
    if torch:
        _call((*pip, *torch))
    _call((*pip, "--requirement", str(pinned)))


def _call(command: tuple[str, ...]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode != 0:
        raise BenchmarkError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stderr[-4000:]}")
