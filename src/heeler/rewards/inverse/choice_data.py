"""Observed choices: a person took one of several alternatives, each with its features; from `.csv` or `.npz`.

A `.csv` has a row for each alternative: column `set` names the choice that it stood in, `chosen` is 1 for the one
that was taken and 0 for the others, and every other column is a feature. An `.npz` has `set` [N], `chosen` [N],
`features` [N, F] and, if one likes, `feature_names`.

Shapes: N alternatives of all sets, C sets, F features.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heeler.core.errors import DataError, did_you_mean
from heeler.rewards.inverse.world_files import read_arrays, write_arrays

SET, CHOSEN = "set", "chosen"
_FIELDS = (SET, CHOSEN, "features", "feature_names")


@dataclass(frozen=True, kw_only=True, eq=False)
class ChoiceData:
    """C choices; rows of one set stand together."""

    feature_NF: np.ndarray
    set_N: np.ndarray
    """int64, from 0 and rising."""
    chosen_N: np.ndarray
    """bool, one of each set."""
    feature_names: tuple[str, ...]

    @property
    def start_C(self) -> np.ndarray:
        """[C] int64: first row of each set."""
        return np.flatnonzero(np.diff(self.set_N, prepend=-1))

    @property
    def size_C(self) -> np.ndarray:
        """[C] int64: alternatives of each set."""
        return np.bincount(self.set_N)

    @property
    def num_sets(self) -> int:
        """C."""
        return int(self.set_N[-1]) + 1

    @property
    def centred_NF(self) -> np.ndarray:
        """[N, F] features less their mean over the set: all that choices can tell apart."""
        mean_CF = np.add.reduceat(self.feature_NF, self.start_C) / self.size_C[:, None]
        centred_NF = self.feature_NF - mean_CF[self.set_N]
        # A feature that is the same throughout a set leaves rounding alone.
        size_F = np.abs(self.feature_NF).max(0)
        return np.where(np.abs(centred_NF) <= 1e-12 * size_F, 0.0, centred_NF)

    @property
    def lead_NF(self) -> np.ndarray:
        """[N − C, F] features of what was taken less those of each that was not."""
        taken_CF = self.feature_NF[self.chosen_N]
        return (taken_CF[self.set_N] - self.feature_NF)[~self.chosen_N]


def choice_data(
    sets: Sequence[object] | np.ndarray,
    chosen: np.ndarray,
    features: np.ndarray,
    feature_names: Sequence[str] = (),
    *,
    rows: Sequence[str] | None = None,
) -> ChoiceData:
    """Check choices, and put the rows of each set together.

    Args:
        sets: [N] which set each alternative stood in: any names or numbers.
        chosen: [N] whether it was taken.
        features: [N, F].
        feature_names: F, or none.
        rows: [N] what rows are called in messages; None for `row 0` and on.

    Raises:
        DataError: there is no row or no feature, shapes do not fit, a number is not finite, a set has one alternative
            alone or not one that was taken; names the row.
    """
    features, chosen = np.asarray(features), np.asarray(chosen)
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "fiub":
        raise DataError(f"features must be numbers of shape (N, F) with none of them 0, got shape {features.shape}")
    features = features.astype(float)
    num = len(features)
    if len(sets) != num or chosen.shape != (num,):
        raise DataError(
            f"{SET} and {CHOSEN} must have a value for each of {num} rows, got {len(sets)} and {chosen.shape}"
        )
    rows = [f"row {index}" for index in range(num)] if rows is None else rows
    names = tuple(feature_names) or tuple(f"feature {index}" for index in range(features.shape[1]))
    if len(names) != features.shape[1] or len(set(names)) < len(names):
        raise DataError(f"feature_names must be {features.shape[1]} different names, got {', '.join(names)}")
    if not np.isfinite(features).all():
        row, column = (int(index) for index in np.argwhere(~np.isfinite(features))[0])
        raise DataError(f"{rows[row]}: {names[column]} must be a finite number, got {features[row, column]}")
    if chosen.dtype.kind not in "biuf" or not np.isin(chosen, (0, 1)).all():
        wrong = int((~np.isin(chosen, (0, 1))).argmax()) if chosen.dtype.kind in "biuf" else 0
        raise DataError(f"{rows[wrong]}: {CHOSEN} must be 0 or 1, got {chosen[wrong]}")
    place: dict[object, int] = {}
    set_N = np.array([place.setdefault(own, len(place)) for own in np.asarray(sets).tolist()])
    _expect_choices(list(place), set_N, chosen.astype(bool), rows)
    order = np.argsort(set_N, kind="stable")
    return ChoiceData(
        feature_NF=features[order],
        set_N=set_N[order],
        chosen_N=chosen.astype(bool)[order],
        feature_names=names,
    )


def _expect_choices(names: list[object], set_N: np.ndarray, chosen_N: np.ndarray, rows: Sequence[str]) -> None:
    sizes, taken = np.bincount(set_N), np.bincount(set_N, weights=chosen_N)
    if (sizes < 2).any():
        which = int((sizes < 2).argmax())
        row = rows[int((set_N == which).argmax())]
        raise DataError(f"{row}: set {names[which]!r} has one alternative alone, so that nothing was chosen")
    if (taken != 1).any():
        which = int((taken != 1).argmax())
        row = rows[int((set_N == which).argmax())]
        raise DataError(
            f"{row}: set {names[which]!r} must have one alternative with {CHOSEN} 1, got {taken[which]:.0f}"
        )


def read_choices(path: Path | str) -> ChoiceData:
    """Read and check choices.

    Raises:
        DataError: there is no such file, it is neither `.csv` nor `.npz` or torn, or a row does not hold; names file,
        row
            and column.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".npz"):
        raise DataError(f"{path}: choices are read from .csv or .npz, got {path.suffix or 'no suffix'}")
    try:
        return _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
    except DataError as error:
        raise error if str(error).startswith(str(path)) else DataError(f"{path}: {error}") from error


