"""Labels: who says what is so, by what several people said of the same clips, and where that tells nothing."""

from typing import Any

import numpy as np
import pytest

from heeler.core.nouns import Query
from heeler.feedback.annotators.dawid_skene import Label, fit_dawid_skene
from heeler.feedback.annotators.labels import known_labels, label_of
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_query, make_segment

SCALE = {"low": 1.0, "high": 5.0}
SCORE_OF = {"low": 2.0, "high": 4.0}


def score(label: str) -> dict[str, Any]:
    return {"score": SCORE_OF[label], **SCALE}


def add_queries(store: Store, num: int, kind: str = "rating") -> list[Query]:
    ids = store.add_segments([make_segment(seed) for seed in range(num)])
    queries = [make_query(place, ids[place], kind=kind) for place in range(num)]
    store.add_queries(queries)
    return queries


def say(store: Store, query: Query, who: str, value: dict[str, Any], name: str = "first") -> None:
    store.add_feedback([make_answer(query, f"{who} {name}", annotator=who, value=value)])


def crowd(store: Store, accuracy: dict[str, float], num: int = 60) -> tuple[list[Query], list[str], list[Label]]:
    """Everybody scores everything, and is right as often as given; what is true goes beside it."""
    rng = np.random.default_rng(3)
    queries, labels = add_queries(store, num), list[Label]()
    truth = [("low", "high")[int(rng.random() < 0.5)] for _ in queries]
    for who, share in accuracy.items():
        store.add_annotator(who, "person")
        for query, true in zip(queries, truth, strict=True):
            said = true if rng.random() < share else {"low": "high", "high": "low"}[true]
            say(store, query, who, score(said))
            labels.append(Label(person=who, task=query.id, label=said))
    return queries, truth, labels


@pytest.mark.parametrize(
    ("kind", "value", "label"),
    [
        ("rating", {"score": 2.9, **SCALE}, "low"),
        ("rating", {"score": 3.0, **SCALE}, "high"),
        ("evaluation", {"marks": []}, "none"),
        ("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]}, "bad"),
        ("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}, {"time_s": 1.0, "sign": 1}]}, "good"),
        ("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}, {"time_s": 1.0, "sign": -1}]}, "both"),
        ("preference", {"choice": "left"}, None),
    ],
)
def test_what_an_answer_says(kind: str, value: dict[str, Any], label: str | None) -> None:
    assert label_of(kind, value) == label


def test_careless_and_hostile_people_are_found_by_what_the_others_say(store: Store) -> None:
    _, _, labels = crowd(store, {"ann": 0.95, "bob": 0.9, "cleo": 0.9, "dan": 0.5, "eve": 0.1})
    (known,) = known_labels(store)
    assert (known.kind, known.num_labels, known.num_shared) == ("rating", 300, 60)
    verdicts = {one.annotator: one.verdict for one in known.people}
    assert verdicts == {"eve": "hostile", "dan": "careless", "ann": "reliable", "bob": "reliable", "cleo": "reliable"}
    assert [one.annotator for one in known.people][:2] == ["eve", "dan"], "those to look at come first"
    fit = fit_dawid_skene(labels)
    for one in known.people:
        place = fit.people.index(one.annotator)
        assert one.right == pytest.approx(fit.right_P[place]) and one.num_labels == 60
        assert one.low < one.right < one.high
        confusion = fit.confusion_PCL[place, fit.classes.index("low"), fit.classes.index("high")]
        assert one.says["low"]["high"] == pytest.approx(confusion)


def test_gold_items_turn_a_hostile_majority_round(store: Store) -> None:
    queries, truth, _ = crowd(store, {"ann": 0.95, "dan": 0.05, "eve": 0.05})
    assert {one.annotator: one.verdict for one in known_labels(store)[0].people}["ann"] == "hostile"
    for query, true in list(zip(queries, truth, strict=True))[:30]:
        store.gold.add(query.id, score(true), "admin")
    verdicts = {one.annotator: one.verdict for one in known_labels(store)[0].people}
    assert verdicts == {"ann": "reliable", "dan": "hostile", "eve": "hostile"}


def test_what_one_person_alone_was_asked_says_nothing_of_them(store: Store) -> None:
    queries = add_queries(store, 30)
    for place, query in enumerate(queries):
        say(store, query, "ann", score(("low", "high")[place % 2]))
    assert known_labels(store) == ()
    store.gold.add(queries[0].id, score("low"), "admin")
    (known,) = known_labels(store)
    assert (known.num_labels, known.num_shared) == (30, 1)
    (ann,) = known.people
    assert ann.verdict == "unknown" and "too few" in ann.reason


def test_all_labels_alike_tell_nobody_from_anybody(store: Store) -> None:
    store.add_annotator("bob", "person")
    for query in add_queries(store, 12):
        for who in ("ann", "bob"):
            say(store, query, who, score("high"))
    (known,) = known_labels(store)
    assert [one.verdict for one in known.people] == ["unknown", "unknown"]
    assert "said the same" in known.people[0].reason


def test_a_right_answer_that_nobody_gave_and_comparisons_are_left_out(store: Store) -> None:
    store.add_annotator("bob", "person")
    queries = add_queries(store, 10)
    for query in queries:
        for who in ("ann", "bob"):
            say(store, query, who, score("high"))
    store.gold.add(queries[0].id, score("low"), "admin")
    assert known_labels(store)[0].num_shared == 10


def test_who_thinks_again_is_taken_at_their_last_word(store: Store) -> None:
    store.add_annotator("bob", "person")
    value = {"bad": {"marks": [{"time_s": 0.0, "sign": -1}]}, "good": {"marks": [{"time_s": 0.0, "sign": 1}]}}
    last = list[Label]()
    for place, query in enumerate(add_queries(store, 10, kind="evaluation")):
        first, second = (("bad", "good"), ("good", "bad"))[place % 2]
        say(store, query, "ann", value[first])
        say(store, query, "bob", value[second])
        say(store, query, "bob", value[first], "on second thoughts")
        last += [Label(person=who, task=query.id, label=first) for who in ("ann", "bob")]
    (known,) = known_labels(store)
    assert known.num_labels == 20
    fit = fit_dawid_skene(last)
    assert [one.right for one in known.people] == pytest.approx(fit.right_P.tolist())
    assert min(fit.right_P) > 0.7, "they are of one mind"
