"""Files of Label Studio and Argilla in which something does not hold: named by record and field, nothing is taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.foreign_texts import (
    ADA,
    ONE,
    PAIR,
    TWO,
    annotation,
    choice,
    marked,
    minimal,
    number,
    pairwise,
    record,
    stars,
    task,
    words,
    wrote,
)
from tests.unit.feedback.transfer_helpers import everything


def refuses(store: Store, file: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_feedback(store, file, name, env_id="text")
    assert (store.query_count(), store.counts()["segments"], everything(store)) == (0, 0, [])
    assert list(store.bulk.annotators()) == ["ann", "simulated"]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (task({}, annotation(stars(3))), "data: expected a text under completion, or two under left and right"),
        (task({"id": 3, "n": 4}, annotation()), "data: expected a text under .* got the fields none of text"),
        (task({"x": "a", "y": "b"}, annotation(stars(3))), "data: expected a text under .* got the texts x, y"),
        (task({"left": "a"}, annotation(pairwise("left"))), r"data.right: missing; a comparison is of two texts"),
        (
            task(PAIR | {"b1": "x", "b2": "y"}, annotation()),
            "data: expected one pair of texts, got answer1 and answer2, b1",
        ),
        (task({"prompt": 3, "left": "a", "right": "b"}), "data.prompt: expected text or a list of messages, got 3"),
        (task({"prompt": [3], "left": "a", "right": "b"}), r"prompt\[0\]: expected an object"),
        (
            task({"completion": ""}, annotation(marked(0, 1, None, "x"))),
            r"annotations\[0\]: value.start: the completion is",
        ),
        (
            task(ONE, annotation(stars(9))),
            r"annotations\[0\]: result\[0\].value.rating: expected 1 to 5, got 9; put the",
        ),
        (task(ONE, annotation(stars("4"))), r"result\[0\].value.rating: expected a finite number, got '4'"),
        (task(ONE, annotation(number(3))), r"annotations\[0\]: data.rating_low: missing; a rating needs the ends"),
        (task(ONE | {"rating_low": 5, "rating_high": 1}, annotation(stars(5))), "rating: expected 5 to 1|value.high"),
        (task(PAIR, annotation(pairwise("up"))), r"result\[0\].value.selected: expected 'left' or 'right', got 'up'"),
        (task(PAIR, annotation(choice("up", tag="preference"))), "choices: expected one of left, right, equal"),
        (task(ONE, annotation(choice("so so", tag="evaluation"))), "choices: expected one of good, bad, neither"),
        (task(ONE, annotation(marked(3, 99, None, "x"))), "value.end: expected 4 to 22, got 99"),
        (task(ONE, annotation(marked(3, 3, None, "x"))), r"result\[0\].value.end: expected at least 4, got 3"),
        (task(ONE, annotation(marked(-1, 3, None, "x"))), r"result\[0\].value.start: expected at least 0"),
        (task(ONE, annotation(marked(1, 3, None))), "value.text: expected some text, got ''"),
        (task(ONE, annotation(words([], "correction"))), r"value.text: expected some text, got none"),
        (task(ONE, annotation(words([3], "correction"))), r"value.text: expected text, got 3"),
        (task(ONE, annotation(words(None, "correction"))), r"value.text: expected a list, got None"),
        (task(ONE, annotation(stars(3), completed_by=None)), "completed_by: expected the number of who annotated"),
        (task(ONE, annotation(stars(3), lead_time="long")), "lead_time: expected a finite number"),
        (task(ONE, annotation(stars(3)), 3), r"annotations\[1\]: annotation: expected an object, got 3"),  # type: ignore[arg-type]
        (task(ONE, annotation() | {"result": [3]}), r"annotations\[0\]: result: expected an object, got 3"),
        (task(ONE) | {"annotations": {}}, "annotations: expected a list"),
        (task(ONE) | {"data": [ONE]}, "data: expected an object"),
        (
            minimal(ONE, critique=["a"], part=[{"start": 0, "end": 1, "labels": ["x"]}] * 2),
            "critique: expected a text for each of 2 marked parts, got 1",
        ),
        ({"prompt": "x"}, "data: missing; expected a task"),
        (task({"left": "a" * 64, "right": "b" * 64}, annotation(pairwise("left"))), "data.query_id: missing"),
    ],
)
def test_a_bad_task_is_named_and_nothing_is_taken(store: Store, tmp_path: Path, one: Any, message: str) -> None:
    good = task(PAIR, annotation(pairwise("left")))
    refuses(store, wrote(tmp_path / "f", good, one), "label-studio", f"f: record 2: .*{message}|f: record 2: {message}")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (record({}, rating=[(3, ADA)]), "fields: expected a text under completion"),
        (record({"x": "a", "y": "b"}, rating=[(3, ADA)]), "fields: expected a text under .* got the texts x, y"),
        (record({"left": "a"}, preference=[("left", ADA)]), "fields.right: missing"),
        (
            record(ONE, rating=[(3, ADA)]),
            "metadata.rating_low: missing; a rating needs .* give the file's with --scale",
        ),
        (
            record(ONE, part=[([{"label": "x", "start": 1, "end": 9}], ADA)]),
            r"responses.part\[0\].start: expected a position",
        ),
        (
            record(ONE, part=[([{"label": "x", "start": 6, "end": 99}], ADA)]),
            r"responses.part\[0\].end: expected a position",
        ),
        (record(ONE, part=[([{"label": 3, "start": 6, "end": 9}], ADA)]), r"responses.part\[0\].label: expected text"),
        (record(ONE, part=[("x", ADA)]), r"responses.part: expected a list"),
        (record(ONE, correction=[(["x"], ADA)]), "responses.correction: expected text"),
        (record(ONE, correction=[(" ", ADA)]), "responses.correction: value.text: expected some text"),
        (record(ONE, evaluation=[("so so", ADA)]), "responses.evaluation: expected one of good, bad, neither"),
        (record(ONE, score=[("much", ADA)]), "responses.score: expected a number, got 'much'"),
        (record(TWO, preference=[("up", ADA)]), "responses.preference: expected one of left, right, equal, cant_tell"),
        (record(TWO, order=[([{"value": "x", "rank": 1}], ADA)]), "responses.order: expected ranks of response_1 and"),
        (record(TWO, order=[([{"value": "response_1", "rank": 0}], ADA)]), "responses.order.rank: expected at least 1"),
        (record(ONE, correction=[("x", "jo")]), r"responses.correction\[0\].user_id: expected a UUID, got 'jo'"),
        (record(ONE, correction=[("x", ADA), ("y", ADA)]), r"responses.correction\[1\].user_id: stands twice"),
        (record(ONE) | {"responses": []}, "responses: expected an object"),
        (record(ONE) | {"fields": ["x"]}, "fields: expected an object"),
        (record(ONE) | {"metadata": {"heeler": "{"}}, "metadata.heeler: expected JSON as heeler wrote it"),
        (record(ONE) | {"metadata": 3}, "metadata: expected an object"),
        ({"id": "x", "text": "y"}, "expected a record with id, fields and responses"),
        ({"text": "x", "r.responses": ["a"], "r.responses.users": []}, "r.responses.users: expected 1, one of each"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_taken(store: Store, tmp_path: Path, one: Any, message: str) -> None:
    good = record(TWO, preference=[("left", ADA)])
    refuses(store, wrote(tmp_path / "f", good, one), "argilla", f"f: record 2: {message}")
    (tmp_path / "g").write_text(f"{json.dumps(good)}\n{json.dumps(one)}\n")
    refuses(store, str(tmp_path / "g"), "argilla", f"g: record 2: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a JSON array of records"),
        ("3", "expected a JSON array of records"),
        ('"x"', "expected a JSON array of records"),
        ("[3]", "record 1: expected an object"),
        ("[{", "record 1: not JSON"),
        ("not JSON", "expected a JSON array of records"),
    ],
)
@pytest.mark.parametrize("name", ["label-studio", "argilla"])
def test_what_is_no_file_of_records_is_refused(
    store: Store, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / "f").write_text(text)
    refuses(store, str(tmp_path / "f"), name, f"f: {message}")


def test_an_object_on_top_is_one_record_of_argilla_and_none_of_label_studio(store: Store, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(json.dumps({"records": []}))
    refuses(store, str(tmp_path / "f"), "label-studio", "f: expected a JSON array of records")
    refuses(store, str(tmp_path / "f"), "argilla", "f: record 1: expected a record with id, fields and responses")
    (tmp_path / "f").write_text(json.dumps(record(ONE)) + "\n3")
    refuses(store, str(tmp_path / "f"), "argilla", "f: record 2: expected an object, got '3'")


def test_scales_are_for_files_that_do_not_say_theirs(store: Store, tmp_path: Path) -> None:
    file = wrote(tmp_path / "f", record(ONE, rating=[(3, ADA)]))
    for name in ("jsonl", "pairs"):
        with pytest.raises(ConfigError, match="--scale is for label-studio and argilla"):
            import_feedback(store, file, name, scale=(1, 5))
    with pytest.raises(ConfigError, match="--scale: expected a low end and a greater high end, got 5 1"):
        import_feedback(store, file, "argilla", scale=(5, 1))
    with pytest.raises(DataError, match=r"record 1: responses\.rating: expected 0 to 2, got 3"):
        import_feedback(store, file, "argilla", scale=(0, 2))
    assert import_feedback(store, file, "argilla", scale=(0, 3)).num_answers == 1


def test_a_run_of_a_world_takes_no_texts(store: Store, tmp_path: Path) -> None:
    for name, one in (
        ("label-studio", task(PAIR, annotation(pairwise("left")))),
        ("argilla", record(TWO, x=[("1", ADA)])),
    ):
        with pytest.raises(DataError, match=r"record 1.*: segment: a text, and this is a run in the world 'Hopper'"):
            import_feedback(store, wrote(tmp_path / "f", one), name, env_id="Hopper")


def test_json_min_cannot_say_which_answers_were_heelers(store: Store, tmp_path: Path) -> None:
    import_feedback(store, wrote(tmp_path / "f", task(ONE, annotation(stars(3)))), "label-studio")
    export_feedback(store, str(tmp_path / "g"), "label-studio")
    (out,) = json.loads((tmp_path / "g").read_text())
    row = minimal(out["data"], rating=[{"rating": 3}])
    with pytest.raises(DataError, match="record 1: annotation_id: JSON-MIN does not say which annotations"):
        import_feedback(store, wrote(tmp_path / "h", row), "label-studio")
    row["heeler"]["answers"] = {}
    imported = import_feedback(store, wrote(tmp_path / "h", row), "label-studio")
    assert (imported.num_answers, imported.num_known, imported.num_queries) == (0, 1, 0)
