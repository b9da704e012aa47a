"""Posts that wait share a commit; each is told of its own outcome, after the commit and not before."""

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence

import pytest

from heeler.core.errors import ConflictError, StoreAway, StoreError
from heeler.core.nouns import Feedback
from heeler.service import group_commit
from heeler.service.group_commit import GroupCommit, Post
from heeler.service.problems import Problem
from tests.unit.feedback.helpers import add_comparisons, make_answer, open_store


def post(name: str, number: int = 1) -> list[Feedback]:
    return [
        Feedback(key=f"{name}-{n}", query_id="q", kind="preference", value={}, annotator="ann") for n in range(number)
    ]


class Writer:
    """Keeps posts when it is let; those that are called bad it refuses, and on one that is called poison it fails."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.groups: list[list[str]] = []
        self.has_begun = threading.Event()
        self.fails: Exception | None = None

    def __call__(self, posts: Sequence[Post]) -> list:
        self.has_begun.set()
        assert self.go_on.wait(10)
        if self.fails is not None:
            raise self.fails
        names = [post[0].key for post in posts]
        if any(name.startswith("poison") for name in names):
            raise ZeroDivisionError("a mistake of ours")
        self.groups.append(names)
        return [
            ConflictError(post[0].key) if post[0].key.startswith("bad") else list(range(len(post))) for post in posts
        ]


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def commits(writer):
    made = GroupCommit(writer, max_waiting=10, max_answers=4)
    yield made
    writer.go_on.set()
    made.close()


async def until(condition) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen in time")


def test_what_comes_while_one_commits_shares_the_next(writer, commits):
    async def run() -> None:
        writer.go_on.clear()
        first = asyncio.create_task(commits.submit(post("first")))
        await until(writer.has_begun.is_set)
        rest = [asyncio.create_task(commits.submit(post(f"p{n}"))) for n in range(3)]
        await asyncio.sleep(0.05)
        assert not first.done(), "it is told after the commit"
        assert not any(task.done() for task in rest)
        writer.go_on.set()
        assert await first == [0]
        assert await asyncio.gather(*rest) == [[0]] * 3

    asyncio.run(run())
    assert writer.groups == [["first-0"], ["p0-0", "p1-0", "p2-0"]]


def test_a_group_has_a_size_and_a_post_is_never_split(writer, commits):
    async def run() -> None:
        writer.go_on.clear()
        tasks = [asyncio.create_task(commits.submit(post("first")))]
        await until(writer.has_begun.is_set)
        for name, number in (("a", 3), ("b", 2), ("c", 5)):
            tasks.append(asyncio.create_task(commits.submit(post(name, number))))
            await asyncio.sleep(0)
        writer.go_on.set()
        assert [len(found) for found in await asyncio.gather(*tasks)] == [1, 3, 2, 5]

    asyncio.run(run())
    assert writer.groups == [["first-0"], ["a-0"], ["b-0"], ["c-0"]]


def test_a_post_that_is_refused_touches_no_other(writer, commits):
    async def run() -> list:
        writer.go_on.clear()
        first = asyncio.create_task(commits.submit(post("first")))
        await until(writer.has_begun.is_set)
        rest = [asyncio.create_task(commits.submit(post(name))) for name in ("a", "bad", "poison", "b")]
        await asyncio.sleep(0.02)
        writer.go_on.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    first, a, bad, poison, b = asyncio.run(run())
    assert (first, a, b) == ([0], [0], [0])
    assert isinstance(bad, ConflictError)
    assert isinstance(poison, StoreError)
    assert "mistake" not in str(poison)


def test_a_store_that_cannot_be_written_is_told_to_all_and_works_again_later(writer, commits):
    async def run() -> None:
        writer.fails = StoreError("the disk is full")
        found = await asyncio.gather(*(commits.submit(post(f"p{n}")) for n in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["the disk is full"] * 3
        writer.fails = None
        assert await commits.submit(post("p0")) == [0]

    asyncio.run(run())


def test_a_server_that_is_away_holds_nobody_up_twice(writer, commits, monkeypatch):
    """Each try may take seconds: who waited for one that failed does not wait for another."""
    clock = [100.0]
    monkeypatch.setattr(group_commit.time, "monotonic", lambda: clock[0])

    async def run() -> None:
        writer.fails = StoreAway("it cannot be reached")
        with pytest.raises(StoreAway):
            await commits.submit(post("first"))
        writer.fails = None
        with pytest.raises(StoreAway, match="it cannot be reached"):
            await commits.submit(post("early"))
        assert writer.groups == []
        clock[0] += 0.6
        assert await commits.submit(post("later")) == [0]
        assert await commits.submit(post("next")) == [0]

    asyncio.run(run())
    assert writer.groups == [["later-0"], ["next-0"]]


def test_too_much_is_refused_and_told_when_to_come_back(writer, commits):
    async def run() -> None:
        writer.go_on.clear()
        first = asyncio.create_task(commits.submit(post("first")))
        await until(writer.has_begun.is_set)
        waiting = [asyncio.create_task(commits.submit(post(f"p{n}", 5))) for n in range(2)]
        await asyncio.sleep(0.02)
        with pytest.raises(Problem, match="10 answers wait") as caught:
            await commits.submit(post("late"))
        assert caught.value.response().headers["retry-after"] == "2"
        assert caught.value.status == 503
        writer.go_on.set()
        await asyncio.gather(first, *waiting)
        assert await commits.submit(post("late")) == [0]

    asyncio.run(run())


def test_one_that_is_larger_than_the_queue_is_taken_when_nothing_waits(writer, commits):
    assert len(asyncio.run(commits.submit(post("large", 50)))) == 50


def test_who_has_gone_is_forgotten_and_the_answer_kept(writer, commits):
    async def run() -> None:
        writer.go_on.clear()
        gone = asyncio.create_task(commits.submit(post("gone")))
        await until(writer.has_begun.is_set)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        writer.go_on.set()
        assert await commits.submit(post("next")) == [0]

    asyncio.run(run())
    assert writer.groups == [["gone-0"], ["next-0"]]


def test_a_clock_that_jumps_about_holds_nobody_up_and_loses_nothing(tmp_path, monkeypatch):
    """Hours and years, ahead and back, at every look: each post is told its own positions, in the order it came."""
    jumps, looks, real_time = (7.0, -5e4, 0.0, 4.9e4, -6.0, 3e5, -3e5), itertools.count(), time.time

    def jumping() -> float:
        return real_time() + 3600.0 * jumps[next(looks) % len(jumps)]

    with open_store(tmp_path) as store:
        queries = add_comparisons(store, 60)
        monkeypatch.setattr(time, "time", jumping)
        commits = GroupCommit(lambda posts: store.add_posts(posts, overlap=1), max_waiting=500, max_answers=7)

        async def run() -> list[list[int]]:
            posts = [[make_answer(query)] for query in queries]
            first = await asyncio.wait_for(asyncio.gather(*map(commits.submit, posts)), timeout=30)
            again = await asyncio.wait_for(asyncio.gather(*map(commits.submit, posts)), timeout=30)
            assert again == first, "the same posts are the same answers, whatever the clock says"
            return first

        positions = asyncio.run(run())
        commits.close()
        monkeypatch.undo()
        assert next(looks) > 10, "the clock was looked at"
        assert [position for (position,) in positions] == list(range(1, 61))
        kept = store.feedback_after(0, limit=99, up_to_step=None)
        assert [(position, answer.query_id) for position, answer in kept] == list(
            enumerate((query.id for query in queries), start=1)
        )


def test_closing_writes_what_waits_and_takes_no_more(writer, commits):
    async def run() -> None:
        writer.go_on.clear()
        tasks = [asyncio.create_task(commits.submit(post(f"p{n}"))) for n in range(3)]
        await until(writer.has_begun.is_set)
        closing = asyncio.create_task(asyncio.to_thread(commits.close))
        await until(lambda: commits._closing)
        with pytest.raises(Problem, match="is stopping"):
            await commits.submit(post("late"))
        writer.go_on.set()
        assert await asyncio.gather(*tasks) == [[0]] * 3
        await closing

    asyncio.run(run())
    assert [name for group in writer.groups for name in group] == ["p0-0", "p1-0", "p2-0"]
