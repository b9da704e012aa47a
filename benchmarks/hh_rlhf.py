"""Dialogues of hh-rlhf (Bai et al. 2022, arXiv 2204.05862), where they are on this machine. Standard library only."""

import gzip
import hashlib
import json
import os
from pathlib import Path

from benchmarks.harness import ROOT, BenchmarkError

HARMLESS = "hh-rlhf/harmless-base.jsonl.gz"


def data_file(name: str = HARMLESS) -> Path:
    """Where it lies: below `HEELER_DATA`, or beside the repository in `shared/data`.

    Raises:
        BenchmarkError: it is not there.
    """
    folder = Path(os.environ.get("HEELER_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / name).is_file():
        raise BenchmarkError(f"{folder / name} is not there; set HEELER_DATA to the folder that holds {name}")
    return folder / name


def dialogues(path: Path) -> list[tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    """(chosen, rejected) of each pair, each a list of (speaker, words)."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(turns(row["chosen"]), turns(row["rejected"])) for row in rows]


def turns(dialogue: str) -> list[tuple[str, str]]:
    """A dialogue's turns: (`Human` or `Assistant`, words)."""
    parts = dialogue.split("\n\n")
    found: list[tuple[str, str]] = []
    for part in parts:
        speaker, colon, words = part.partition(":")
        if colon and speaker in ("Human", "Assistant"):
            found.append((speaker, words.strip()))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n\n{part}".strip())
    return found


def share_of(dialogue: list[tuple[str, str]]) -> float:
    """A number from 0 to 1 made of the first turn alone, to split by: prompts repeat."""
    return int.from_bytes(hashlib.sha256(b"split:" + dialogue[0][1].encode()).digest()[:8], "big") / 2**64
