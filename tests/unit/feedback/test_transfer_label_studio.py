"""Label Studio's tasks: what is written loads there, and what it exports comes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import add_comparisons, make_query, make_segment
from tests.unit.feedback.transfer_helpers import everything, filled_store


def compared(query: Query, **changes: Any) -> dict[str, Any]:
    """A task of a pairwise project as Label Studio exports it, with one annotation by user 7."""
    annotation: dict[str, Any] = {
        "id": 1042,
        "completed_by": 7,
        "result": [
            {
                "value": {"selected": "right"},
                "id": "Dx_aB91ISN",
                "from_name": "preference",
                "to_name": "preference",
                "type": "pairwise",
                "origin": "manual",
            }
        ],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "updated_at": "2026-03-09T22:16:08.728378Z",
        "draft_created_at": None,
        "lead_time": 4.288,
        "prediction": {},
        "result_count": 1,
        "unique_id": "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11",
        "import_id": None,
        "last_action": None,
        "task": 31,
        "project": 83,
        "updated_by": 7,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    }
    left, right = query.segment_ids
    return {
        "id": 31,
        "annotations": [annotation | changes],
        "file_upload": "a1b2c3d4-tasks.json",
        "drafts": [],
        "predictions": [],
        "data": {"query_id": query.id, "kind": "preference", "left": left, "right": right},
        "meta": {},
        "created_at": "2026-03-09T21:52:49.513742Z",
        "updated_at": "2026-03-09T22:16:08.746926Z",
        "inner_id": 1,
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": 83,
        "updated_by": 7,
        "comment_authors": [],
    }


def rated(query: Query, rating: float, **data: Any) -> dict[str, Any]:
    """A task of a rating project, in the short form of the guide, annotated by a user given in full."""
    result = {"from_name": "rating", "id": "k1", "to_name": "segment", "type": "rating", "value": {"rating": rating}}
    by = {"id": 9, "first_name": "", "last_name": "", "email": "nine@example.org"}
    annotation = {"id": "1001", "result": [result], "was_cancelled": False, "lead_time": 2, "completed_by": by}
    return {
        "id": 2,
        "data": {"query_id": query.id, "segment": query.segment_ids[0], **data},
        "annotations": [annotation],
    }


def wrote(path: Path, *tasks: Any, indent: int | None = None) -> str:
    path.write_text(json.dumps(list(tasks), indent=indent))
    return str(path)


@pytest.mark.parametrize("indent", [None, 2])
def test_an_export_of_a_pairwise_project_comes_in(store: Store, tmp_path: Path, indent: int | None) -> None:
    first, second = add_comparisons(store, 2)
    file = wrote(tmp_path / "f", compared(first), compared(second, completed_by=8), indent=indent)
    imported = import_feedback(store, file, "label-studio")
    assert (imported.num_answers, imported.annotators) == (2, ("label-studio-7", "label-studio-8"))
    (one, _, _), (other, _, _) = everything(store)
    assert (one.query_id, one.value, one.annotator) == (first.id, {"choice": "right"}, "label-studio-7")
    assert (one.time_taken_s, other.annotator) == (4.288, "label-studio-8")
    assert import_feedback(store, file, "label-studio").num_known == 2


def test_an_export_of_a_rating_project_comes_in(store: Store, tmp_path: Path) -> None:
    ids = store.add_segments([make_segment(0)])
    query = make_query("rate", *ids, kind="rating")
    store.add_queries([query])
    import_feedback(store, wrote(tmp_path / "f", rated(query, 4)), "label-studio")
    import_feedback(store, wrote(tmp_path / "f", rated(query, 9, rating_low=0, rating_high=10)), "label-studio")
    values = [(answer.value, answer.annotator) for answer, _, _ in everything(store)]
    assert values == [
        ({"score": 4.0, "low": 1.0, "high": 5.0}, "label-studio-9"),
        ({"score": 9.0, "low": 0.0, "high": 10.0}, "label-studio-9"),
    ]
    with pytest.raises(
        DataError, match=r"record 1: annotations\[0\]: result.value.rating: expected 1 to 5, got 9; put"
    ):
        import_feedback(store, wrote(tmp_path / "f", rated(query, 9)), "label-studio")


def test_what_is_no_answer_is_passed_over_and_counted(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    words = {"from_name": "why", "to_name": "left", "type": "textarea", "value": {"text": ["it falls"]}, "id": "x"}
    task = compared(query)
    task["predictions"] = [{"model_version": "1", "result": task["annotations"][0]["result"]}]
    task["annotations"] += [
        compared(query, was_cancelled=True, result=[])["annotations"][0],
        compared(query, result=[])["annotations"][0],
        compared(query, result=[words])["annotations"][0],
    ]
    task["annotations"][0]["result"].append(words)
    imported = import_feedback(store, wrote(tmp_path / "f", task), "label-studio")
    assert imported.num_answers == 1
    assert imported.left_out == {
        "predictions": 1,
        "skipped annotations": 1,
        "annotations without a comparison or rating": 2,
    }


def test_an_annotation_that_was_changed_since_is_a_new_answer(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    task = compared(query)
    import_feedback(store, wrote(tmp_path / "f", task), "label-studio")
    task["annotations"][0]["result"][0]["value"]["selected"] = "left"
    assert import_feedback(store, wrote(tmp_path / "f", task), "label-studio").num_answers == 1
    assert [answer.value["choice"] for answer, _, _ in everything(store)] == ["right", "left"]


def test_what_heeler_writes_is_what_label_studio_reads(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        exported = export_feedback(store, str(tmp_path / "f"), "label-studio")
        assert exported.num_answers == 11
        assert exported.left_out == {
            "preferences for neither side (equal)": 3,
            "preferences for neither side (cant_tell)": 2,
            "ratings that are no whole number of stars, or on another scale than the first": 2,
            "answers of kind evaluation": 5,
            "answers of kind critique": 3,
            "answers of kind correction": 2,
            "answers of kind demonstration": 2,
        }
        tasks = json.loads((tmp_path / "f").read_text())
        first, last = tasks[0], tasks[2]
        query = store.queries([first["data"]["query_id"]])[0]
        assert (first["data"]["left"], first["data"]["right"]) == query.segment_ids
        annotation = first["annotations"][0]
        (result,) = annotation["result"]
        assert (result["type"], result["from_name"], result["value"]) == (
            "pairwise",
            "preference",
            {"selected": "left"},
        )
        assert annotation["lead_time"] == pytest.approx(0.1)
        assert annotation["was_cancelled"] is False
        assert annotation["created_at"].endswith("Z")
        # A user of that name need not be there, and an import that names one who is not is refused.
        assert "completed_by" not in annotation
        (result,) = last["annotations"][0]["result"]
        assert (result["type"], result["value"]) == ("rating", {"rating": 4})
        assert (last["data"]["rating_low"], last["data"]["rating_high"]) == (1.0, 5.0)
        assert [task["id"] for task in tasks] == [1, 2, 3, 4]


def test_what_went_there_and_back_is_the_same_answer(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        export_feedback(store, str(tmp_path / "f"), "label-studio")
        before = everything(store)
        assert import_feedback(store, str(tmp_path / "f"), "label-studio").num_known == 11
        # Label Studio gives an annotation that it imports to whoever imports it, with new ids.
        tasks = json.loads((tmp_path / "f").read_text())
        for task in tasks:
            for number, annotation in enumerate(task["annotations"]):
                annotation |= {"import_id": annotation["id"], "id": 9000 + number, "completed_by": 1}
                annotation["unique_id"] = "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11"
        assert import_feedback(store, wrote(tmp_path / "g", *tasks), "label-studio").num_known == 11
        assert everything(store) == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["data"], None, "record 2: data: expected an object, got None"),
        (["data", "query_id"], "unknown", r"record 2: annotations\[0\]: query_id: no query 'unknown'"),
        (["data", "query_id"], 3, "record 2: data.query_id: expected some text"),
        (["annotations"], {}, "record 2: annotations: expected a list"),
        (["annotations", 0], 3, r"record 2: annotations\[0\]: annotation: expected an object, got 3"),
        (["annotations", 0, "result"], None, r"record 2: annotations\[0\]: result: expected a list"),
        (["annotations", 0, "result", 0], "x", r"annotations\[0\]: result: expected an object"),
        (["annotations", 0, "result", 0, "value"], "left", "result.value: expected an object"),
        (
            ["annotations", 0, "result", 0, "value"],
            {"selected": "up"},
            "selected: expected 'left' or 'right', got 'up'",
        ),
        (["annotations", 0, "result", 0, "type"], "rating", "result.value.rating: expected a finite number, got None"),
        (["annotations", 0, "lead_time"], "long", "lead_time: expected a finite number"),
        (["annotations", 0, "completed_by"], None, "completed_by: expected the number of who annotated"),
        (["annotations", 0, "completed_by"], {"email": "x@example.org"}, "completed_by: expected the number"),
        (["data", "answers"], [], "data.answers: expected an object"),
    ],
)
def test_a_bad_task_is_named_and_nothing_is_taken(
    store: Store, tmp_path: Path, path: list[Any], value: Any, message: str
) -> None:
    first, second = add_comparisons(store, 2)
    task: Any = compared(second)
    place = task
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    refuses(store, wrote(tmp_path / "f", compared(first), task), message)


def refuses(store: Store, file: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_feedback(store, file, "label-studio")
    assert everything(store) == []
    assert list(store.bulk.annotators()) == ["ann", "simulated"]


def test_tasks_that_are_not_of_this_run_are_refused(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    task = compared(query)
    del task["data"]["query_id"]
    refuses(store, wrote(tmp_path / "f", task), r"record 1: data.query_id: missing; only tasks that were made of")
    refuses(store, wrote(tmp_path / "f", {"prompt": "x"}), "record 1: data: missing; expected a task")
    twice = compared(query)
    twice["annotations"][0]["result"] *= 2
    refuses(store, wrote(tmp_path / "f", twice), "result: expected one comparison or rating, got 2")
