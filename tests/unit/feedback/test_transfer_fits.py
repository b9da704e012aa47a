"""What the tables cannot hold is refused by an import, on every database alike, and nothing of the file is taken."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, PolicyVersion, Query, Segment
from heeler.feedback.bulk import Annotator
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from heeler.feedback.transfer.items import Answer, Incoming
from heeler.feedback.transfer.staging import Staging
from tests.unit.feedback.helpers import Home, make_answer, make_query, make_segment
from tests.unit.feedback.transfer_helpers import contents, filled_store


def test_all_kinds_of_feedback_come_into_either_database_and_out_again(home: Home, tmp_path: Path) -> None:
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    with filled_store(tmp_path / "from") as filled:
        export_feedback(filled, str(first), "jsonl")
        before = contents(filled)
    with Store.open(home.target, segments_dir=home.segments) as store:
        assert import_feedback(store, str(first), "jsonl").num_answers == 30
        after = contents(store)
        assert {name: after[name] for name in ("answers", "annotators")} == {
            name: before[name] for name in ("answers", "annotators")
        }
        assert import_feedback(store, str(first), "jsonl").num_answers == 0
        export_feedback(store, str(again), "jsonl")
    assert again.read_bytes() == first.read_bytes()


def file_of(changes: Callable[[list[Any]], None]) -> list[Incoming]:
    """What a file brings: a policy, a person, two segments, a comparison and its answer; `changes` spoils one of it."""
    segments = [make_segment(seed, policy_version=0) for seed in (901, 902)]
    query = make_query("imported", *(segment.id for segment in segments))
    items: list[Any] = [PolicyVersion(version=0, step=0), Annotator(id="simulated", kind="simulated"), *segments, query]
    items.append(Answer(feedback=make_answer(query, answered_step=1)))
    changes(items)
    return [Incoming(place=f"line {number}", item=item) for number, item in enumerate(items, 1)]


def changed(kind: type, **changes: Any) -> Callable[[list[Any]], None]:
    def change(items: list[Any]) -> None:
        place = next(place for place, item in enumerate(items) if isinstance(item, kind))
        items[place] = replace(items[place], **changes)

    return change


def answered(**changes: Any) -> Callable[[list[Any]], None]:
    def change(items: list[Any]) -> None:
        feedback: Feedback = items[-1].feedback
        items[-1] = replace(items[-1], feedback=replace(feedback, **changes))

    return change


BAD: list[tuple[Callable[[list[Any]], None], str]] = [
    (changed(Annotator, id="x" * 201), "line 2: annotator.id: expected at most 200 characters"),
    (changed(Annotator, note="a\0b"), "line 2: annotator.note: expected text without NUL"),
    (changed(PolicyVersion, step=2**63), r"line 1: policy_version.step: expected a whole number below 2\*\*63"),
    (changed(Segment, trajectory_id="a\0b"), "line 3: segment.trajectory_id: expected text without NUL"),
    (changed(Segment, start_step=2**63), r"line 3: segment.start_step: expected a whole number below 2\*\*63"),
    (changed(Query, acquisition="x" * 65), "line 5: query.acquisition: expected at most 64 characters"),
    (changed(Query, acquisition="x\udcff"), "line 5: query.acquisition: expected text without"),
    (changed(Query, asked_step=2**63), r"line 5: query.asked_step: expected a whole number below 2\*\*63"),
    (answered(answered_step=2**63), r"line 6: answered_step: expected a whole number below 2\*\*63"),
]


@pytest.fixture
def empty(home: Home) -> Iterator[Store]:
    with Store.open(home.target, segments_dir=home.segments) as store:
        yield store


@pytest.mark.parametrize(("spoil", "message"), BAD, ids=[message[8:40] for _, message in BAD])
def test_what_a_column_cannot_hold_is_refused(empty: Store, spoil: Callable[[list[Any]], None], message: str) -> None:
    staging = Staging(empty, "jsonl", None)
    try:
        with pytest.raises(DataError, match=message):
            staging.take(file_of(spoil))
    finally:
        staging.close()
    assert empty.counts()["feedback"] == empty.counts()["queries"] == empty.counts()["segments"] == 0


def test_what_is_not_spoilt_comes_in(empty: Store) -> None:
    staging = Staging(empty, "jsonl", None)
    staging.take(file_of(lambda items: None))
    assert empty.bulk.load(staging.load()).num_answers == 1
    staging.close()
