"""Gold items: mixed in unseen for everybody at their share, never twice for one, and results that hold."""

import pytest

from heeler.core.errors import ConflictError, DataError
from heeler.feedback import gold as gold_module
from heeler.feedback.gold import GoldResult, is_right
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_query, make_segment


def ask(store: Store, annotator: str, limit: int = 1, *, share: float, overlap: int = 1) -> list:
    leases = store.lease(annotator, limit, overlap=overlap, duration_s=60, gold_share=share)
    return [lease.query for lease in leases]


@pytest.fixture
def queries(store: Store) -> list:
    store.add_annotator("ben", "person")
    return add_comparisons(store, 10)


def test_gold_items_come_to_everybody_whatever_the_overlap_and_to_nobody_twice(store: Store, queries: list) -> None:
    golden = queries[:2]
    for query in golden:
        store.gold.add(query.id, {"choice": "left"}, "admin")
    for annotator in ("ann", "ben"):
        seen = []
        for turn in range(4):
            (query,) = ask(store, annotator, share=1.0)
            outcome = store.add_posts([[make_answer(query, annotator, annotator=annotator)]], overlap=1)
            assert outcome == [[len(seen) + 1 + (4 if annotator == "ben" else 0)]], turn
            seen.append(query)
        assert {query.id for query in seen[:2]} == {query.id for query in golden}
        assert not {query.id for query in seen[2:]} & {query.id for query in golden}
    assert store.gold.results() == [
        GoldResult(annotator="ann", num_asked=2, num_right=2),
        GoldResult(annotator="ben", num_asked=2, num_right=2),
    ]


def test_gold_items_are_never_asked_as_ordinary_ones(store: Store, queries: list) -> None:
    store.gold.add(queries[0].id, {"choice": "left"}, "admin")
    assert ask(store, "ann", 99, share=0.0) == queries[1:]
    assert store.gold.remove(queries[0].id)
    assert not store.gold.remove(queries[0].id)
    assert ask(store, "ben", 99, share=0.0, overlap=2) == queries


def test_gold_items_take_the_place_of_ordinary_ones_and_do_not_come_alone(store: Store, queries: list) -> None:
    store.gold.add(queries[3].id, {"choice": "left"}, "admin")
    found = ask(store, "ann", 5, share=1.0)
    assert len(found) == 5
    assert queries[3] in found
    for query in queries:
        if query != queries[3]:
            store.add_feedback([make_answer(query)])
    assert ask(store, "ben", 5, share=1.0) == [], "where nothing else is asked, no gold item tells itself apart"


def test_the_share_is_kept(store: Store, queries: list, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.9, 0.04, 0.2, 0.06])
    monkeypatch.setattr(gold_module._chance, "random", lambda: next(draws))
    for query in queries[8:]:
        store.gold.add(query.id, {"choice": "left"}, "admin")
    found = ask(store, "ann", 4, share=0.05)
    assert [query.id in {q.id for q in queries[8:]} for query in found].count(True) == 1
    # Held leases come in the order in which they were asked, gold or not.
    assert sorted(found, key=queries.index) == ask(store, "ann", 4, share=0.05)


def test_results_count_right_answers_of_both_kinds(store: Store, queries: list) -> None:
    store.gold.add(queries[0].id, {"choice": "left"}, "admin")
    (segment,) = store.add_segments([make_segment(77)])
    rating = make_query("rating", segment, kind="rating")
    store.add_queries([rating])
    store.gold.add(rating.id, {"score": 8, "low": 0, "high": 10}, "admin")
    store.add_feedback([make_answer(queries[0], choice="right"), make_answer(queries[0], "b", annotator="ben")])
    store.add_feedback([make_answer(rating, value={"score": 7, "low": 0, "high": 10})])
    store.add_feedback([make_answer(rating, "b", annotator="ben", value={"score": 6.9, "low": 0, "high": 10})])
    assert store.gold.results() == [
        GoldResult(annotator="ann", num_asked=2, num_right=1),
        GoldResult(annotator="ben", num_asked=2, num_right=1),
    ]
    store.withdrawals.forget("ann", "remove")
    assert [result.annotator for result in store.gold.results()] == ["ben"]
    assert {item.kind for item in store.gold.page(limit=9)} == {"preference", "rating"}
    assert len(store.gold.page(after=store.gold.page(limit=1)[0].query_id, limit=9)) == 1


def test_right_is_the_same_choice_or_a_score_nearby() -> None:
    scale = {"low": 0.0, "high": 10.0}
    assert is_right("rating", {"score": 5.0, **scale}, {"score": 6.0, **scale})
    assert not is_right("rating", {"score": 4.9, **scale}, {"score": 6.0, **scale})
    assert not is_right("preference", {"choice": "equal"}, {"choice": "left"})


def test_what_can_be_no_gold_item_is_refused_by_field(store: Store, queries: list) -> None:
    (segment,) = store.add_segments([make_segment(55)])
    critique = make_query("critique", segment, kind="critique")
    store.add_queries([critique])
    for query_id, value, message in (
        ("nope", {"choice": "left"}, "query_id: no query 'nope'"),
        (critique.id, {"text": "x", "start": 0, "end": 1}, "query_id: a gold item must be a preference or rating"),
        (queries[0].id, {"choice": "lft"}, "value.choice: expected one of"),
        (queries[0].id, {"choice": "cant_tell"}, "value.choice: 'cant_tell' is no right answer"),
    ):
        with pytest.raises(DataError, match=message):
            store.gold.add(query_id, value, "admin")
    store.gold.add(queries[0].id, {"choice": "left"}, "admin")
    store.gold.add(queries[0].id, {"choice": "left"}, "another")
    with pytest.raises(ConflictError, match="has another right answer already"):
        store.gold.add(queries[0].id, {"choice": "right"}, "admin")
    assert [item.person for item in store.gold.page(limit=9)] == ["admin"]
