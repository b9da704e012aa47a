"""Flags on content: who chose not to see such is not asked, and who flagged it is not asked again."""

import pytest

from heeler.core.errors import DataError, StoreError
from heeler.feedback.flags import CATEGORIES
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import add_comparisons


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
