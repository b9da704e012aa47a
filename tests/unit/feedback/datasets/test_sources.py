"""Where rows come from, and what is said of a file that is torn, missing or of another kind."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.datasets.sources import rows_of

ROWS = [{"text": "One."}, {"text": "Zwei – ü 😀"}]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def written(folder: Path, name: str) -> Path:
    """`ROWS` in a file of the kind that its name says."""
    path = folder / name
    content = json.dumps(ROWS).encode() if ".json" in name and ".jsonl" not in name else lines(ROWS)
    if name.endswith(".parquet"):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json", "a.json.gz", "a.parquet", "with.dots.jsonl"]
)
def test_rows_come_in_order_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    found = list(rows_of(str(path)))
    assert [fields for _, fields in found] == ROWS
    assert all(place.startswith(f"{path}, ") and place.endswith(str(i)) for i, (place, _) in enumerate(found, 1))


def test_one_object_a_line_may_be_called_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(ROWS))
    assert [fields for _, fields in rows_of(str(tmp_path / "a.json"))] == ROWS


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    whole = Dataset.from_list(ROWS)
    whole.save_to_disk(str(tmp_path / "one"))
    DatasetDict({"train": whole, "test": whole.select([1])}).save_to_disk(str(tmp_path / "two"))
    assert [fields for _, fields in rows_of(str(tmp_path / "one"))] == ROWS
    assert list(rows_of(str(tmp_path / "two"), split="test")) == [(f"{tmp_path}/two, row 1", ROWS[1])]
    with pytest.raises(DataError, match=r"no split 'validation'; it has train, test"):
        list(rows_of(str(tmp_path / "two"), split="validation"))


def test_a_hub_id_goes_through_load_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[str, str]] = []

    def load_dataset(name: str, *, split: str) -> list[dict[str, Any]]:
        asked.append((name, split))
        return ROWS

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert [place for place, _ in rows_of("someone/pairs", split="test")] == [
        "someone/pairs, row 1",
        "someone/pairs, row 2",
    ]
    assert asked == [("someone/pairs", "test")]


def test_a_hub_that_is_not_reached_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(name: str, *, split: str) -> None:
        raise RuntimeError("cannot reach it\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=r"^someone/pairs: .*the hub gave no dataset of that name: cannot reach it$"):
        list(rows_of("someone/pairs"))


@pytest.mark.parametrize("name", ["no/such/place/pairs.jsonl", "pairs.parquet", "../pairs"])
def test_a_missing_file_is_not_looked_for_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match=r"there is no such file"):
        list(rows_of(name))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1: expected an object"),
        ("a.jsonl", b'{"a": "\xff"}\n', r"a\.jsonl, line 1: not JSON"),
        ("a.json", b'[{"a": 1}, 3]', r"a\.json, record 2: expected an object"),
        ("a.json", b'[{"a": 1}', r"a\.json, record 2: expected a comma"),
        ("a.jsonl.gz", gzip.compress(lines(ROWS), mtime=0)[:-9], r"a\.jsonl\.gz: it is torn"),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)[:20], r"a\.json\.gz: it is torn"),
        ("a.jsonl.gz", lines(ROWS), r"a\.jsonl\.gz: it is torn or not compressed"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet: after row 0: not Parquet"),
        ("a.csv", b"a,b\n", r"a\.csv: cannot tell what kind of file"),
    ],
)
def test_a_file_that_does_not_hold_is_named_with_its_row(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(rows_of(str(tmp_path / name)))


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(lines(ROWS))
    with pytest.raises(DataError, match=r"not a folder that `datasets` saved"):
        list(rows_of(str(tmp_path)))


def test_a_missing_package_is_named_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'heeler\[lm\]'"):
        list(rows_of(str(path)))
