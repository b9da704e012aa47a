"""What a forgotten annotator showed: gone with the answers, or under the pseudonym of the answers that stay."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from heeler.core.errors import DataError, StoreError
from heeler.core.nouns import Query
from heeler.feedback import schema, shown_by
from heeler.feedback.database import Database
from heeler.feedback.segment_files import SegmentFolder
from heeler.feedback.shown_by import trajectory_name
from heeler.feedback.store import Store
from heeler.feedback.transfer.moving import export_feedback, import_feedback
from heeler.feedback.withdrawal import id_sha256
from tests.unit.feedback.helpers import Home, make_answer, make_query, make_segment

ANN = "4f2b8a60-1d0e-4c9b-9e0a-6a1f0c1d2e3f"
OF_NOW, OF_BEFORE = trajectory_name(id_sha256(ANN)), f"demonstration/{ANN}/00000000-0000-4000-8000-000000000001"


def ask(store: Store, number: int) -> list[Query]:
    """Queries for demonstrations, each of a segment of its own."""
    ids = store.add_segments([make_segment(seed) for seed in range(100, 100 + number)])
    queries = [make_query(name, name, kind="demonstration") for name in ids]
    store.add_queries(queries)
    return queries


def show(store: Store, query: Query, trajectory_id: str, annotator: str = ANN, **changes: object) -> str:
    """A demonstration, answered; the id of its segment."""
    store.add_annotator(annotator, "person")
    shown = make_segment(50, trajectory_id=trajectory_id)
    (segment_id,) = store.add_segments([shown], shown_by=annotator)
    answer = make_answer(query, annotator, annotator=annotator, value={"segment_id": segment_id}, **changes)
    store.add_feedback([answer])
    return segment_id


def traces(home: Home) -> bytes:
    """All that tells of ann: every row, and every byte of the segments' files and their names."""
    database = Database(home.target)
    with database.reading() as connection:
        told = repr([connection.execute(select(table)).all() for table in schema.metadata.sorted_tables])
    database.close()
    # The hash is kept for refusing them; it must be nowhere else.
    told = told.replace(id_sha256(ANN), "", 1)
    files = b"".join(path.name.encode() + path.read_bytes() for path in sorted(home.segments.iterdir()))
    return told.encode() + files


def check_nothing_tells(home: Home, *others: str) -> None:
    found = traces(home)
    for private in (ANN, id_sha256(ANN)[:32], *others):
        assert private.encode() not in found, private


def names(home: Home) -> set[str]:
    return {path.stem for path in home.segments.iterdir()}


@pytest.mark.parametrize("trajectory_id", [OF_NOW, OF_BEFORE], ids=["now", "before"])
def test_with_the_answers_what_they_showed_goes(home: Home, trajectory_id: str) -> None:
    with home.open() as store:
        asked, unanswered = ask(store, 2)
        before = names(home)
        segment_id = show(store, asked, trajectory_id)
        # Shown, and never sent as an answer.
        store.add_segments([make_segment(7, trajectory_id=f"{trajectory_id[:-1]}f")], shown_by=ANN)
        store.withdrawals.forget(ANN, "remove")
        assert names(home) == before
        assert store.counts()["segments"] == 2
        assert store.open_queries(9) == [asked, unanswered]
        with pytest.raises(DataError, match="no segment"):
            store.segment(segment_id)
    check_nothing_tells(home, segment_id)


@pytest.mark.parametrize("trajectory_id", [OF_NOW, OF_BEFORE], ids=["now", "before"])
def test_with_kept_answers_it_stays_under_their_pseudonym(home: Home, trajectory_id: str, tmp_path: Path) -> None:
    with home.open() as store:
        (query,) = ask(store, 1)
        segment_id = show(store, query, trajectory_id)
        shown = store.segment(segment_id)
        # Others were asked about it as well.
        rating = make_query("rating", segment_id, kind="rating")
        store.add_queries([rating])
        store.withdrawals.forget(ANN, "keep")
        ((_, answer),) = store.feedback_after(0, limit=9, up_to_step=None)
        kept = store.segment(answer.value["segment_id"])
        assert kept.id != segment_id, "the audit log knows the other one"
        assert kept.trajectory_id.startswith(f"demonstration/{answer.annotator}/")
        assert (kept.observation == shown.observation).all()
        assert store.queries([rating.id])[0].segment_ids == (kept.id,)
        assert store.counts()["segments"] == 2
        # What stands now goes out and comes back in as it is.
        out = tmp_path / "now.jsonl"
        export_feedback(store, str(out), "jsonl")
        assert import_feedback(store, str(out), "jsonl").num_answers == 0
        # Who has the store open goes by the new id at once.
        value = {"score": 1.0, "low": 0.0, "high": 1.0}
        assert store.add_feedback([make_answer(rating, value=value)]) == [2]
    check_nothing_tells(home, segment_id)


