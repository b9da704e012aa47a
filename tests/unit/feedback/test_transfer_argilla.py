"""Argilla's records: what is written loads there, and what it exports comes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from heeler.feedback.transfer.argilla import user_id
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_query, make_segment, make_text
from tests.unit.feedback.transfer_helpers import everything, filled_store

SOMEBODY = "5f6d1d5e-3a52-4f0b-8f5e-2f2b8a1f3c77"


def record(query: Query, **changes: Any) -> dict[str, Any]:
    """A record as `records.to_json` writes it, answered by somebody."""
    left, right = query.segment_ids
    fields: dict[str, Any] = {
        "id": query.id,
        "fields": {"left": left, "right": right},
        "metadata": {"query_id": query.id, "kind": "preference"},
        "suggestions": {},
        "responses": {"preference": [{"value": "right", "user_id": SOMEBODY}]},
        "vectors": {},
        "_server_id": "0b8b54f6-6f35-4c9a-a0a5-3f7b3b0e7a10",
    }
    return fields | changes


def wrote(path: Path, *records: Any) -> str:
    path.write_text(json.dumps(list(records)))
    return str(path)


def test_records_that_somebody_answered_come_in(store: Store, tmp_path: Path) -> None:
    first, second = add_comparisons(store, 2)
    ours = record(second, responses={"preference": [{"value": "cant_tell", "user_id": user_id("ann")}]})
    file = wrote(tmp_path / "f", record(first), ours)
    imported = import_feedback(store, file, "argilla")
    assert (imported.num_answers, imported.annotators) == (2, (f"argilla-{SOMEBODY}",))
    answers = [(answer.query_id, answer.value, answer.annotator) for answer, _, _ in everything(store)]
    assert answers == [
        (first.id, {"choice": "right"}, f"argilla-{SOMEBODY}"),
        (second.id, {"choice": "cant_tell"}, "ann"),
    ]
    again = import_feedback(store, file, "argilla")
    assert (again.num_answers, again.num_known) == (0, 2)


def test_ratings_and_corrections_come_in(store: Store, tmp_path: Path) -> None:
    ids = store.add_segments([make_segment(0), make_text("ask around")])
    queries = [make_query(kind, name, kind=kind) for kind, name in zip(("rating", "correction"), ids, strict=True)]
    store.add_queries(queries)
    rating = {
        "id": queries[0].id,
        "fields": {"segment": ids[0]},
        "metadata": {"rating_low": 0, "rating_high": 10},
        "responses": {"rating": [{"value": 7, "user_id": SOMEBODY}]},
        "status": "completed",
    }
    words = {
        "id": queries[1].id,
        "fields": {"segment": ids[1]},
        "metadata": None,
        "responses": {"correction": [{"value": "ask jo@example.org", "user_id": SOMEBODY, "status": "submitted"}]},
    }
    assert import_feedback(store, wrote(tmp_path / "f", rating, words), "argilla").num_answers == 2
    values = [answer.value for answer, _, _ in everything(store)]
    assert values == [{"score": 7.0, "low": 0.0, "high": 10.0}, {"text": "ask [e-mail]"}]
    assert import_feedback(store, wrote(tmp_path / "f", rating, words), "argilla").num_known == 2
    del rating["metadata"]["rating_low"]
    with pytest.raises(
        DataError, match=r"record 1: metadata.rating_low: missing; a rating needs the ends of its scale"
    ):
        import_feedback(store, wrote(tmp_path / "f", rating), "argilla")


def test_what_is_no_answer_is_passed_over_and_counted(store: Store, tmp_path: Path) -> None:
    (query,) = add_comparisons(store, 1)
    responses = {
        "preference": [
            {"value": "left", "user_id": SOMEBODY, "status": "draft"},
            {"value": "left", "user_id": SOMEBODY, "status": "discarded"},
            {"value": "left", "user_id": SOMEBODY, "status": "submitted"},
        ],
        "why": [{"value": "it falls", "user_id": SOMEBODY}],
    }
    suggestions = {"preference": {"value": "left", "score": None, "agent": "a model"}}
    answered = record(query, responses=responses, suggestions=suggestions)
    imported = import_feedback(store, wrote(tmp_path / "f", answered), "argilla")
    assert imported.num_answers == 1
    assert imported.left_out == {
        "responses with the status draft": 1,
        "responses with the status discarded": 1,
        "responses to the question why": 1,
        "suggestions of others than this store's simulated teachers and programs": 1,
    }
    unanswered = [record(query, responses={}), record(query, responses=None, suggestions=None)]
    assert import_feedback(store, wrote(tmp_path / "f", *unanswered), "argilla").num_known == 0


def test_what_heeler_writes_is_what_argilla_reads(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        exported = export_feedback(store, str(tmp_path / "f"), "argilla")
        records = json.loads((tmp_path / "f").read_text())
        assert exported.num_answers == sum(
            len(r["suggestions"]) + sum(map(len, r["responses"].values())) for r in records
        )
        assert exported.num_answers == 12
        assert exported.left_out == {
            "second answers of simulated teachers or programs to one question": 4,
            "ratings that are no whole number from 0 to 10, or on another scale than the first": 2,
            "answers of kind evaluation": 5,
            "answers of kind critique": 3,
            "corrections that are actions": 2,
            "answers of kind demonstration": 2,
        }
        first = records[0]
        query = store.queries([first["id"]])[0]
        assert (first["fields"]["left"], first["fields"]["right"]) == query.segment_ids
        response = {"value": "left", "user_id": user_id("ann"), "status": "submitted"}
        assert first["responses"] == {"preference": [response]}
        assert first["suggestions"] == {"preference": {"value": "left", "score": None, "agent": "simulated"}}
        (rating,) = (r for r in records if r["metadata"]["kind"] == "rating")
        assert rating["responses"]["rating"][0]["value"] == 4
        assert (rating["metadata"]["rating_low"], rating["metadata"]["rating_high"]) == (1.0, 5.0)
        assert set(first) == {"id", "fields", "metadata", "suggestions", "responses", "vectors", "_server_id"}


def test_what_went_there_and_back_is_the_same_answer(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        exported = export_feedback(store, str(tmp_path / "f"), "argilla")
        before = everything(store)
        imported = import_feedback(store, str(tmp_path / "f"), "argilla")
        assert (imported.num_answers, imported.num_known) == (0, exported.num_answers)
        assert everything(store) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"responses": []}, "record 2: responses: expected an object, got \\[\\]"),
        ({"responses": {"preference": {}}}, "record 2: responses.preference: expected a list"),
        ({"responses": {"preference": [3]}}, r"record 2: responses.preference\[0\]: expected an object"),
        (
            {"responses": {"preference": [{"value": "up", "user_id": SOMEBODY}]}},
            r"record 2: responses.preference\[0\]: value.choice: expected one of",
        ),
        (
            {"responses": {"preference": [{"value": "left"}]}},
            r"responses.preference\[0\].user_id: expected a UUID, got None",
        ),
        ({"responses": {"preference": [{"value": "left", "user_id": "jo"}]}}, r"user_id: expected a UUID, got 'jo'"),
        ({"responses": {"rating": [{"value": "5", "user_id": SOMEBODY}]}}, "record 2: metadata.rating_low: missing"),
        ({"metadata": {"query_id": "unknown"}}, "query_id: no query 'unknown'"),
        ({"metadata": 3}, "record 2: metadata: expected an object, got 3"),
        ({"metadata": {}, "id": None}, "record 2: id: missing; only records that were made"),
        ({"id": 3, "metadata": {}}, "record 2: metadata.query_id: expected some text"),
        ({"suggestions": {"preference": "left"}}, "record 2: suggestions.preference: expected an object"),
        (
            {"suggestions": {"preference": {"value": "left", "score": 3, "agent": "simulated"}}},
            "record 2: suggestions.preference.score: expected 0 to 1, got 3",
        ),
        ({"reponses": {}}, "record 2: reponses: unknown field"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_taken(
    store: Store, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    first, second = add_comparisons(store, 2)
    file = wrote(tmp_path / "f", record(first), record(second, **changes))
    with pytest.raises(DataError, match=message):
        import_feedback(store, file, "argilla")
    assert everything(store) == []
    assert list(store.bulk.annotators()) == ["ann", "simulated"]


def test_a_file_of_something_else_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record 1: expected a record with id, fields and responses"):
        import_feedback(store, wrote(tmp_path / "f", {"data": {}, "annotations": []}), "argilla")


def test_an_answer_of_a_person_that_heeler_has_is_not_taken_twice_under_another_key(
    store: Store, tmp_path: Path
) -> None:
    (query,) = add_comparisons(store, 1)
    store.add_feedback([make_answer(query, choice="right", time_taken_s=2.0)])
    same = record(query, responses={"preference": [{"value": "right", "user_id": user_id("ann")}]})
    assert import_feedback(store, wrote(tmp_path / "f", same), "argilla").num_known == 1
    assert len(everything(store)) == 1
