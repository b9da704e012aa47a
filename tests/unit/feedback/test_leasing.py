"""Leases: who is asked what, so that nobody is asked twice and no query more often than its overlap allows."""

import threading
from collections import Counter

import pytest

from heeler.core.errors import ConflictError, DataError
from heeler.core.nouns import Lease
from heeler.feedback import store as store_module
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons, make_answer

HOUR_S = 3600.0


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(store_module, "time", clock)
    monkeypatch.setattr("heeler.feedback.writing.time", clock)
    return clock


@pytest.fixture
def store(home):
    with home.open() as store:
        store.add_annotator("ben", "person")
        store.add_annotator("cid", "person")
        yield store


def lease(store: Store, annotator: str, limit: int = 2, *, overlap: int = 1) -> list[str]:
    return [taken.query.id for taken in store.lease(annotator, limit, overlap=overlap, duration_s=HOUR_S)]


def test_the_oldest_first_and_nobody_gets_what_another_holds(store, clock):
    first, second, third = (query.id for query in add_comparisons(store, 3))
    assert lease(store, "ann") == [first, second]
    assert lease(store, "ben") == [third]
    assert lease(store, "cid") == []


def test_what_is_wished_for_comes_before_the_oldest_as_far_as_it_has_room(store, clock):
    ids = [query.id for query in add_comparisons(store, 5)]
    assert lease(store, "ben", 1) == [ids[0]]
    wished = [ids[3], ids[0], "no such query", ids[2]]
    taken = store.lease("ann", 3, overlap=1, duration_s=HOUR_S, first=wished)
    assert [each.query.id for each in taken] == [ids[3], ids[2], ids[1]]
    assert lease(store, "cid", 5) == [ids[4]]


def test_asking_again_gives_what_is_held_and_renews_it(store, clock):
    queries = add_comparisons(store, 3)
    lease(store, "ann")
    clock.now_s += 0.9 * HOUR_S
    taken = store.lease("ann", 3, overlap=1, duration_s=HOUR_S)
    assert taken == [Lease(query=query, annotator="ann", expires_unix_s=clock.now_s + HOUR_S) for query in queries]
    clock.now_s += 0.9 * HOUR_S
    assert lease(store, "ben") == []


def test_a_lease_that_ran_out_goes_to_another(store, clock):
    queries = add_comparisons(store, 1)
    lease(store, "ann")
    clock.now_s += HOUR_S
    assert lease(store, "ben") == [queries[0].id]
    with pytest.raises(ConflictError, match=r"feedback\[0\]\.query_id: the lease .* ran out, and others answer it"):
        post(store, make_answer(queries[0]))
    assert store.counts()["feedback"] == 0
    post(store, make_answer(queries[0], annotator="ben"))


def test_who_was_away_may_still_answer_what_nobody_took(store, clock):
    queries = add_comparisons(store, 1)
    lease(store, "ann")
    clock.now_s += 10 * HOUR_S
    assert post(store, make_answer(queries[0])) == [1]


def test_a_clock_that_jumps_back_hands_nothing_out_twice(store, clock):
    queries = add_comparisons(store, 1)
    lease(store, "ann")
    clock.now_s -= 100 * HOUR_S
    assert lease(store, "ben") == []
    post(store, make_answer(queries[0]))
    assert lease(store, "ben") == []


def test_overlap_asks_that_many_different_people(store, clock):
    query = add_comparisons(store, 1)[0]
    assert lease(store, "ann", overlap=2) == [query.id]
    assert lease(store, "ben", overlap=2) == [query.id]
    assert lease(store, "cid", overlap=2) == []
    post(store, make_answer(query), overlap=2)
    assert lease(store, "ann", overlap=2) == []
    assert lease(store, "cid", overlap=2) == []
    post(store, make_answer(query, "b", annotator="ben"), overlap=2)
    with pytest.raises(ConflictError, match="ran out"):
        post(store, make_answer(query, "c", annotator="cid"), overlap=2)
    assert lease(store, "cid", overlap=3) == [query.id]


def test_nobody_answers_a_query_twice_but_the_same_answer_may_come_again(store, clock):
    query = add_comparisons(store, 1)[0]
    assert post(store, make_answer(query)) == [1]
    assert post(store, make_answer(query)) == [1]
    with pytest.raises(ConflictError, match="has an answer of ann already"):
        post(store, make_answer(query, "another"), overlap=5)


def test_a_lease_given_back_is_free_at_once(store, clock):
    query = add_comparisons(store, 1)[0]
    lease(store, "ann")
    store.give_back("ben", [query.id])
    assert lease(store, "ben") == []
    store.give_back("ann", [query.id])
    assert lease(store, "ben") == [query.id]


