"""Forgetting an annotator: what they said stays without them or goes; what counts by positions is not disturbed."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.feedback import schema
from heeler.feedback.database import Database
from heeler.feedback.store import Store
from heeler.feedback.transfer.moving import export_feedback, import_feedback
from heeler.feedback.withdrawal import WITHDRAWN, id_sha256
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer, make_query, make_segment


def rows_of(home: Home) -> list[dict]:
    database = Database(home.target)
    with database.reading() as connection:
        found = connection.execute(select(schema.feedback).order_by(schema.feedback.c.position)).mappings().all()
    database.close()
    return [dict(row) for row in found]


def everything(home: Home) -> str:
    """All that the database holds, as text."""
    database = Database(home.target)
    with database.reading() as connection:
        found = [connection.execute(select(table)).all() for table in schema.metadata.sorted_tables]
    database.close()
    return repr(found)


def fill(store: Store) -> list:
    """Three comparisons: ann answers all, ben the first; and a critique of ann."""
    queries = add_comparisons(store, 3)
    store.add_annotator("ben", "person")
    (segment,) = store.add_segments([make_segment(99)])
    critique = make_query("critique", segment, kind="critique")
    store.add_queries([critique])
    store.add_feedback([make_answer(queries[0], time_taken_s=3.5, confidence=0.5)])
    store.add_feedback([make_answer(queries[0], "b", "right", annotator="ben"), make_answer(queries[1])])
    store.add_feedback([make_answer(queries[2])])
    store.add_feedback([make_answer(critique, value={"text": "it limps terribly", "start": 0, "end": 2})])
    return [*queries, critique]


def test_removed_answers_leave_rows_that_tell_nothing(home: Home) -> None:
    with home.open() as store:
        fill(store)
        before = rows_of(home)
        store.flags.add(before[0]["query_id"], "ann", "hate", "a swear word")
        done = store.withdrawals.forget("ann", "remove")
        assert (done.number, done.answers, done.num_answers, done.first_position) == (1, "remove", 4, 1)
        assert store.withdrawals.positions() == [1, 3, 4, 5]
        assert [(p, f.annotator) for p, f in store.feedback_after(0, limit=9, up_to_step=None)] == [(2, "ben")]
        assert store.counts()["feedback"] == 1
        assert store.counts()["by_kind"] == {"preference": 1}
        assert store.counts()["by_annotator"] == {"ben": 1}
        assert [row.position for row in store.work.after(0, limit=9)] == [2]
    after = rows_of(home)
    assert [row["position"] for row in after] == [1, 2, 3, 4, 5]
    assert after[1] == before[1]
    for old, new in zip(before, after, strict=True):
        assert (new["query_id"], new["body_sha256"]) == (old["query_id"], old["body_sha256"])
        if old["annotator"] == "ann":
            assert new["key"] != old["key"]
            assert (new["kind"], new["value"], new["received_unix_s"]) == (WITHDRAWN, {}, 0.0)
            assert (new["time_taken_s"], new["confidence"]) == (None, None)
    told = everything(home)
    for private in ("'ann'", "limps", "swear", *(row["key"] for row in before if row["annotator"] == "ann")):
        assert private not in told, private


def test_kept_answers_stand_under_a_name_that_leads_nowhere(home: Home) -> None:
    with home.open() as store:
        queries = fill(store)
        before = list(store.feedback_after(0, limit=9, up_to_step=None))
        store.withdrawals.forget("ann", "keep")
        after = list(store.feedback_after(0, limit=9, up_to_step=None))
        assert [(p, f.key, f.value, f.time_taken_s) for p, f in after] == [
            (p, f.key, f.value, f.time_taken_s) for p, f in before
        ]
        names = {f.annotator for _, f in after}
        assert len(names) == 2
        assert "ann" not in names
        assert store.withdrawals.positions() == []
        # What was answered counts still.
        held = [lease.query for lease in store.lease("ben", 9, overlap=1, duration_s=60)]
        assert queries[1] not in held
        # An export of what stands now can be taken in again, and changes nothing.
        path = home.folder / "now.jsonl"
        export_feedback(store, str(path), "jsonl")
        assert import_feedback(store, str(path), "jsonl").num_answers == 0
    assert "'ann'" not in everything(home)


@pytest.mark.parametrize("answers", ["keep", "remove"])
def test_who_was_forgotten_does_not_come_back(home: Home, answers: str, tmp_path: Path) -> None:
    with home.open() as store:
        queries = fill(store)
        old = tmp_path / "old.jsonl"
        export_feedback(store, str(old), "jsonl")
        number = store.counts()["feedback"]
        assert b'"ann"' in old.read_bytes()
        store.withdrawals.forget("ann", answers)
        for again in (
            lambda: store.add_feedback([make_answer(queries[0], time_taken_s=3.5, confidence=0.5)]),
            lambda: store.add_annotator("ann", "person"),
            lambda: store.lease("ann", 1, overlap=5, duration_s=60),
            lambda: store.add_feedback([make_answer(queries[1], "other")]),
        ):
            with pytest.raises((DataError, ConflictError), match=r"forgotten|unknown|withdrawn"):
                again()
        imported = import_feedback(store, str(old), "jsonl")
        assert imported.num_answers == 0
        assert imported.left_out == {"answers of somebody who was forgotten": 4}
        assert store.counts()["feedback"] == (number if answers == "keep" else 1)
        assert "ann" not in store.bulk.annotators()


def test_a_removed_answer_may_be_given_by_somebody_else_but_not_under_its_key(home: Home) -> None:
    with home.open() as store:
        queries = fill(store)
        store.withdrawals.forget("ann", "remove")
        leased = [lease.query for lease in store.lease("ben", 9, overlap=1, duration_s=60)]
        assert leased == queries[1:], "ben has answered the first"
        assert queries[2] in store.open_queries(9)
        with pytest.raises(ConflictError, match="is of an answer that was withdrawn"):
            store.add_feedback([make_answer(queries[1], annotator="ben")])
        assert store.add_posts([[make_answer(queries[1], "new", annotator="ben")]], overlap=1) == [[6]]


def test_exports_leave_removed_answers_out(home: Home) -> None:
    with home.open() as store:
        fill(store)
        store.withdrawals.forget("ann", "remove")
        for name in ("jsonl", "pairs", "label-studio", "argilla"):
            out = home.folder / f"out.{name}"
            exported = export_feedback(store, str(out), name)
            assert exported.num_answers == 1, name
            text = out.read_text()
            assert "withdrawn" not in text
            assert "limps" not in text
        header = json.loads((home.folder / "out.jsonl").read_text().splitlines()[0])
        assert header["num_answers"] == 1


def test_forgetting_again_changes_nothing_and_is_one_transaction(home: Home) -> None:
    with home.open() as store:
        fill(store)
        before = everything(home)

        def fail(_: object) -> None:
            raise StoreError("audit log: No space left on device")

        with pytest.raises(StoreError, match="No space left"):
            store.withdrawals.forget("ann", "remove", before_commit=fail)
        assert everything(home) == before
        first = store.withdrawals.forget("ann", "remove")
        after = everything(home)
        assert store.withdrawals.forget("ann", "keep", before_commit=fail) == first
        assert everything(home) == after
        assert store.withdrawals.all() == [first]
        assert store.withdrawals.newest() == first.number >= 1


def test_somebody_whom_the_store_never_met_is_kept_out_all_the_same(home: Home) -> None:
    with home.open() as store:
        done = store.withdrawals.forget("zoe", "remove")
        assert (done.num_answers, done.first_position) == (0, None)
        with pytest.raises(DataError, match="this one was forgotten"):
            store.add_annotator("zoe", "person")
        assert store.withdrawals.hashes() == {id_sha256("zoe")}
        with pytest.raises(DataError, match="answers: expected keep or remove, got 'burn'"):
            store.withdrawals.forget("ann", "burn")


def test_another_store_object_notices_at_its_next_write(home: Home) -> None:
    with home.open() as service, home.open() as other:
        queries = fill(service)
        service.add_feedback([make_answer(queries[1], "b", annotator="ben")])
        other.withdrawals.forget("ben", "keep")
        outcomes = service.add_posts(
            [[make_answer(queries[2], "late", annotator="ben")], [make_answer(queries[2])]], overlap=None
        )
        assert isinstance(outcomes[0], DataError)
        assert outcomes[1] == [4], "who posted at the same moment is not touched"