def test_what_others_point_to_stays_for_them(home: Home) -> None:
    """Ann's answers go, but ben named the same segment, and a query shows another of hers."""
    with home.open() as store:
        first, second = ask(store, 2)
        mine = show(store, first, OF_NOW)
        asked_about = show(store, second, OF_BEFORE)
        store.add_annotator("ben", "person")
        store.add_feedback([make_answer(first, "b", annotator="ben", value={"segment_id": mine})])
        rating = make_query("rating", asked_about, kind="rating")
        store.add_queries([rating])
        store.withdrawals.forget(ANN, "remove")
        ((_, answer),) = store.feedback_after(0, limit=9, up_to_step=None)
        for kept in (
            store.segment(answer.value["segment_id"]),
            store.segment(store.queries([rating.id])[0].segment_ids[0]),
        ):
            assert kept.trajectory_id.startswith("demonstration/withdrawn-")
        assert store.counts()["segments"] == 4
    check_nothing_tells(home, mine, asked_about)


def test_a_segment_that_an_answer_brought_goes_with_it_and_others_of_its_world_stay(home: Home) -> None:
    """Imported demonstrations have trajectories of their own; they are answers all the same."""
    with home.open() as store:
        first, second = ask(store, 2)
        brought = show(store, first, "elsewhere/episode-1")
        # She pointed to a clip that was asked about: it was never hers.
        store.add_feedback([make_answer(second, annotator=ANN, value={"segment_id": first.segment_ids[0]})])
        store.withdrawals.forget(ANN, "remove")
        assert brought not in names(home)
        assert store.segment(first.segment_ids[0])
    check_nothing_tells(home, brought)


@pytest.mark.parametrize("answers", ["keep", "remove"])
def test_a_damaged_file_goes_and_stops_nothing(home: Home, answers: str) -> None:
    with home.open() as store:
        (query,) = ask(store, 1)
        segment_id = show(store, query, OF_BEFORE)
        path = home.segments / f"{segment_id}.safetensors"
        path.write_bytes(path.read_bytes()[:-3])
        store.withdrawals.forget(ANN, answers)
        assert not path.exists()
        assert len(store.feedback_after(0, limit=9, up_to_step=None)) == (answers == "keep")
    check_nothing_tells(home)


@pytest.mark.parametrize("answers", ["keep", "remove"])
def test_files_that_could_not_be_removed_are_removed_the_next_time(
    home: Home, answers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.open() as store:
        (query,) = ask(store, 1)
        segment_id = show(store, query, OF_NOW)

        def fail(self: SegmentFolder, ids: Sequence[str]) -> None:
            raise StoreError(f"segments folder: Read-only file system; {len(list(ids))} files")

        with monkeypatch.context() as broken:
            broken.setattr(SegmentFolder, "remove", fail)
            with pytest.raises(StoreError, match="1 files"):
                store.withdrawals.forget(ANN, answers)
        assert segment_id in names(home)
        store.withdrawals.forget(ANN, answers)
        assert segment_id not in names(home)
    check_nothing_tells(home, segment_id)


def test_what_comes_late_is_refused_and_leaves_no_file(home: Home) -> None:
    with home.open() as store:
        before = names(home)
        store.withdrawals.forget(ANN, "remove")
        with pytest.raises(DataError, match="forgotten"):
            store.add_segments([make_segment(1, trajectory_id=OF_NOW)], shown_by=ANN)
        assert names(home) == before
        assert store.counts()["segments"] == 0


def test_without_the_segments_nothing_is_half_done(home: Home) -> None:
    with home.open() as store:
        (query,) = ask(store, 1)
        show(store, query, OF_NOW)
    before = traces(home)
    with Store.open(home.target, segments_dir=None) as store, pytest.raises(StoreError, match="give segments_dir"):
        store.withdrawals.forget(ANN, "keep")
    assert traces(home) == before


def test_acts_of_who_never_answered_lose_their_name_too(home: Home) -> None:
    """Admins report items, know right answers and steer runs; none of that makes them annotators."""
    with home.open() as store:
        ids = store.add_segments([make_segment(seed) for seed in range(2)])
        query = make_query("q", *ids)
        store.add_queries([query])
        store.gold.add(query.id, {"choice": "left"}, ANN)
        store.flags.add(query.id, ANN, "hate", "a note")
        store.set_setting("paused", ANN)
        store.withdrawals.forget(ANN, "keep")
        assert store.setting("paused", None).startswith("kept-")
        assert [flag.note for flag in store.flags.page(limit=9)] == ["a note"]
    check_nothing_tells(home)


def test_names_of_trajectories_are_never_equal() -> None:
    assert trajectory_name(id_sha256(ANN)) != trajectory_name(id_sha256(ANN))
    assert shown_by.trajectory_name(id_sha256("ben")).split("/")[1] != OF_NOW.split("/")[1]
