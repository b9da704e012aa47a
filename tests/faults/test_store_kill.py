"""The store under SIGKILL and under rivals: what was acknowledged is there, and nothing is there in part."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import text

from heeler.feedback.database import Database
from heeler.feedback.store import Store
from tests.conftest import Homes
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer

# Each step brings in segments, a query and its answer, and prints the answer's key once it was acknowledged.
WRITER = """
import sys
from pathlib import Path
from tests.unit.feedback.helpers import make_answer, make_query, make_segment, open_store

folder, target, place = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = open_store(folder, target)
while True:
    ids = store.add_segments([make_segment(2 * place), make_segment(2 * place + 1)])
    query = make_query(place, *ids)
    store.add_queries([query])
    answer = make_answer(query, value={"choice": "left"})
    (position,) = store.add_feedback([answer])
    store.set_consumed("learner", position)
    print(answer.key, position, flush=True)
    place += 1
"""

OPENER = """
import sys
from pathlib import Path
from heeler.feedback.store import Store

print("ready", flush=True)
sys.stdin.readline()
Store.open(sys.argv[2], segments_dir=Path(sys.argv[1]) / "segments")
print("open", flush=True)
sys.stdin.readline()
"""

# Posts the answers of its share of the queries one by one, some of them twice, and prints key and position.
POSTER = """
import random, sys
from pathlib import Path
from tests.unit.feedback.helpers import make_answer, open_store

folder, target, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = open_store(folder, target)
answers = [make_answer(query) for query in store.open_queries(1000)]
random.Random(seed).shuffle(answers)
print("ready", flush=True)
sys.stdin.readline()
for answer in answers + answers[:5]:
    (position,) = store.add_feedback([answer])
    print(answer.key, position, flush=True)
store.close()
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def kill(process: subprocess.Popen[str]) -> str:
    """Kill it without warning; what it had printed and nobody had read."""
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    return rest


def check_whole(home: Home) -> None:
    """Nothing is damaged, every reference holds, and every segment's file is there and unaltered."""
    if home.is_file:
        connection = sqlite3.connect(home.target)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
    database = Database(home.target)
    with database.reading() as connection:
        ids = connection.execute(text("SELECT id FROM segments")).scalars().all()
        shown = connection.execute(text("SELECT count(*) FROM query_segments GROUP BY query_id")).scalars().all()
    database.close()
    assert set(shown) <= {2}
    with Store.open(home.target, segments_dir=home.segments) as store:
        assert set(store.segments(ids)) == set(ids)


def acknowledged(lines: Sequence[str]) -> dict[str, int]:
    # The last line of a killed process may be torn; its answer was committed, but nobody was told.
    return {key: int(position) for key, position in (line.split() for line in lines if line.endswith("\n"))}


def test_every_acknowledged_answer_outlives_a_kill(home: Home) -> None:
    moments = random.Random(0)
    told: dict[str, int] = {}
    for attempt in range(5):
        writer = start(WRITER, home.folder, home.target, 1000 * attempt)
        lines = [writer.stdout.readline() for _ in range(3)]
        time.sleep(moments.uniform(0, 0.15))
        told |= acknowledged(lines + kill(writer).splitlines(keepends=True))
        check_whole(home)
    assert len(told) >= 15
    with home.open() as store:
        kept = {answer.key: position for position, answer in store.feedback_after(0, limit=10**6, up_to_step=None)}
        assert {key: kept[key] for key in told} == told
        # At most the answer of each kill whose acknowledgement was still on its way.
        assert len(kept) <= len(told) + 5
        assert store.consumed("learner") in (max(kept.values()), max(kept.values()) - 1)


def test_a_kill_while_the_store_is_made_leaves_nothing_in_part(homes: Homes) -> None:
    moments = random.Random(1)
    with ExitStack() as stack:
        places = [stack.enter_context(homes()) for _ in range(4)]
        openers = [start(OPENER, home.folder, home.target) for home in places]
        check_killed_while_made(places, openers, moments)


def check_killed_while_made(
    places: Sequence[Home], openers: Sequence[subprocess.Popen[str]], moments: random.Random
) -> None:
    for home, opener in zip(places, openers, strict=True):
        assert opener.stdout.readline() == "ready\n"
        opener.stdin.write("go\n")
        opener.stdin.flush()
        time.sleep(moments.uniform(0, 0.08))
        kill(opener)
        with home.open() as store:
            assert store.add_feedback([make_answer(query) for query in add_comparisons(store, 2)]) == [1, 2]
        check_whole(home)


def test_two_processes_may_make_the_same_store(home: Home) -> None:
    openers = [start(OPENER, home.folder, home.target) for _ in range(2)]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        assert opener.stdout.readline() == "open\n"
    for opener in openers:
        kill(opener)
    check_whole(home)


def test_two_processes_may_post_at_once(home: Home) -> None:
    with home.open() as store:
        queries = add_comparisons(store, 60)
    posters = [start(POSTER, home.folder, home.target, seed) for seed in range(2)]
    for poster in posters:
        assert poster.stdout.readline() == "ready\n"
    for poster in posters:
        poster.stdin.write("go\n")
        poster.stdin.flush()
    told = []
    for poster in posters:
        output, _ = poster.communicate(timeout=60)
        assert poster.returncode == 0
        assert len(output.splitlines()) == 65
        told.append(acknowledged(output.splitlines(keepends=True)))
    # Both were told the same position for the same answer, and each answer is there once.
    assert told[0] == told[1]
    assert sorted(told[0].values()) == list(range(1, 61))
    with home.open() as store:
        kept = {answer.key: position for position, answer in store.feedback_after(0, limit=1000, up_to_step=None)}
        assert kept == told[0]
        assert store.open_queries(1) == []
        assert store.query_count() == len(queries)
    check_whole(home)
