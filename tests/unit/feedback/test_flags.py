"""Flags on content: who chose not to see such is not asked, and who flagged it is not asked again."""

import pytest

from heeler.core.errors import DataError, StoreError
from heeler.feedback.flags import CATEGORIES
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons, make_answer


def asked(store: Store, annotator: str, avoid: tuple[str, ...] = (), limit: int = 9) -> list[str]:
    leases = store.lease(annotator, limit, overlap=5, duration_s=60, avoid=avoid)
    return [lease.query.id for lease in leases]


@pytest.fixture
def ids(store: Store) -> list[str]:
    store.add_annotator("ben", "person")
    return [query.id for query in add_comparisons(store, 3)]


def test_a_flagged_query_goes_only_to_those_who_do_not_avoid_it(store: Store, ids: list[str]) -> None:
    store.flags.add(ids[1], "asker", "violence")
    assert asked(store, "ann", ("violence", "hate")) == [ids[0], ids[2]]
    assert asked(store, "ben", ("hate",)) == ids


def test_what_is_held_is_let_go_of_once_it_is_flagged(store: Store, ids: list[str]) -> None:
    assert asked(store, "ann", CATEGORIES) == ids
    store.flags.add(ids[0], "ben", "sexual")
    assert asked(store, "ann", CATEGORIES) == ids[1:]
    assert set(asked(store, "ann", ())) == set(ids), "they changed their mind"


def test_who_flags_gives_the_query_back_and_is_not_asked_it_again(store: Store, ids: list[str]) -> None:
    assert store.lease("ann", 1, overlap=1, duration_s=60)[0].query.id == ids[0]
    store.flags.add(ids[0], "ann", "other", "mail jo@example.org")
    # With an overlap of one, somebody else gets it at once.
    assert store.lease("ben", 1, overlap=1, duration_s=60)[0].query.id == ids[0]
    assert asked(store, "ann") == ids[1:]
    (flag,) = store.flags.page(limit=9)
    assert (flag.query_id, flag.annotator, flag.category, flag.note) == (ids[0], "ann", "other", "mail [e-mail]")


def test_the_same_flag_again_changes_nothing_and_can_be_taken_away(store: Store, ids: list[str]) -> None:
    notes: list[int] = []
    for _ in range(2):
        store.flags.add(ids[0], "ann", "hate", "first", before_commit=lambda: notes.append(1))
    assert notes == [1]
    store.flags.add(ids[0], "ben", "hate")
    store.flags.add(ids[2], "ann", "hate")
    found = store.flags.page(limit=2)
    last = found[-1]
    rest = store.flags.page(after=(last.query_id, last.annotator, last.category), limit=2)
    assert {(f.query_id, f.annotator) for f in [*found, *rest]} == {(ids[0], "ann"), (ids[0], "ben"), (ids[2], "ann")}
    assert len(found) + len(rest) == 3
    assert store.flags.remove(ids[0], "hate", before_commit=lambda: notes.append(2))
    assert not store.flags.remove(ids[0], "hate", before_commit=lambda: notes.append(3))
    assert notes == [1, 2]
    assert asked(store, "ann", CATEGORIES) == ids[:2]


def test_what_cannot_be_flagged_is_refused_by_field(store: Store, ids: list[str]) -> None:
    for query_id, category, note, message in (
        ("nope", "hate", "", "query_id: no query 'nope'"),
        (ids[0], "sexal", "", "category: expected one of .* Did you mean 'sexual'"),
        (ids[0], "hate", "x" * 1001, "note: expected at most 1000"),
        (ids[0], "hate", "\0", "note: expected text without NUL"),
    ):
        with pytest.raises(DataError, match=message):
            store.flags.add(query_id, "ann", category, note)

    def fail() -> None:
        raise StoreError("audit log: full")

    with pytest.raises(StoreError, match="full"):
        store.flags.add(ids[0], "ann", "hate", before_commit=fail)
    assert store.flags.page(limit=9) == []


def test_what_is_set_aside_is_asked_of_nobody_until_it_is_put_back(store: Store, ids: list[str]) -> None:
    notes: list[str] = []
    assert asked(store, "ben", limit=1) == ids[:1]
    for _ in range(2):
        store.flags.set_aside(ids[0], "admin", before_commit=lambda: notes.append("aside"))
    assert notes == ["aside"]
    assert asked(store, "ben") == asked(store, "ann") == ids[1:], "who held it holds it no longer"
    (aside,) = store.flags.set_aside_page(limit=9)
    assert (aside.query_id, aside.person) == (ids[0], "admin")
    assert store.flags.set_aside_page(after=ids[0], limit=9) == []
    assert store.flags.is_set_aside(ids[0])
    assert not store.flags.is_set_aside(ids[1])
    assert store.flags.page(limit=9) == [], "it is no report of anybody"
    assert not store.flags.remove(ids[0], "set-aside"), "nor dismissed like one"
    assert store.flags.put_back(ids[0], before_commit=lambda: notes.append("back"))
    assert not store.flags.put_back(ids[0], before_commit=lambda: notes.append("again"))
    assert notes == ["aside", "back"]
    assert set(asked(store, "ben")) == set(ids)


def test_nobody_waits_for_an_answer_to_what_is_set_aside(store: Store, ids: list[str]) -> None:
    queries = store.queries(ids)
    store.add_feedback([make_answer(queries[1], annotator="ann")])
    for query_id in ids[:2]:
        store.flags.set_aside(query_id, "admin")
    assert [query.id for query in store.open_queries(9)] == ids[2:]
    assert store.answering()[0] == 1
    assert store.flags.num_given_up() == 1, "the other one has its answer"
    # It was on its way.
    store.add_feedback([make_answer(queries[0], annotator="ann")])
    assert store.flags.num_given_up() == 0


def test_what_cannot_be_set_aside_is_refused(store: Store, ids: list[str]) -> None:
    with pytest.raises(DataError, match="query_id: no query 'nope'"):
        store.flags.set_aside("nope", "admin")

    def fail() -> None:
        raise StoreError("audit log: full")

    with pytest.raises(StoreError, match="full"):
        store.flags.set_aside(ids[0], "admin", before_commit=fail)
    assert not store.flags.is_set_aside(ids[0])
