"""What a model thought of a question, and whether it was opened: kept with the answer, refused where it cannot be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import null, select

from heeler.core.errors import ConflictError, DataError
from heeler.feedback import database as database_module
from heeler.feedback import schema
from heeler.feedback.database import Database
from heeler.feedback.seen_views import check_view
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import (
    Home,
    add_comparisons,
    make_answer,
    make_query,
    make_segment,
    make_text,
    new_store,
)
from tests.unit.feedback.transfer_helpers import everything, lines, write_lines

VIEW: dict[str, Any] = {"opened": True, "first_better": 0.75, "best": [[0, 1], [2, 4]], "worst": [[3, 4], [0, 2]]}


def test_it_is_kept_with_the_answer_and_the_same_again_is_the_same_answer(home: Home) -> None:
    with home.open() as store:
        first, second = add_comparisons(store, 2)
        answers = [make_answer(first, view=VIEW), make_answer(second)]
        assert store.add_feedback(answers) == [1, 2]
    with home.open() as store:
        assert [answer for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == answers
        again = {**VIEW, "best": ((0, 1), (2, 4)), "first_better": 0.75}
        assert store.add_feedback([replace(answers[0], view=again)]) == [1]
        with pytest.raises(ConflictError, match="came before with another body"):
            store.add_feedback([replace(answers[0], view={**VIEW, "opened": False})])
        with pytest.raises(ConflictError, match="came before with another body"):
            store.add_feedback([replace(answers[0], view=None)])


def test_none_is_nothing_in_the_column_and_not_the_word_null(home: Home) -> None:
    with home.open() as store:
        first, second = add_comparisons(store, 2)
        store.add_feedback([make_answer(first, view=VIEW), make_answer(second)])
    database = Database(home.target)
    with database.reading() as connection:
        table = schema.feedback
        found = connection.execute(select(table.c.query_id).where(table.c.view.is_(null()))).scalars().all()
    database.close()
    assert found == [second.id]


def test_of_a_question_about_one_clip_nobody_says_which_is_better(store: Store) -> None:
    ids = store.add_segments([make_segment(1)])
    query = make_query("rated", *ids, kind="rating")
    store.add_queries([query])
    view = {"opened": False, "first_better": None, "best": [[0, 4]], "worst": [[0, 1]]}
    answer = make_answer(query, value={"score": 1.0, "low": 0.0, "high": 1.0}, view=view)
    store.add_feedback([answer])
    assert store.feedback_after(0, limit=9, up_to_step=None) == [(1, answer)]
    with pytest.raises(DataError, match=r"view\.first_better: expected null, as one segment is shown, got 0.5"):
        store.add_feedback([replace(answer, view={**view, "first_better": 0.5})])


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ([], r"view: expected an object with opened, first_better, best, worst, got \[\]"),
        ({**VIEW, "opend": True}, r"view\.opend: unknown field; .* Did you mean 'opened'"),
        ({name: VIEW[name] for name in ("first_better", "best", "worst")}, r"view\.opened: missing"),
        ({**VIEW, "opened": 1}, r"view\.opened: expected true or false, got 1"),
        ({**VIEW, "opened": None}, r"view\.opened: expected true or false, got None"),
        ({**VIEW, "first_better": None}, r"view\.first_better: expected a finite number, got None"),
        ({**VIEW, "first_better": 1.5}, r"view\.first_better: expected 0 to 1, got 1.5"),
        ({**VIEW, "first_better": float("nan")}, r"view\.first_better: expected a finite number, got nan"),
        ({**VIEW, "best": [[0, 1]]}, r"view\.best: expected a list of 2, one part of each segment"),
        ({**VIEW, "best": "ab"}, r"view\.best: expected a list of 2"),
        ({**VIEW, "best": [[0, 1], [2]]}, r"view\.best\[1\]: expected \[start, end\], got \[2\]"),
        ({**VIEW, "worst": [[1, 1], [0, 2]]}, r"view\.worst\[0\]\[1\]: expected 2 to 4, got 1"),
        ({**VIEW, "worst": [[0, 2], [3, 5]]}, r"view\.worst\[1\]\[1\]: expected 4 to 4, got 5"),
        ({**VIEW, "worst": [[0, 2], [4, 5]]}, r"view\.worst\[1\]\[0\]: expected 0 to 3, got 4"),
        ({**VIEW, "worst": [[0, 2], [-1, 2]]}, r"view\.worst\[1\]\[0\]: expected 0 to 3, got -1"),
        ({**VIEW, "worst": [[0, 2], [0.5, 2]]}, r"view\.worst\[1\]\[0\]: expected a whole number, got 0.5"),
    ],
)
def test_what_cannot_have_been_offered_is_refused_and_nothing_is_kept(store: Store, view: Any, message: str) -> None:
    first, second = add_comparisons(store, 2)
    with pytest.raises(DataError, match=r"feedback\[1\]\." + message):
        store.add_feedback([make_answer(first, view=VIEW), make_answer(second, view=view)])
    assert store.counts()["feedback"] == 0


def test_nothing_is_offered_with_texts(store: Store) -> None:
    query = make_query("of a text", *store.add_segments([make_text("blue")]), kind="rating")
    store.add_queries([query])
    view = {"opened": False, "first_better": None, "best": [[0, 1]], "worst": [[0, 1]]}
    with pytest.raises(DataError, match="view: nothing that a model thinks is offered with texts"):
        check_view(view, query, store.segment_facts(query.segment_ids))


def test_an_answer_that_is_removed_leaves_nothing_of_it_and_one_that_is_kept_keeps_it(store: Store) -> None:
    store.add_annotator("ben", "person")
    first, second = add_comparisons(store, 2)
    store.add_feedback([make_answer(first, view=VIEW), make_answer(second, annotator="ben", view=VIEW)])
    store.withdrawals.forget("ann", "remove")
    store.withdrawals.forget("ben", "keep")
    with store.bulk.reading() as connection:
        found = connection.execute(select(schema.feedback.c.view).order_by(schema.feedback.c.position)).scalars().all()
    assert found == [None, VIEW]


@pytest.mark.parametrize("format_name", ["jsonl", "pairs"])
def test_exports_show_it_and_it_comes_back(store: Store, tmp_path: Path, format_name: str) -> None:
    queries = add_comparisons(store, 3)
    views = [VIEW, {**VIEW, "opened": False}, None]
    answers = [make_answer(query, view=view) for query, view in zip(queries, views, strict=True)]
    store.add_feedback(answers)
    export_feedback(store, str(tmp_path / "f"), format_name)
    rows = lines(tmp_path / "f")
    rows = [row["answer"] for row in rows if "answer" in row] if format_name == "jsonl" else rows
    assert [row.get("view") for row in rows] == views
    with new_store(tmp_path / "copy.db", tmp_path / "copy") as copy:
        for policy in store.policy_versions():
            copy.add_policy_version(policy)
        copy.add_segments([make_segment(seed) for seed in range(6)])
        copy.add_queries(queries)
        import_feedback(copy, str(tmp_path / "f"), format_name)
        assert [answer for answer, _, _ in everything(copy)] == answers
    bad = lines(tmp_path / "f")
    (bad[-1]["answer"] if format_name == "jsonl" else bad[-1])["view"] = {**VIEW, "opened": "yes"}
    with new_store(tmp_path / "other.db", tmp_path / "other") as other:
        for policy in store.policy_versions():
            other.add_policy_version(policy)
        other.add_segments([make_segment(seed) for seed in range(6)])
        other.add_queries(queries)
        with pytest.raises(DataError, match=rf"line {len(bad)}: view\.opened: expected true or false, got 'yes'"):
            import_feedback(other, write_lines(tmp_path / "bad", bad), format_name)
        assert other.counts()["feedback"] == 0


def test_a_heeler_that_knows_of_no_views_can_read_what_has_none(store: Store, tmp_path: Path) -> None:
    store.add_feedback([make_answer(add_comparisons(store, 1)[0])])
    export_feedback(store, str(tmp_path / "f"), "jsonl")
    (answer,) = [row["answer"] for row in lines(tmp_path / "f") if "answer" in row]
    assert "view" not in answer


def test_a_store_of_before_is_taken_forward_and_its_answers_are_still_the_same(home: Home) -> None:
    with home.open() as store:
        first, second = add_comparisons(store, 2)
        old = make_answer(first, time_taken_s=1.5)
        store.add_feedback([old])
    database, config = Database(home.target), Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).with_name("migrations")))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    database.close()
    with home.open() as store:
        assert store.add_feedback([old]) == [1], "its hash is as it was"
        assert store.add_feedback([make_answer(second, view=VIEW)]) == [2]
        views = [answer.view for _, answer in store.feedback_after(0, limit=9, up_to_step=None)]
        assert views == [None, VIEW]
