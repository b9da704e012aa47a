"""What looks for lost and doubled answers finds them: each fault is made on purpose."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.jobs import soak_check
from benchmarks.jobs.soak_check import Findings, Told

ANSWERS = [("k1", "q1", "ann", "left"), ("k2", "q1", "bea", "right"), ("k3", "q2", "ann", "cant_tell")]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three answers, without the constraints that would refuse what is wrong."""
    path = tmp_path / "heeler.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE queries (id, num_answers)")
    connection.execute(
        "CREATE TABLE feedback (position INTEGER PRIMARY KEY, key, query_id, kind, value, annotator, time_taken_s)"
    )
    connection.executemany("INSERT INTO queries VALUES (?, ?)", [("q1", 2), ("q2", 1)])
    for key, query, person, choice in ANSWERS:
        row = (key, query, "preference", json.dumps({"choice": choice}), person, 1.5)
        connection.execute(
            "INSERT INTO feedback (key, query_id, kind, value, annotator, time_taken_s) VALUES (?, ?, ?, ?, ?, ?)", row
        )
    connection.commit()
    connection.close()
    return path


def log(path: Path, *, positions: dict[str, int]) -> Path:
    lines: list[dict[str, Any]] = []
    for key, query, person, choice in ANSWERS:
        body = {"key": key, "query_id": query, "kind": "preference", "value": {"choice": choice}, "time_taken_s": 1.5}
        lines.append({"event": "sent", "person": person, "bodies": [body]})
    lines.append({"event": "acknowledged", "receipts": list(positions.items())})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "half')
    return path


def told(tmp_path: Path) -> Told:
    return soak_check.told([log(tmp_path / "client.jsonl", positions={"k1": 1, "k2": 2, "k3": 3})])


def found_in(store: Path, clients: Told) -> Findings:
    found = Findings()
    soak_check.check_store(store, clients, found)
    return found


def test_nothing_is_found_where_nothing_is_wrong(tmp_path, store):
    assert found_in(store, told(tmp_path)) == Findings()


@pytest.mark.parametrize(
    ("change", "side"),
    [
        ("DELETE FROM feedback WHERE key = 'k2'", "lost"),
        ("UPDATE feedback SET position = 9 WHERE key = 'k3'", "lost"),
        ("UPDATE feedback SET annotator = 'cem' WHERE key = 'k3'", "lost"),
        ("UPDATE feedback SET value = '{\"choice\": \"equal\"}' WHERE key = 'k1'", "lost"),
        ("UPDATE feedback SET key = 'k1' WHERE key = 'k3'", "doubled"),
        ("UPDATE feedback SET annotator = 'ann' WHERE key = 'k2'", "doubled"),
        ("UPDATE queries SET num_answers = 5 WHERE id = 'q2'", "other"),
    ],
)
def test_what_is_wrong_in_a_store_is_found(tmp_path, store, change, side):
    with sqlite3.connect(store) as connection:
        connection.execute(change)
    connection.close()
    assert getattr(found_in(store, told(tmp_path)), side)


def test_what_the_clients_saw_is_found(tmp_path, store):
    clients = told(tmp_path)
    clients.refused.add("k1")
    clients.faults.append("500")
    assert len(found_in(store, clients).other) == 2
    twice = soak_check.told([log(tmp_path / "a", positions={"k1": 1}), log(tmp_path / "b", positions={"k1": 2})])
    assert twice.faults == ["k1 was acknowledged at 1 and at 2"]


def checkpoint(
    folder: Path, *, counts: list[int], answered: list[str], taken: list[int], outcome: list[int], people: Any
) -> Path:
    folder.mkdir()
    learned = [[place, ANSWERS[place - 1][1]] for place in taken]
    state = {"counts": counts, "answered": answered, "taken": learned, "people": people}
    (folder / "state.json").write_text(json.dumps({"preferences": state}))
    save_file({"preferences.comparisons.outcome_Q": np.array(outcome)}, folder / "tensors.safetensors")
    return folder


WHOLE = [2, 2, 1, 0, 3]


@pytest.mark.parametrize(
    ("counts", "answered", "taken", "outcome", "side"),
    [
        (WHOLE, ["q1", "q2"], [1], [0], None),
        ([2, 1, 0, 0, 2], ["q1"], [1], [0], None),
        ([2, 1, 0, 0, 3], ["q1"], [1], [0], "lost"),
        (WHOLE, ["q1", "q2"], [], [], "lost"),
        (WHOLE, ["q1", "q2"], [1], [], "lost"),
        (WHOLE, ["q1", "q2"], [1, 2], [0, 1], "doubled"),
        (WHOLE, ["q1", "q2"], [1], [0, 0], "doubled"),
        ([2, 3, 1, 0, 3], ["q1", "q2"], [1], [0], "doubled"),
        (WHOLE, ["q1", "q1", "q2"], [1], [0], "doubled"),
        (WHOLE, ["q1", "q2"], [1], [1], "other"),
        (WHOLE, ["q1", "q2", "q3"], [1], [0], "other"),
    ],
)
def test_what_a_learner_took_in_is_compared_with_the_store(tmp_path, store, counts, answered, taken, outcome, side):
    parts = {"counts": counts, "answered": answered, "taken": taken, "outcome": outcome, "people": None}
    compared(checkpoint(tmp_path / "step-1", **parts), store, counts[-1], side)


@pytest.mark.parametrize(
    ("taken", "outcome", "side"),
    [
        ([1, 2], [0, 1], None),
        ([2, 1], [1, 0], None),
        ([1], [0], "lost"),
        ([1, 1], [0, 0], "doubled"),
        ([1, 2, 2], [0, 1, 1], "doubled"),
        ([1, 2], [1, 0], "other"),
    ],
)
def test_where_it_matters_who_answers_every_answer_is_learned_from_once(tmp_path, store, taken, outcome, side):
    parts = {"counts": WHOLE, "answered": ["q1", "q2"], "taken": taken, "outcome": outcome, "people": {}}
    compared(checkpoint(tmp_path / "step-1", **parts), store, 3, side)


def compared(folder: Path, store: Path, position: int, side: str | None) -> None:
    found = Findings()
    assert soak_check.check_learner(folder, soak_check.rows(store), found) == position
    if side is None:
        assert found == Findings()
    else:
        assert getattr(found, side)


def test_what_is_found_twice_counts_once():
    found = Findings(lost=["a"])
    found.add(Findings(lost=["a", "b"], other=["c"]))
    assert found == Findings(lost=["a", "b"], other=["c"])
