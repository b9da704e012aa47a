"""Files of feedback: written whole or not at all, and read a piece at a time, whatever their size."""

import codecs
import json
import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from heeler.core.errors import DataError, HeelerError, RunError
from heeler.feedback.transfer.items import check_object, shown

MAX_RECORD = 64 * 2**20
"""Bytes of one line, or characters of one record of an array."""
_READ_AT_ONCE = 2**16
_BLANK = " \t\r\n"


class Located:
    """Puts a place before the message of any `HeelerError` raised within."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, HeelerError):
            raise type(error)(f"{self._place}: {error}") from error


@contextmanager
def output(target: str) -> Generator[BinaryIO]:
    """A file to write: aside, flushed and renamed over `target` at the end; `-` is standard output.

    Raises:
        RunError: the disk is full or read-only; what was at `target` stays.
    """
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder; name a file")
        if path.exists() and not path.is_file():
            # A pipe or a device takes what comes, and cannot be replaced.
            with path.open("wb") as file:
                yield file
            return
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with aside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}; choose a writable file with room") from error


@contextmanager
def source(target: str) -> Generator[BinaryIO]:
    """A file to read; `-` is standard input.

    Raises:
        DataError: it cannot be read.
    """
    if target == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(target, "rb")  # noqa: SIM115 (closed below; what fails while it is read is another matter)
    except OSError as error:
        raise DataError(f"{target}: cannot be read: {error.strerror or error}") from error
    with file:
        yield file


def json_text(value: Any) -> str:
    """A value as JSON on one line, in ASCII, so that any text comes back as it was."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def write_lines(file: BinaryIO, values: Iterable[Any]) -> None:
    """One JSON value a line."""
    for value in values:
        file.write(json_text(value).encode("ascii") + b"\n")


def write_array(file: BinaryIO, values: Iterable[Any]) -> None:
    """One JSON array, a value a line."""
    before = b"[\n"
    for value in values:
        file.write(before + json_text(value).encode("ascii"))
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def read_lines(file: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line that is not blank.

    Raises:
        DataError: a line is no JSON object; names it.
    """
    number = 0
    while line := file.readline(MAX_RECORD + 1):
        number += 1
        place = f"line {number}"
        if len(line) > MAX_RECORD:
            raise DataError(f"{place}: longer than {MAX_RECORD // 2**20} MiB; expected one JSON object a line")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            value: object = _DECODER.decode(text) if text.strip(_BLANK) else None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not JSON: {_reason(error)}") from error
        if not text.strip(_BLANK):
            continue
        if not isinstance(value, dict):
            raise DataError(f"{place}: expected an object, got {shown(value)}")
        yield place, cast(dict[str, Any], value)


def read_array(file: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    """(place, object) of each record of a file that is one JSON array.

    Raises:
        DataError: it is none, or a record is no object; names the record, the first of which is 1.
    """
    text = _Text(file)
    if text.next() != "[":
        raise DataError(f"expected a JSON array of records, got {shown(text.rest(40))}")
    yield from _array(text)


def read_records(file: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    """(place, object) of each record of a file that is one JSON array, or has one JSON object a line.

    Raises:
        DataError: it is neither, or a record is no object; names the record, the first of which is 1.
    """
    text = _Text(file)
    if text.next() == "[":
        yield from _array(text)
        return
    if text.next() != "{":
        raise DataError(f"expected a JSON array of records, or a record a line, got {shown(text.rest(40))}")
    number = 0
    while character := text.next():
        number += 1
        place = f"record {number}"
        if character != "{":
            raise DataError(f"{place}: expected an object, got {shown(text.rest(40))}")
        yield place, text.take(place)


def _array(text: "_Text") -> Generator[tuple[str, dict[str, Any]]]:
    text.skip(1)
    number = 0
    while (character := text.next()) != "]":
        number += 1
        place = f"record {number}"
        if number > 1:
            if character != ",":
                raise DataError(f"{place}: expected a comma or the array's end, got {shown(text.rest(40))}")
            text.skip(1)
            character = text.next()
        if character != "{":
            raise DataError(f"{place}: expected an object, got {shown(text.rest(40)) if character else 'the end'}")
        yield place, text.take(place)
    text.skip(1)
    if text.next():
        raise DataError(f"after the array: expected the end of the file, got {shown(text.rest(40))}")


class _Text:
    """The text of a file of which only what is being read is held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._is_over = False

    def next(self) -> str:
        """The next character that is not blank, which stays; an empty string at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or not self._read(_READ_AT_ONCE):
                return self._text[self._at : self._at + 1]

    def skip(self, num: int) -> None:
        """Pass over characters that were seen."""
        self._at += num

    def rest(self, num: int) -> str:
        """At most so many of the characters that come, for a message."""
        return self._text[self._at : self._at + num]

    def take(self, place: str) -> dict[str, Any]:
        """The object that begins here."""
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._text, self._at)
                return check_object(value, "")
            except (ValueError, RecursionError) as error:
                held = len(self._text) - self._at
                # Twice as much each time: a record is then looked at no more than twice its length in all.
                if held > MAX_RECORD or not self._read(max(_READ_AT_ONCE, held)):
                    raise DataError(f"{place}: not JSON: {_reason(error)}") from error

    def _read(self, num: int) -> bool:
        if self._is_over:
            return False
        data = self._file.read(num)
        self._is_over = not data
        try:
            more = self._decoder.decode(data, final=self._is_over)
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8: {error.reason}") from error
        self._text, self._at = self._text[self._at :] + more, 0
        return not self._is_over


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _reason(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
