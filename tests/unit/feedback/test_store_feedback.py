"""Queries and answers in the store: all or none, each once, read back in order and at their time."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.core.nouns import Feedback, stable_id
from heeler.feedback.store import Store
from tests.conftest import Homes
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer, make_query, make_segment


def test_queries_come_back_in_the_order_asked_for(store: Store) -> None:
    queries = add_comparisons(store, 3)
    scored = replace(make_query("scored", *queries[0].segment_ids[::-1]), acquisition="entropy", score=0.1 + 0.2)
    store.add_queries([scored])
    wanted = [scored, *queries[::-1]]
    assert store.queries([query.id for query in wanted]) == wanted
    assert store.query_count() == 4
    with pytest.raises(DataError, match="no query 'unknown'"):
        store.queries([queries[0].id, "unknown"])


def test_the_same_query_again_changes_nothing_and_another_under_its_id_is_a_conflict(store: Store) -> None:
    queries = add_comparisons(store, 2)
    store.add_queries([queries[1], replace(queries[0], score=1.0), queries[0]])
    assert store.queries([query.id for query in queries]) == queries
    with pytest.raises(ConflictError, match=r"queries\[1\]"):
        store.add_queries([queries[0], replace(queries[1], segment_ids=queries[1].segment_ids[::-1])])
    fresh = make_query("fresh", *queries[0].segment_ids)
    with pytest.raises(ConflictError, match=r"queries\[1\]"):
        store.add_queries([fresh, replace(fresh, segment_ids=queries[1].segment_ids)])
    assert store.query_count() == 2


def test_open_queries_are_those_without_an_answer_the_oldest_first(store: Store) -> None:
    queries = add_comparisons(store, 5)
    store.add_feedback([make_answer(queries[1]), make_answer(queries[3], choice="cant_tell")])
    assert store.open_queries(10) == [queries[0], queries[2], queries[4]]
    assert store.open_queries(2) == [queries[0], queries[2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "prefrence"}, r"queries\[1\].kind: unknown kind 'prefrence'. Did you mean 'preference'"),
        ({"kind": "rating"}, r"queries\[1\].segment_ids: a rating shows 1 different segments"),
        ({"segment_ids": ("0" * 64, "1" * 64)}, r"queries\[1\].segment_ids: no segment '0000"),
        ({"policy_version": 9}, r"queries\[1\].policy_version: 9 is unknown"),
        ({"asked_step": -1}, r"queries\[1\].asked_step: expected at least 0, got -1"),
        ({"score": float("nan")}, r"queries\[1\].score: expected a finite number, got nan"),
        ({"id": ""}, r"queries\[1\].id: expected some text"),
        ({"id": "x" * 65}, r"queries\[1\].id: expected at most 64 characters"),
        ({"id": "x\0"}, r"queries\[1\].id: expected text without NUL characters"),
        ({"acquisition": "x" * 65}, r"queries\[1\].acquisition: expected at most 64 characters, got 65"),
        ({"acquisition": "x\udcff"}, r"queries\[1\].acquisition: expected text without .* half surrogates"),
    ],
)
def test_a_bad_query_refuses_the_batch(store: Store, changes: dict[str, Any], message: str) -> None:
    ids = store.add_segments([make_segment(0), make_segment(1)])
    with pytest.raises(DataError, match=message):
        store.add_queries([make_query(0, *ids), replace(make_query(1, *ids), **changes)])
    assert store.query_count() == 0


def test_a_segment_is_not_compared_with_itself(store: Store) -> None:
    ids = store.add_segments([make_segment(0)])
    with pytest.raises(DataError, match="2 different segments"):
        store.add_queries([make_query(0, ids[0], ids[0])])


VALUES: dict[str, dict[str, Any]] = {
    "preference": {"choice": "equal"},
    "rating": {"score": 0.1 + 0.2, "low": -1.0, "high": 7.0},
    "evaluation": {"marks": [{"time_s": 0.25, "sign": 1}, {"time_s": 1.5, "sign": -1}]},
    "critique": {"text": "it falls – 落ちる \0 \ud800", "start": 1, "end": 4},
    "correction": {"step": 3, "action": [0.5, -0.5]},
    "demonstration": {"segment_id": ""},
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_comes_back_as_it_went_in(store: Store, kind: str) -> None:
    ids = store.add_segments([make_segment(seed) for seed in range(3)])
    query = make_query(kind, *ids[: 2 if kind == "preference" else 1], kind=kind)
    store.add_queries([query])
    value = {"segment_id": ids[2]} if kind == "demonstration" else VALUES[kind]
    answer = make_answer(query, value=value, time_taken_s=3.25, confidence=0.75, answered_step=2**40)
    position = store.add_feedback([answer])
    assert store.feedback_after(0, limit=9, up_to_step=None) == [(position[0], answer)]
    assert store.counts()["by_kind"] == {kind: 1}
    bare = make_answer(query, "bare", value=value)
    store.add_feedback([bare])
    assert store.feedback_after(position[0], limit=9, up_to_step=None)[0][1] == bare


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_id": "unknown"}, "query_id: no query 'unknown'"),
        ({"query_id": "with\0 NUL"}, "query_id: no query"),
        ({"query_id": "half \ud800"}, "query_id: no query"),
        ({"annotator": "half \ud800"}, "annotator: .* is unknown"),
        ({"kind": "rating"}, "kind: query .* asks for 'preference', got 'rating'"),
        ({"annotator": "nobody"}, "annotator: 'nobody' is unknown"),
        ({"key": "first"}, "key: expected a UUID"),
        ({"key": stable_id("A").upper()}, "key: expected a UUID"),
        ({"key": None}, "key: expected a UUID"),
        ({"value": {"choice": "lefty"}}, "value.choice: expected one of .* got 'lefty'. Did you mean 'left'"),
        ({"value": {"choise": "left"}}, "value.choise: unknown field; .* Did you mean 'choice'"),
        ({"value": {}}, "value.choice: missing"),
        ({"value": "left"}, "value: expected an object"),
        ({"time_taken_s": -0.1}, "time_taken_s: expected at least 0, got -0.1"),
        ({"time_taken_s": float("inf")}, "time_taken_s: expected a finite number"),
        ({"confidence": 1.5}, "confidence: expected 0 to 1, got 1.5"),
        ({"confidence": True}, "confidence: expected a finite number, got True"),
        ({"answered_step": 3}, "answered_step: is for simulated teachers, got 3"),
        ({"annotator": "simulated", "answered_step": 1.0}, "answered_step: expected a whole number, got 1.0"),
        ({"annotator": "simulated", "answered_step": -1}, "answered_step: expected at least 0"),
    ],
)
def test_a_bad_answer_refuses_the_batch_naming_index_and_field(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    queries = add_comparisons(store, 3)
    batch = [make_answer(query) for query in queries]
    batch[2] = replace(batch[2], **changes)
    with pytest.raises(DataError, match=rf"^feedback\[2\]\.{message}"):
        store.add_feedback(batch)
    assert store.counts()["feedback"] == 0
    assert len(store.open_queries(9)) == 3


def test_the_same_key_with_the_same_body_keeps_its_position(store: Store) -> None:
    queries = add_comparisons(store, 3)
    batch = [make_answer(query) for query in queries]
    positions = store.add_feedback(batch)
    assert positions == sorted(set(positions))
    assert store.add_feedback([batch[2], batch[0], batch[2]]) == [positions[2], positions[0], positions[2]]
    extra = make_answer(queries[0], "second")
    assert store.add_feedback([extra, batch[1], extra]) == [positions[2] + 1, positions[1], positions[2] + 1]
    assert store.counts()["feedback"] == 4


def test_numbers_written_another_way_are_the_same_body(store: Store) -> None:
    (segment_id,) = store.add_segments([make_segment(0)])
    query = make_query("rating", segment_id, kind="rating")
    store.add_queries([query])
    once = make_answer(query, value={"score": 3, "low": 1, "high": 5}, time_taken_s=2)
    again = make_answer(query, value={"high": 5.0, "low": np.float32(1), "score": np.int64(3)}, time_taken_s=2.0)
    assert store.add_feedback([once]) == store.add_feedback([again])


@pytest.mark.parametrize(
    "changes", [{"value": {"choice": "right"}}, {"confidence": 0.5}, {"time_taken_s": 3.0}, {"annotator": "bob"}]
)
def test_the_same_key_with_another_body_is_a_conflict_and_nothing_of_the_batch_is_kept(
    store: Store, changes: dict[str, Any]
) -> None:
    store.add_annotator("bob", "program")
    queries = add_comparisons(store, 2)
    answer = make_answer(queries[0])
    store.add_feedback([answer])
    with pytest.raises(ConflictError, match=r"feedback\[1\].key: .* came before with another body"):
        store.add_feedback([make_answer(queries[1]), replace(answer, **changes)])
    with pytest.raises(ConflictError, match=r"feedback\[1\].key: .* stands twice in this batch"):
        fresh = make_answer(queries[1])
        store.add_feedback([fresh, replace(fresh, **changes)])
    assert [answer for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == [answer]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_duplicate_and_reordered_posts_are_kept_once_in_order_of_arrival(homes: Homes, data: st.DataObject) -> None:
    posts = data.draw(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6))
    with homes(begun=True) as home, home.open() as store:
        answers = [make_answer(query) for query in add_comparisons(store, 6)]
        acknowledged: dict[int, int] = {}
        for post in posts:
            for index, position in zip(post, store.add_feedback([answers[i] for i in post]), strict=True):
                assert acknowledged.setdefault(index, position) == position
        arrived = list(dict.fromkeys(index for post in posts for index in post))
        expected = [(acknowledged[index], answers[index]) for index in arrived]
        assert store.feedback_after(0, limit=99, up_to_step=None) == expected
        assert [position for position, _ in expected] == sorted(acknowledged.values())


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.none() | st.integers(0, 5), max_size=8),
    up_to_step=st.none() | st.integers(0, 6),
    after=st.integers(0, 9),
    limit=st.integers(1, 9),
)
def test_reading_stops_before_the_first_answer_that_is_not_due(
    homes: Homes, steps: list[int | None], up_to_step: int | None, after: int, limit: int
) -> None:
    with homes(begun=True) as home, home.open() as store:
        queries = add_comparisons(store, len(steps))
        answers = [make_answer(q, answered_step=step) for q, step in zip(queries, steps, strict=True)]
        store.add_feedback(answers)
        expected: list[tuple[int, Feedback]] = []
        for position, answer in enumerate(answers, start=1):
            if position <= after:
                continue
            not_due = up_to_step is not None and answer.answered_step is not None and answer.answered_step > up_to_step
            if not_due or len(expected) == limit:
                break
            expected.append((position, answer))
        assert store.feedback_after(after, limit=limit, up_to_step=up_to_step) == expected


def test_a_resumed_learner_reads_what_the_uninterrupted_one_read_at_each_step(store: Store) -> None:
    queries = add_comparisons(store, 8)

    def learn(steps: range, position: int) -> dict[int, list[tuple[int, Feedback]]]:
        """At each step two simulated answers are posted, then all that is due is read."""
        read = {}
        for step in steps:
            mine = queries[2 * step : 2 * step + 2]
            store.add_feedback([make_answer(query, answered_step=step) for query in mine])
            read[step] = store.feedback_after(position, limit=99, up_to_step=step)
            position = read[step][-1][0]
        return read

    whole = learn(range(4), position=0)
    # Killed after step 3, resumed from the checkpoint that was made after step 1.
    assert learn(range(2, 4), position=whole[1][-1][0]) == {step: whole[step] for step in (2, 3)}


def test_consumers(store: Store) -> None:
    assert store.consumed("learner") == 0
    store.set_consumed("learner", 7)
    store.set_consumed("report", 1)
    assert (store.consumed("learner"), store.consumed("report")) == (7, 1)
    store.set_consumed("learner", 3)
    assert store.consumed("learner") == 3


def test_counts(store: Store) -> None:
    assert store.counts() == {
        "segments": 0,
        "queries": 0,
        "feedback": 0,
        "by_kind": {},
        "by_choice": {},
        "by_annotator": {},
    }
    store.add_annotator("bob", "program")
    queries = add_comparisons(store, 4)
    rating = make_query("rating", queries[0].segment_ids[0], kind="rating")
    store.add_queries([rating])
    choices = ["right", "left", "cant_tell", "right"]
    batch = [make_answer(query, choice=choice) for query, choice in zip(queries, choices, strict=True)]
    store.add_feedback([*batch, make_answer(rating, value={"score": 1, "low": 0, "high": 1}, annotator="bob")])
    assert store.counts() == {
        "segments": 8,
        "queries": 5,
        "feedback": 5,
        "by_kind": {"preference": 4, "rating": 1},
        "by_choice": {"right": 2, "cant_tell": 1, "left": 1},
        "by_annotator": {"ann": 4, "bob": 1},
    }


def test_threads_may_share_a_store(store: Store) -> None:
    queries = add_comparisons(store, 24)
    answers = [make_answer(query) for query in queries]
    positions: list[list[int]] = [[] for _ in range(4)]

    def post(worker: int) -> None:
        for answer in answers[worker::2][::-1] if worker % 2 else answers[worker % 2 :: 2]:
            positions[worker] += store.add_feedback([answer])
            store.feedback_after(0, limit=99, up_to_step=None)

    threads = [threading.Thread(target=post, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = store.feedback_after(0, limit=99, up_to_step=None)
    assert sorted(answer.key for _, answer in read) == sorted(answer.key for answer in answers)
    assert all(len(found) in (11, 12) for found in positions)


def test_a_closed_store_says_so(home: Home) -> None:
    store = home.open()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="has been closed"):
        store.counts()
    with pytest.raises(StoreError, match="has been closed"):
        store.set_consumed("learner", 1)
