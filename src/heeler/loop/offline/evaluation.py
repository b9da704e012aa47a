"""How good a run's model is on what was held out, before learning and after, kept as `evaluation.json`."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory, write_atomically

EVALUATION_NAME = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Figures of what was held out."""

    checkpoint_sha256: str
    """Of the checkpoint that holds the model."""
    num_prompts: int
    """Demonstrations or pairs that were held out, or with KTO prompts."""
    before: Mapping[str, float]
    """`loss`, and where there is something to be right about `accuracies` and `margins`, before learning."""
    after: Mapping[str, float]
    """The same at the end."""


def save_held_out(directory: RunDirectory, found: HeldOut) -> None:
    """Keep it in its run."""
    content = json.dumps(dataclasses.asdict(found), indent=1, allow_nan=False)
    write_atomically(directory.path / EVALUATION_NAME, content.encode())


def saved_held_out(directory: RunDirectory) -> HeldOut | None:
    """What `save_held_out` kept; None where there is none.

    Raises:
        RunError: it is damaged.
    """
    path = directory.path / EVALUATION_NAME
    if not path.exists():
        return None
    try:
        return TypeAdapter(HeldOut).validate_python(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); remove it, and resume the run"
        ) from error
