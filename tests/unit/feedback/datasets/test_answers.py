"""What people answered in a run, as pairs, judged answers and demonstrations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import FeedbackKind, PolicyVersion, Query, TextSegment, stable_id
from heeler.feedback.datasets.answers import Answers
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_text

ONE, TWO, SHOWN = make_text("one"), make_text("two"), make_text("as it is done")
UP, DOWN = ({"marks": [{"time_s": 0.0, "sign": sign}]} for sign in (1, -1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "heeler.db", segments_dir=tmp_path / "segments") as opened:
        opened.add_policy_version(PolicyVersion(version=0, step=0))
        for name in ("ann", "bob"):
            opened.add_annotator(name, "person")
        opened.add_segments([ONE, TWO, SHOWN])
        yield opened


def say(
    store: Store, kind: FeedbackKind, value: dict[str, Any], *texts: TextSegment, by: str = "ann", asked: str = "random"
) -> None:
    """Somebody answers a question of their own about texts."""
    number = store.query_count()
    query = Query(
        id=stable_id("query", number),
        kind=kind,
        segment_ids=tuple(text.id for text in texts),
        policy_version=0,
        asked_step=0,
        acquisition=asked,
    )
    store.add_queries([query])
    store.add_feedback([make_answer(query, value=value, annotator=by)])


def say_everything(store: Store) -> None:
    say(store, "preference", {"choice": "right"}, ONE, TWO)
    say(store, "preference", {"choice": "equal"}, ONE, TWO)
    say(store, "preference", {"choice": "cant_tell"}, ONE, TWO)
    say(store, "correction", {"text": "better"}, ONE)
    say(store, "evaluation", UP, ONE)
    say(store, "evaluation", DOWN, TWO)
    say(store, "rating", {"score": 5.0, "low": 1.0, "high": 5.0}, ONE)
    say(store, "rating", {"score": 3.0, "low": 1.0, "high": 5.0}, ONE)
    say(store, "critique", {"text": "too long", "start": 0, "end": 3}, TWO)
    say(store, "demonstration", {"segment_id": SHOWN.id}, ONE)


def test_each_kind_of_answer_becomes_what_it_says(store: Store) -> None:
    say_everything(store)
    answers = Answers(store, "runs/talk")
    pairs = answers.pairs()
    assert [(pair.chosen, pair.rejected, pair.is_equal) for pair in pairs.items] == [
        ("two", "one", False),
        ("one", "two", True),
        ("better", "one", False),
    ]
    assert pairs.num_rows == 10
    assert pairs.dropped == {"it tells no two texts apart": 7}
    assert pairs.first_dropped == "answer 3 of runs/talk: it tells no two texts apart"
    judged = [(one.completion, one.is_good) for one in answers.judged().items]
    assert judged == [
        ("better", True),
        ("one", False),
        ("one", True),
        ("two", False),
        ("one", True),
        ("two", False),
    ]
    assert [one.completion for one in answers.demonstrations().items] == ["better", "as it is done"]
    assert {one.prompt for one in answers.demonstrations().items} == {ONE.prompt}
    assert answers.position == 10


def test_later_answers_and_those_that_nothing_is_learned_from_do_not_count(store: Store) -> None:
    say(store, "preference", {"choice": "left"}, ONE, TWO, asked="held_out")
    say(store, "preference", {"choice": "left"}, ONE, TWO)
    say(store, "preference", {"choice": "right"}, ONE, TWO)
    found = Answers(store, "run", up_to=2, without=("held_out",))
    assert [pair.place for pair in found.pairs().items] == ["answer 2"]
    assert Answers(store, "run").position == 3


def test_answers_of_people_who_were_forgotten_are_gone(store: Store) -> None:
    say(store, "correction", {"text": "by bob"}, ONE, by="bob")
    say(store, "correction", {"text": "by ann"}, ONE)
    store.withdrawals.forget("bob", "remove")
    assert [one.completion for one in Answers(store, "run").demonstrations().items] == ["by ann"]


def test_a_run_without_answers_of_the_kind_says_so(store: Store) -> None:
    say(store, "evaluation", UP, ONE)
    with pytest.raises(DataError, match="runs/talk: its 1 answers about texts hold no pairs"):
        Answers(store, "runs/talk").pairs()
    with pytest.raises(DataError, match="hold no demonstrations"):
        Answers(store, "runs/talk").demonstrations()
