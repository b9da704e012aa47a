"""Where rows of a dataset come from: JSON files, also compressed, Parquet, folders saved by `datasets`, the hub."""

import gzip
import re
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.transfer.files import read_array, read_lines

Row = tuple[str, dict[str, Any]]
"""Where it stands, such as `pairs.jsonl, line 3`, and its fields."""

_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_JSON = (".json", ".json.gz")
_KINDS = ".jsonl, .json, either with .gz, or .parquet"
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def rows_of(source: str, *, split: str = "train") -> Generator[Row]:
    """The rows of a dataset, one after the other.

    Args:
        source: a file (`.jsonl`, `.json`, either of them with `.gz`, or `.parquet`), a folder that `datasets` saved, or
            the id of a dataset on the hub, `OWNER/NAME`.
        split: which part of it, where it has several.

    Raises:
        DataError: it is not there, cannot be read, or a row is no object; names file and row.
        ConfigError: a package for it is missing.
    """
    path = Path(source)
    if path.is_dir():
        return _saved(path, split)
    if path.exists():
        return _file(path)
    # A name that ends like a file is one that is missing: nobody should wait for the hub to say so.
    if not _HUB_ID.fullmatch(source) or _kind(path) is not None:
        raise DataError(
            f"{source}: there is no such file; expected {_KINDS}, a folder saved by `datasets`, or a hub id"
        )
    return _hub(source, split)


def _kind(path: Path) -> str | None:
    return next((kind for kind in (*_LINES, *_JSON, ".parquet") if path.name.endswith(kind)), None)


def _file(path: Path) -> Generator[Row]:
    kind = _kind(path)
    if kind is None:
        raise DataError(f"{path}: cannot tell what kind of file it is; expected a name that ends in {_KINDS}")
    if kind == ".parquet":
        yield from _parquet(path)
        return
    with _opened(path, is_compressed=kind.endswith(".gz")) as file:
        is_array = kind in _JSON and _begins_with_bracket(file)
        found = read_array(file) if is_array else read_lines(file)
        while True:
            try:
                place, fields = next(found)
            except StopIteration:
                return
            except DataError as error:
                raise DataError(f"{path}, {error}") from error
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{path}: it is torn or not compressed by gzip ({error}); fetch it again") from error
            yield f"{path}, {place}", fields


@contextmanager
def _opened(path: Path, *, is_compressed: bool) -> Generator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    with file:
        if not is_compressed:
            yield file
            return
        with gzip.open(file, "rb") as unpacked:
            yield cast(BinaryIO, unpacked)


def _begins_with_bracket(file: BinaryIO) -> bool:
    """Whether a .json file is one array; otherwise it is taken for one object a line, as many are."""
    try:
        first = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        file.seek(0)
    except (EOFError, OSError, zlib.error):
        # It is read again in a moment, where its place is known.
        return False
    return first == b"["


def _parquet(path: Path) -> Generator[Row]:
    parquet, arrow = _package("pyarrow.parquet"), _package("pyarrow")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", fields
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: after row {number}: not Parquet that can be read ({reason})") from error


def _saved(path: Path, split: str) -> Generator[Row]:
    datasets = _package("datasets")
    try:
        found = datasets.load_from_disk(str(path))
    except (FileNotFoundError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a folder that `datasets` saved ({error}); name a file in it instead") from error
    if isinstance(found, datasets.DatasetDict):
        parts = cast(Mapping[str, Any], found)
        if split not in parts:
            raise DataError(f"{path}: has no split {split!r}; it has {', '.join(parts)}")
        found = parts[split]
    return _numbered(found, str(path))


def _hub(name: str, split: str) -> Generator[Row]:
    datasets = _package("datasets")
    try:
        found = datasets.load_dataset(name, split=split)
    # What the hub's client raises when it is not reached is of many classes, some of them of its own.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name}: there is no such file, and the hub gave no dataset of that name: {reason}") from error
    return _numbered(found, name)


def _numbered(rows: Iterable[Any], name: str) -> Generator[Row]:
    for number, fields in enumerate(rows, 1):
        yield f"{name}, row {number}", dict(fields)


def _package(name: str) -> Any:
    """One of the packages of the extra `lm`, which are slow to import and have no types."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"a package is missing ({error.name}): pip install 'heeler[lm]', or bring the data as .jsonl"
        ) from error
