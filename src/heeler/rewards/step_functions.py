"""A user's own function of steps: a cost, a bonus or a potential, called on many steps at once and held to its word.

Shapes: B steps, O observation numbers, A action numbers.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np

from heeler.core.errors import CheckpointError, ConfigError, RewardError
from heeler.core.functions import load_function

Where = Callable[[int], str]
"""Says in words which step a row is."""


class StepFunction:
    """A function that gives one finite number for each step.

    Args:
        target: `FILE.py:NAME`, or `MODULE:NAME` of a module that Python finds.
        what: what it is for, as messages name it: `cost 'heat'`.

    Raises:
        ConfigError: there is no such function.
    """

    def __init__(self, target: str, *, what: str) -> None:
        self.target, self.what = target, what
        try:
            self._function = load_function(target)
        except ConfigError as error:
            raise ConfigError(f"{what}: {error}") from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file that it stands in: another one may give other numbers."""
        source = inspect.getsourcefile(inspect.unwrap(self._function))
        return hashlib.sha256(Path(source).read_bytes() if source else self.target.encode()).hexdigest()

    def refuse_changed(self, fingerprint: str) -> None:
        """Refuse to go on with another function than the one of this fingerprint.

        Raises:
            CheckpointError: its file was changed.
        """
        if fingerprint != self.fingerprint:
            raise CheckpointError(
                f"{self.what}: {self.target} is not what it was when this checkpoint was saved; put the old file back, "
                "or begin another run"
            )

    def __call__(self, *arrays: np.ndarray, where: Where) -> np.ndarray:
        """[B] float64: what it gives.

        Args:
            arrays: [B, ...] each; the function cannot write into them.
            where: names a row, for messages.

        Raises:
            RewardError: it raised, gave another number of numbers, or one that is not finite.
        """
        size = len(arrays[0])
        try:
            given = self._function(*(_read_only(array) for array in arrays))
        except Exception as error:
            raise RewardError(
                f"{self.what}: {self.target} raised {type(error).__name__} on the {size:,} steps from {where(0)} on: "
                f"{error}"
            ) from error
        try:
            values = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            raise RewardError(
                f"{self.what}: {self.target} must give numbers, got {type(given).__name__} for the steps from "
                f"{where(0)} on"
            ) from None
        if values.shape != (size,):
            raise RewardError(
                f"{self.what}: {self.target} must give one number for each of {size:,} steps, shape ({size},); got "
                f"shape {values.shape} for those from {where(0)} on"
            )
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            row = int(broken[0])
            raise RewardError(
                f"{self.what}: {self.target} gave {values[row]} for {where(row)}; expected a finite number"
            )
        return values


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
