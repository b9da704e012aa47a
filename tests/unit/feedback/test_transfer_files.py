"""Files are read a piece at a time, whatever their size and wherever a piece ends."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import DataError, RunError
from heeler.feedback.transfer import files
from heeler.feedback.transfer.files import output, read_array, read_lines, write_array, write_lines


class Dribbling(io.BytesIO):
    """Gives a few bytes at a time, in the midst of characters too."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(3, size) if size is not None and size > 0 else 3)


def array(data: bytes, kind: type[io.BytesIO] = io.BytesIO) -> list[tuple[str, dict[str, Any]]]:
    return list(read_array(kind(data)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5)


@settings(max_examples=100, deadline=None)
@given(RECORDS, st.sampled_from((None, 1)), st.booleans())
def test_an_array_comes_back_wherever_its_pieces_end(records: list[dict[str, Any]], indent: int, ascii: bool) -> None:
    data = json.dumps(records, indent=indent, ensure_ascii=ascii).encode("utf-8", "replace")
    records = json.loads(data)
    expected = [(f"record {number}", record) for number, record in enumerate(records, 1)]
    assert array(data) == array(data, Dribbling) == array(b"\xef\xbb\xbf\n" + data + b" \n", Dribbling) == expected


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_what_is_written_is_read(records: list[dict[str, Any]]) -> None:
    for write, read in ((write_array, read_array), (write_lines, read_lines)):
        file = io.BytesIO()
        write(file, iter(records))
        assert file.getvalue().isascii()
        file.seek(0)
        assert [record for _, record in read(file)] == records


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a JSON array of records, got ''"),
        (b"{}", "expected a JSON array of records, got '{}'"),
        (b"[", "record 1: expected an object, got the end"),
        (b"[1]", r"record 1: expected an object, got '1\]'"),
        (b"[{}", "record 2: expected a comma or the array's end, got ''"),
        (b"[{} {}]", "record 2: expected a comma or the array's end"),
        (b"[{},]", r"record 2: expected an object, got '\]'"),
        (b"[{}, {]", "record 2: not JSON"),
        (b'[{"a": "', "record 1: not JSON: Unterminated string"),
        (b'[{"a": Infinity}]', "record 1: not JSON: Infinity is no JSON number"),
        (b"[{}] x", "after the array: expected the end of the file, got 'x'"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
        (b'[{"a": "\xc3', "not UTF-8"),
        (b'[{"a": ' + b"[" * 100_000, "record 1: not JSON: nested too deeply"),
    ],
)
def test_what_is_no_array_of_objects_is_refused(data: bytes, message: str) -> None:
    for kind in (io.BytesIO, Dribbling):
        if kind is io.BytesIO or len(data) < 100:
            with pytest.raises(DataError, match=message):
                array(data, kind)


def test_a_record_that_never_ends_is_not_read_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_RECORD", 2**18)
    endless = io.BytesIO(b'[{"a": "' + b"x" * 2**22)
    with pytest.raises(DataError, match="record 1: not JSON"):
        list(read_array(endless))
    assert endless.tell() < 2**20
    endless = io.BytesIO(b'{"a": "' + b"x" * 2**22)
    with pytest.raises(DataError, match="line 1: longer than"):
        list(read_lines(endless))
    assert endless.tell() < 2**19


def test_only_a_few_records_are_held_at_once() -> None:
    record = b'{"a": "' + b"x" * 1000 + b'"},\n'
    file = io.BytesIO(b"[" + record * 5000 + b"{}]")
    read = read_array(file)
    next(read)
    assert file.tell() < 200_000
    assert sum(1 for _ in read) == 5000


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with output(str(pipe)) as file:
        file.write(b"through")
    reader.join(10)
    assert got == [b"through"]
    assert pipe.is_fifo()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("what was there")
    with (
        pytest.raises(RunError, match=r"cannot write .*f: No space left on device"),
        output(str(tmp_path / "f")) as file,
    ):
        file.write(b"some of it")
        raise OSError(28, "No space left on device")
    assert (tmp_path / "f").read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
