"""What `heeler honesty` found of a run, kept as `honesty.json`."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory, write_atomically
from heeler.evaluation.honesty.curve import Course
from heeler.evaluation.honesty.following import Following
from heeler.evaluation.honesty.phases import Phases
from heeler.evaluation.honesty.resampling import Estimate
from heeler.evaluation.honesty.shortcuts import Shortcut
from heeler.evaluation.honesty.unlike import DistanceBin

HONESTY_NAME = "honesty.json"
SituationVerdict = Literal["like what people saw", "partly unlike", "mostly unlike", "not sure", "too little to say"]

SuiteVerdict = Literal["better", "worse", "no sign", "too little to say"]


@dataclass(frozen=True, kw_only=True)
class PolicyPoint:
    """One policy of the run, acting anew."""

    step: int
    distance: float
    """√KL of a step to the first policy."""
    learned: Estimate
    """What the newest reward pays for a step."""
    held_out: Estimate | None
    """True return of an episode."""


@dataclass(frozen=True, kw_only=True)
class SituationFound:
    """What the newest policy met in one situation."""

    name: str
    verdict: SituationVerdict
    beyond: Estimate | None
    """Share of steps farther than 99 % of what people saw."""
    true_return: Estimate | None
    """Of the first episodes, as far as they were played."""
    ratio: Estimate | None
    """Disagreement of the reward's members beyond, over that within; None where there is no step of one of them."""
    bins: tuple[DistanceBin, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteFound:
    """A held-out suite of a language model's run: the newest model less the first, item by item."""

    name: str
    better: str
    num_items: int
    before: float | None
    after: float | None
    change: Estimate | None
    verdict: SuiteVerdict


@dataclass(frozen=True, kw_only=True)
class Honesty:
    """All of it."""

    step: int
    """Environment steps, or completions, that the newest checkpoint had learned for."""
    checkpoint_sha256: str
    seed: int
    held_out_by: str
    """What keeps held-out answers apart, in words; empty where there are none."""
    num_held_out: int
    course: Course | None = None
    points: tuple[PolicyPoint, ...] = ()
    phases: Phases | None = None
    shortcuts: tuple[Shortcut, ...] = ()
    followed: tuple[Following, ...] = ()
    situations: tuple[SituationFound, ...] = ()
    suites: tuple[SuiteFound, ...] = ()
    missing: tuple[str, ...] = ()
    """What cannot be said, and why, in words."""


def save_honesty(directory: RunDirectory, found: Honesty) -> None:
    """Keep it in its run.

    Raises:
        RunError: the disk is full or read-only.
    """
    content = json.dumps(dataclasses.asdict(found), indent=1, allow_nan=False)
    write_atomically(directory.path / HONESTY_NAME, content.encode())


def saved_honesty(directory: RunDirectory) -> Honesty | None:
    """What `save_honesty` kept; None where there is none.

    Raises:
        RunError: it is damaged.
    """
    path = directory.path / HONESTY_NAME
    if not path.exists():
        return None
    try:
        return TypeAdapter(Honesty).validate_python(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} cannot be read ({reason}); remove it, and run heeler honesty again") from error
