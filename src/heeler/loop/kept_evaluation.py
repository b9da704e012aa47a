"""What a run that learns from data was judged to be at its end, kept as `evaluation.json`."""

import dataclasses
import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from heeler.core.errors import RunError
from heeler.core.rundir import RunDirectory, write_atomically

EVALUATION_NAME = "evaluation.json"
Found = TypeVar("Found")


def keep_evaluation(directory: RunDirectory, found: Any) -> None:
    """Keep a dataclass of figures in its run."""
    content = json.dumps(dataclasses.asdict(found), indent=1, allow_nan=False)
    write_atomically(directory.path / EVALUATION_NAME, content.encode())


def kept_evaluation(directory: RunDirectory, kind: type[Found]) -> Found | None:
    """What `keep_evaluation` kept; None where there is none.

    Raises:
        RunError: it is damaged.
    """
    path = directory.path / EVALUATION_NAME
    if not path.exists():
        return None
    try:
        return TypeAdapter(kind).validate_python(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); remove it, and resume the run"
        ) from error
