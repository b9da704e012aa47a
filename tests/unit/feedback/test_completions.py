"""Answers of chats in the store: found by who was given them alone, and marks that keep parts in their place."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.core.privacy import redact
from heeler.feedback.completions import CHAT, Completion, kept_part
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_text


def completion(segment_id: str, name: str, **changes: Any) -> Completion:
    fields: dict[str, Any] = {
        "id": name,
        "choice": 0,
        "segment_id": segment_id,
        "annotator": "ann",
        "conversation": None,
        "title": "ö",
        "marks": ((0, 3, 8),),
        "created_unix_s": 1.5,
    }
    return Completion(**(fields | changes))


def test_only_who_was_given_an_answer_finds_it(store: Store) -> None:
    (segment,) = store.add_segments([make_text("blue")])
    one = completion(segment, "one")
    store.completions.add([one, completion(segment, "one", choice=1)])
    assert store.completions.get("one", 0, "ann") == one
    assert [found.choice for found in store.completions.choices("one", "ann")] == [0, 1]
    assert store.completions.get("one", 2, "ann") is None
    assert store.completions.get("one", 0, "ben") is None
    with pytest.raises(DataError, match="unknown, or was forgotten"):
        store.completions.add([completion(segment, "two", annotator="nobody")])


def test_conversations_come_the_newest_first(store: Store) -> None:
    (segment,) = store.add_segments([make_text("blue")])
    names = [("a", "x"), ("b", "y"), ("c", "x"), ("d", None)]
    store.completions.add([completion(segment, name, conversation=talk) for name, talk in names])
    found = store.completions.conversations("ann", limit=9, before=None)
    assert [one.id for _, one in found] == ["c", "b"]
    assert [one.id for _, one in store.completions.conversations("ann", limit=9, before=found[0][0])] == ["b"]
    assert [one.id for one in store.completions.of_conversation("ann", "x")] == ["a", "c"]


def test_nobody_is_asked_about_somebody_elses_chat(store: Store) -> None:
    (segment,) = store.add_segments([make_text("blue")])
    query = Query(id="q", kind="rating", segment_ids=(segment,), policy_version=0, asked_step=0, acquisition=CHAT)
    store.add_queries([query])
    assert store.lease("ann", 9, overlap=9, duration_s=60) == []
    assert store.open_queries(9) == []
    assert store.answering() == (0, None)
    store.add_feedback([make_answer(query, value={"score": 1.0, "low": 0.0, "high": 2.0})])
    assert store.work.after(0, limit=9) == []
    assert store.counts()["feedback"] == 1


def test_what_two_people_were_given_outlives_one_of_them(store: Store) -> None:
    (segment,) = store.add_segments([make_text("blue")])
    store.add_annotator("ben", "person")
    store.completions.add([completion(segment, "one"), completion(segment, "two", annotator="ben")])
    store.withdrawals.forget("ann", "remove")
    assert store.segment(segment) == make_text("blue")
    store.withdrawals.forget("ben", "keep")
    with pytest.raises(DataError):
        store.segment(segment)


PIECES = ["jo@example.org", "call 030 1234567", " ", "x", "😀", "and so on. ", "+49 30 1234567", "[e-mail]", "10.0.0.1"]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.data())
def test_a_part_is_found_again_in_what_was_kept(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    redacted = redact(text)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    # A part without a letter has no place that could be told from the mark around it.
    assume(start < end)
    kept_start, kept_end = kept_part(redacted.cuts, start, end)
    assert 0 <= kept_start <= kept_end <= len(redacted.text)
    # Letter by letter: what was not taken out stands in its place, what was is covered by its mark.
    expected = ""
    for place in range(start, end):
        hit = next(((a, b, n) for a, b, n in redacted.cuts if a <= place < b), None)
        if hit is None:
            expected += text[place]
        elif place in (start, hit[0]):
            at = kept_part(redacted.cuts, hit[0], hit[0])[0]
            expected += redacted.text[at : at + hit[2]]
    assert redacted.text[kept_start:kept_end] == expected
    assert kept_part(redacted.cuts, 0, len(text)) == (0, len(redacted.text))
