"""Arrays that a learner leaves beside its run, for reports: the fields of a dataclass, in a file `.npz`."""

import io
import zipfile
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from heeler.core.errors import DataError
from heeler.core.rundir import write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Left = TypeVar("Left", bound="DataclassInstance")


def leave_arrays(path: Path, left: "DataclassInstance") -> None:
    """Write a dataclass whose fields are arrays, or None, which is left out."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: array for name, array in vars(left).items() if array is not None})
    write_atomically(path, buffer.getvalue())


def left_arrays(path: Path, of: type[Left]) -> Left | None:
    """What `leave_arrays` wrote; None where nothing was.

    Args:
        path: the file.
        of: the dataclass; fields that have a default may be missing.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            named = [field.name for field in fields(of) if field.name in file or field.default is MISSING]
            arrays = {name: file[name] for name in named}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}; remove it, the learner writes it anew at its next fit") from error
    return of(**arrays)