def write_choices(data: ChoiceData, path: Path | str) -> None:
    """Write choices as `.csv` or `.npz`, as the name ends.

    Raises:
        DataError: it ends otherwise.
        RunError: it cannot be written.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = {SET: data.set_N, CHOSEN: data.chosen_N, "features": data.feature_NF}
        write_arrays(path, arrays | {"feature_names": np.array(data.feature_names)})
        return
    if path.suffix != ".csv":
        raise DataError(f"{path}: choices are written as .csv or .npz")
    from heeler.core.rundir import write_atomically

    lines = [",".join((SET, CHOSEN, *data.feature_names))]
    for own, chosen, feature_F in zip(data.set_N, data.chosen_N, data.feature_NF, strict=True):
        lines.append(",".join((str(own), str(int(chosen)), *(f"{value:.12g}" for value in feature_F))))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _read_npz(path: Path) -> ChoiceData:
    arrays = read_arrays(path, _FIELDS, "a file of choices")
    missing = next((name for name in _FIELDS[:3] if name not in arrays), None)
    if missing is not None:
        raise DataError(f"{missing} is missing; choices have {SET}, {CHOSEN} and features")
    if arrays[SET].ndim != 1:
        raise DataError(f"{SET} must have one dimension, got shape {arrays[SET].shape}")
    names = [str(name) for name in arrays.get("feature_names", np.array([])).tolist()]
    return choice_data(arrays[SET], arrays[CHOSEN], arrays["features"], names)


def _read_csv(path: Path) -> ChoiceData:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise DataError("the file is empty; its first line names the columns")
    header = [name.strip() for name in lines[0]]
    for name in (SET, CHOSEN):
        if header.count(name) != 1:
            near = did_you_mean(name, header)
            raise DataError(f"line 1 must name a column {name!r} once, got {', '.join(header)}.{near}")
    features = [index for index, name in enumerate(header) if name not in (SET, CHOSEN)]
    # A line without any cell is a blank one, as at the end of many files.
    numbered = [(number, line) for number, line in enumerate(lines[1:], start=2) if line]
    for number, line in numbered:
        if len(line) != len(header):
            raise DataError(f"line {number} has {len(line)} cells, and line 1 names {len(header)} columns")
    cells = [[_number(line[index], number, header[index]) for index in features] for number, line in numbered]
    chosen = [_number(line[header.index(CHOSEN)], number, CHOSEN) for number, line in numbered]
    return choice_data(
        [line[header.index(SET)] for _, line in numbered],
        np.array(chosen),
        np.array(cells).reshape(len(numbered), len(features)),
        [header[index] for index in features],
        rows=[f"line {number}" for number, _ in numbered],
    )


def _number(cell: str, line: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"line {line}: {column} must be a finite number, got {cell!r}")
    return value