def test_posts_in_one_transaction_are_kept_or_refused_one_by_one(store, clock):
    one, two = add_comparisons(store, 2)
    stranger = make_answer(two, annotator="nobody")
    posts = [[make_answer(one)], [make_answer(two), stranger], [make_answer(two, "b", annotator="ben")]]
    posts += [[make_answer(one)], [make_answer(one, choice="right")], [make_answer(one, "c", annotator="cid")]]
    kept, refused, other, again, changed, late = store.add_posts(posts, overlap=1)
    assert (kept, other, again) == ([1], [2], [1])
    assert isinstance(refused, DataError)
    assert str(refused).startswith("feedback[1].annotator: 'nobody' is unknown")
    assert isinstance(changed, ConflictError)
    assert "another body" in str(changed)
    assert isinstance(late, ConflictError)
    assert [answer.annotator for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == ["ann", "ben"]


def test_many_at_once_never_share_a_place(store):
    add_comparisons(store, 30)
    names = [f"person-{index}" for index in range(8)]
    taken: Counter[str] = Counter()
    lock = threading.Lock()

    def work(name: str) -> None:
        store.add_annotator(name, "person")
        while found := store.lease(name, 3, overlap=2, duration_s=HOUR_S):
            answers = [make_answer(held.query, name, annotator=name) for held in found]
            outcomes = store.add_posts([[answer] for answer in answers], overlap=2)
            with lock:
                taken.update(answer.query_id for answer, outcome in zip(answers, outcomes, strict=True) if outcome)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken.values()) == [2] * 30
    assert store.counts()["feedback"] == 60


def test_an_unknown_annotator_is_refused(store):
    with pytest.raises(DataError, match="annotator: 'nobody' is unknown"):
        lease(store, "nobody")


def post(store: Store, answer, *, overlap: int = 1) -> list[int]:
    (outcome,) = store.add_posts([[answer]], overlap=overlap)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.mark.parametrize("hours", [-100, -1, 1, 100])
def test_a_clock_that_jumps_loses_nothing_and_asks_nobody_twice(store, clock, hours):
    first, second, third = add_comparisons(store, 3)
    assert lease(store, "ann") == [first.id, second.id]
    post(store, make_answer(first))
    clock.now_s += hours * HOUR_S
    # Whatever the clock says: nobody took it meanwhile, so the answer is taken.
    post(store, make_answer(second))
    assert lease(store, "ann", 3) == [third.id]
    clock.now_s -= 2 * hours * HOUR_S
    assert lease(store, "ann", 3) == [third.id]
    post(store, make_answer(third))
    assert lease(store, "ann", 3) == []
    assert [answer.query_id for _, answer in store.feedback_after(0, limit=9, up_to_step=None)] == [
        first.id,
        second.id,
        third.id,
    ]


def test_after_a_jump_back_a_lease_blocks_its_query_no_longer_than_a_new_one_would(store, clock):
    (query,) = add_comparisons(store, 1)
    lease(store, "ann")
    clock.now_s -= 10 * HOUR_S
    assert lease(store, "ben") == [], "ann may be at work on it"
    clock.now_s += 0.9 * HOUR_S
    assert lease(store, "ben") == []
    clock.now_s += 0.2 * HOUR_S
    assert lease(store, "ben") == [query.id]
    with pytest.raises(ConflictError, match="ran out"):
        post(store, make_answer(query))
    post(store, make_answer(query, annotator="ben"))


def test_a_clock_that_jumps_about_while_many_answer(store, clock):
    add_comparisons(store, 20)
    jumps = [7.0, -50.0, 0.0, 49.0, -6.0, 300.0, -300.0]
    asked: Counter[tuple[str, str]] = Counter()
    for turn in range(200):
        clock.now_s += jumps[turn % len(jumps)] * HOUR_S
        name = ("ann", "ben", "cid")[turn % 3]
        held = lease(store, name, 2, overlap=2)
        if not held and turn > 100:
            continue
        for query in store.queries(held[:1]):
            asked[query.id, name] += 1
            post(store, make_answer(query, name, annotator=name), overlap=2)
    assert set(asked.values()) == {1}, "nobody answers a query twice"
    given = store.feedback_after(0, limit=10**4, up_to_step=None)
    assert Counter(answer.query_id for _, answer in given).keys() == {query for query, _ in asked}
    assert sorted(Counter(answer.query_id for _, answer in given).values()) == [2] * 20
