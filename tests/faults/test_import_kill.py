"""Imports that are killed, and imports while others write: all of a file or none of it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from heeler.core.nouns import stable_id
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import add_comparisons, make_answer, new_store, open_store
from tests.unit.feedback.transfer_helpers import everything, filled_store

IMPORTER = """
import sys
from pathlib import Path
from heeler.feedback.store import Store
from heeler.feedback.transfer import import_feedback

folder, file = Path(sys.argv[1]), sys.argv[2]
with Store.open(folder / "heeler.db", segments_dir=folder / "segments") as store:
    print("open", flush=True)
    print(import_feedback(store, file, "jsonl").num_answers, flush=True)
"""

# For every n a child that dies at the n-th statement that would change the store, or at the commit after the last of
# them; a fork, as to load what it needs takes longer than the import. Prints how many died before one lived.
DYING = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from heeler.feedback.store import Store
from heeler.feedback.transfer import import_feedback

def take_in(folder: Path, left: int) -> None:
    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(connection, cursor, statement, parameters, context, many):
        if connection.engine.url.database and statement.startswith("INSERT"):
            die()

    with Store.open(folder / "heeler.db", segments_dir=folder / "segments") as store:
        event.listen(Engine, "before_cursor_execute", before)
        event.listen(Engine, "commit", lambda connection: connection.engine.url.database and die())
        import_feedback(store, sys.argv[2], "jsonl")

for number in range(20):
    child = os.fork()
    if child == 0:
        take_in(Path(sys.argv[1]) / f"into-{number}", number)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        break
print(number)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def many_answers(folder: Path, num: int) -> str:
    """A file with so many answers to two queries of a store that is made in the folder."""
    with open_store(folder) as store:
        queries = add_comparisons(store, 2)
    row = {"kind": "preference", "value": {"choice": "left"}, "annotator": "ann"}
    rows = ({"answer": {"key": stable_id(i), "query_id": queries[i % 2].id, **row}} for i in range(num))
    with (folder / "f.jsonl").open("w") as file:
        print(json.dumps({"heeler": "feedback", "format": 1, "num_answers": num}), file=file)
        for value in rows:
            print(json.dumps(value), file=file)
    return str(folder / "f.jsonl")


def test_an_import_that_is_killed_at_any_statement_leaves_nothing(tmp_path: Path) -> None:
    with filled_store(tmp_path / "from") as store:
        export_feedback(store, str(tmp_path / "f"), "jsonl")
        wanted = everything(store)
    folders = [tmp_path / f"into-{number}" for number in range(20)]
    for folder in folders:
        folder.mkdir()
        new_store(folder / "heeler.db", folder / "segments").close()
    printed, _ = start(DYING, tmp_path, tmp_path / "f").communicate(timeout=120)
    num_killed = int(printed)
    assert 5 < num_killed < 19
    lived = folders[num_killed]
    with Store.open(lived / "heeler.db", segments_dir=lived / "segments") as store:
        assert everything(store) == wanted
    for folder in folders[:num_killed]:
        with Store.open(folder / "heeler.db", segments_dir=folder / "segments") as store:
            assert (everything(store), store.query_count(), store.policy_versions()) == ([], 0, [])
            assert store.bulk.annotators() == {}
            assert import_feedback(store, str(tmp_path / "f"), "jsonl").num_answers == len(wanted)
            assert everything(store) == wanted


def sqlites_temporary_files() -> set[Path]:
    return {file for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp") for file in Path(folder).glob("etilqs_*")}


def test_an_import_that_is_killed_at_any_time_leaves_all_or_nothing(tmp_path: Path) -> None:
    file = many_answers(tmp_path, 6000)
    before = sqlites_temporary_files()
    for delay_s in (0.05, 0.3, 0.6, 0.9, 1.2):
        process = start(IMPORTER, tmp_path, file)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(delay_s)
        process.kill()
        process.communicate(timeout=60)
        with Store.open(tmp_path / "heeler.db", segments_dir=tmp_path / "segments") as store:
            assert store.counts()["feedback"] in (0, 6000)
    with Store.open(tmp_path / "heeler.db", segments_dir=tmp_path / "segments") as store:
        import_feedback(store, file, "jsonl")
        assert [answer.key for answer, _, _ in everything(store)] == [stable_id(i) for i in range(6000)]
    assert sqlites_temporary_files() <= before


def test_others_write_and_read_while_a_file_comes_in(tmp_path: Path) -> None:
    """As a run does that trains: it goes on, and sees all of the file at once."""
    file = many_answers(tmp_path, 6000)
    with Store.open(tmp_path / "heeler.db", segments_dir=tmp_path / "segments") as store:
        (query, _) = store.open_queries(2)
        process = start(IMPORTER, tmp_path, file)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        posted = 0
        while process.poll() is None:
            store.add_feedback([make_answer(query, f"live {posted}")])
            posted += 1
            assert (store.counts()["feedback"] - posted) in (0, 6000)
        assert process.communicate(timeout=60)[0] == "6000\n"
        assert posted > 3
        assert store.counts()["feedback"] == 6000 + posted
        imported = {stable_id(i) for i in range(6000)}
        places = [i for i, (answer, _, _) in enumerate(everything(store)) if answer.key in imported]
        assert places == list(range(places[0], places[0] + 6000))


def test_two_imports_of_one_file_at_once_bring_it_once(tmp_path: Path) -> None:
    file = many_answers(tmp_path, 3000)
    both = [start(IMPORTER, tmp_path, file) for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(int(text.split()[1]) for text in told) == 3000
    with Store.open(tmp_path / "heeler.db", segments_dir=tmp_path / "segments") as store:
        assert store.counts()["feedback"] == 3000
