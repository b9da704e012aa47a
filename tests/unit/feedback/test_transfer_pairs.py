"""Preferences as rows with prompt, chosen and rejected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConflictError, DataError, HeelerError
from heeler.core.nouns import stable_id
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_query, make_segment
from tests.unit.feedback.transfer_helpers import everything, filled_store, lines, write_lines


def test_a_pair_names_the_better_segment_and_holds_both(store: Store, tmp_path: Path) -> None:
    first, second = add_comparisons(store, 2)
    store.add_feedback([make_answer(first, choice="left", time_taken_s=3.5), make_answer(second, choice="right")])
    exported = export_feedback(store, str(tmp_path / "f"), "pairs")
    assert (exported.num_answers, exported.left_out) == (2, {})
    one, other = lines(tmp_path / "f")
    assert (one["chosen"], one["rejected"]) == first.segment_ids
    assert (other["rejected"], other["chosen"]) == second.segment_ids
    assert one["prompt"] == "Hopper"
    assert (one["choice"], one["time_taken_s"], one["annotator"]) == ("left", 3.5, "ann")
    segment = store.segment(other["chosen"])
    assert np.array_equal(np.float32(other["chosen_observation"]), segment.observation)
    assert np.array_equal(np.float32(other["chosen_action"]), segment.action)
    segment = store.segment(one["rejected"])
    assert np.array_equal(np.float32(one["rejected_observation"]), segment.observation)
    assert np.array_equal(np.float32(one["rejected_action"]), segment.action)


def test_what_has_no_better_side_is_left_out_and_counted(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        exported = export_feedback(store, str(tmp_path / "f"), "pairs")
        assert exported.num_answers == len(lines(tmp_path / "f")) == 5
        assert exported.left_out == {
            "preferences for neither side (equal)": 3,
            "preferences for neither side (cant_tell)": 2,
            "answers of kind rating": 5,
            "answers of kind evaluation": 5,
            "answers of kind critique": 3,
            "answers of kind correction": 5,
            "answers of kind demonstration": 2,
        }
        before = everything(store)
        imported = import_feedback(store, str(tmp_path / "f"), "pairs")
        assert (imported.num_answers, imported.num_known) == (0, 5)
        assert everything(store) == before


def test_rows_come_back_as_the_same_answers_into_a_copy_of_the_run(store: Store, tmp_path: Path) -> None:
    queries = add_comparisons(store, 3)
    answers = [make_answer(query, choice="right", confidence=0.5) for query in queries]
    answers[2] = make_answer(queries[2], answered_step=70)
    store.add_feedback(answers)
    export_feedback(store, str(tmp_path / "f"), "pairs")
    with Store.open(tmp_path / "copy.db", segments_dir=tmp_path / "copy") as copy:
        for policy in store.policy_versions():
            copy.add_policy_version(policy)
        copy.add_annotator("simulated", "simulated")
        copy.add_segments([make_segment(seed) for seed in range(6)])
        copy.add_queries(queries)
        imported = import_feedback(copy, str(tmp_path / "f"), "pairs")
        assert (imported.num_answers, imported.annotators) == (3, ("ann",))
        assert [answer for answer, _, _ in everything(copy)] == answers


def test_rows_of_another_program_need_only_four_fields(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    left, right = query.segment_ids
    row = {"prompt": "Hopper", "chosen": right, "rejected": left, "query_id": query.id, "annotator": "a judge"}
    file = write_lines(tmp_path / "f", [row, row])
    imported = import_feedback(store, file, "pairs")
    assert (imported.num_answers, imported.num_known, imported.annotators) == (1, 1, ("a judge",))
    ((answer, _, _),) = everything(store)
    assert (answer.value, answer.annotator, answer.time_taken_s) == ({"choice": "right"}, "a judge", None)
    assert import_feedback(store, file, "pairs").num_known == 2
    changed = {**row, "chosen": left, "rejected": right}
    assert import_feedback(store, write_lines(tmp_path / "f", [changed]), "pairs").num_answers == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"chosen": "It is blue.", "rejected": "It is green."},
            "chosen: query .* asks about other segments than these two texts",
        ),
        ({"rejected": [{"role": "assistant", "content": "x"}]}, "rejected: expected what chosen is"),
        ({"chosen": "0" * 64}, "chosen: query .* asks about"),
        ({"query_id": "unknown"}, "query_id: no query 'unknown'"),
        ({"query_id": None}, "query_id: expected some text"),
        ({"annotator": ""}, "annotator: expected some text"),
        ({"annotator": {}}, "annotator: expected some text"),
        ({"choice": "left"}, "choice: chosen is the right segment of query .*, got 'left'"),
        ({"key": "x"}, "key: expected a UUID"),
        ({"confidence": 2}, "confidence: expected 0 to 1"),
        ({"answered_step": 3}, "answered_step: is for simulated teachers"),
        ({"anotator": "x"}, "anotator: unknown field; .* Did you mean 'annotator'"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_taken(
    store: Store, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    queries = add_comparisons(store, 2)
    rows = [
        {"chosen": q.segment_ids[1], "rejected": q.segment_ids[0], "query_id": q.id, "annotator": "jo"} for q in queries
    ]
    refuses(store, write_lines(tmp_path / "f", [rows[0], rows[1] | changes]), DataError, f"f: line 2: {message}")
    del rows[1]["annotator"]
    refuses(store, write_lines(tmp_path / "f", rows), DataError, "f: line 2: annotator: missing")


def refuses(store: Store, file: str, error: type[HeelerError], message: str) -> None:
    with pytest.raises(error, match=message):
        import_feedback(store, file, "pairs")
    assert everything(store) == []
    assert "jo" not in store.bulk.annotators()


def test_a_question_of_another_kind_is_not_answered_by_a_pair(store: Store, tmp_path: Path) -> None:
    ids = store.add_segments([make_segment(0)])
    query = make_query("rate", *ids, kind="rating")
    store.add_queries([query])
    row = {"chosen": ids[0], "rejected": "0" * 64, "query_id": query.id, "annotator": "jo"}
    refuses(store, write_lines(tmp_path / "f", [row]), DataError, "line 1: chosen: query .* asks about")


def test_a_changed_answer_under_its_key_is_a_conflict(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    store.add_feedback([make_answer(query)])
    export_feedback(store, str(tmp_path / "f"), "pairs")
    (row,) = lines(tmp_path / "f")
    with pytest.raises(ConflictError, match=r"line 1: key: .* came before with another body"):
        import_feedback(store, write_lines(tmp_path / "f", [row | {"time_taken_s": 1.0}]), "pairs")
    ((answer, _, _),) = everything(store)
    assert answer == replace(make_answer(query), key=stable_id("answer", query.id, "first"))
