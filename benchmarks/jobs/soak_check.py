"""What must hold of a run that was killed, looked at with the standard library and safetensors, not with heeler.

What the clients logged is compared with the rows of the store, the rows with what the learner's checkpoint says that it
took in, and with what its reward model holds.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

OUTCOMES = {"left": 0, "right": 1, "equal": 2}
Row = tuple[int, str, str, str, str, str, float]


@dataclass
class Told:
    """What the clients know."""

    sent: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Who sent which body, by key."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Positions by key."""
    refused: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What is wrong; all empty where nothing is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def add(self, more: "Findings") -> None:
        """Take in what is new; what was lost once is found again at every look."""
        for have, new in zip(vars(self).values(), vars(more).values(), strict=True):
            have += [one for one in new if one not in have]


def told(logs: Iterable[Path]) -> Told:
    """What stands in the clients' logs; a last line may be half written while they work."""
    found = Told()
    for path in logs:
        whole, _, _ = path.read_text().rpartition("\n")
        for line in whole.split("\n") if whole else []:
            _take(found, json.loads(line))
    return found


def _take(found: Told, line: dict[str, Any]) -> None:
    match line["event"]:
        case "sent":
            found.sent |= {body["key"]: (line["person"], body) for body in line["bodies"]}
        case "acknowledged":
            for key, position in line["receipts"]:
                if found.acknowledged.setdefault(key, position) != position:
                    found.faults.append(f"{key} was acknowledged at {found.acknowledged[key]} and at {position}")
        case "refused":
            found.refused.add(line["key"])
        case _:
            found.faults.append(json.dumps(line))


def rows(store: Path) -> list[Row]:
    """All answers, in order: position, key, query, kind, value, annotator, time taken."""
    columns = "position, key, query_id, kind, value, annotator, time_taken_s"
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(f"SELECT {columns} FROM feedback ORDER BY position").fetchall()


def check_store(store: Path, clients: Told, found: Findings) -> list[Row]:
    """Every acknowledged answer is there once, under its position, as it was sent; nothing else is there.

    Args:
        store: SQLite file.
        clients: what they knew before this is called.
        found: takes what is wrong.

    Returns:
        The rows.
    """
    answers = rows(store)
    by_key = {key: (position, rest) for position, key, *rest in answers}
    for key, position in clients.acknowledged.items():
        if key not in by_key:
            found.lost.append(f"{key} was acknowledged at {position} and is not in the store")
            continue
        person, body = clients.sent[key]
        kept_at, (query, kind, value, annotator, taken_s) = by_key[key]
        kept = (kept_at, annotator, query, kind, json.loads(str(value)), taken_s)
        sent = (position, person, body["query_id"], body["kind"], body["value"], body["time_taken_s"])
        if kept != sent:
            found.lost.append(f"{key} was acknowledged as {sent} and is in the store as {kept}")
    found.doubled += [f"key {key} stands {n} times" for key, n in Counter(row[1] for row in answers).items() if n > 1]
    pairs = Counter((row[2], row[5]) for row in answers)
    found.doubled += [f"{who} answered {query} {n} times" for (query, who), n in pairs.items() if n > 1]
    found.other += [f"{key} was refused and is in the store" for key in clients.refused & by_key.keys()]
    found.other += clients.faults
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as connection:
        for pragma in ("integrity_check", "foreign_key_check"):
            result = connection.execute(f"PRAGMA {pragma}").fetchall()
            if result not in ([], [("ok",)]):
                found.other.append(f"{pragma}: {result[:5]}")
        wrong = connection.execute(
            "SELECT q.id FROM queries q LEFT JOIN feedback f ON f.query_id = q.id GROUP BY q.id "
            "HAVING q.num_answers <> COUNT(DISTINCT f.annotator)"
        ).fetchall()
        found.other += [f"query {query} counts its answers wrongly" for (query,) in wrong]
    return answers


def newest_checkpoint(run: Path) -> Path | None:
    """The one of the most steps; the learner must not be at work."""
    folders = [path for path in (run / "checkpoints").glob("step-*") if (path / "manifest.json").exists()]
    return max(folders, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def check_learner(checkpoint: Path, answers: Sequence[Row], found: Findings) -> int:
    """The learner took in the first answer to each query up to its position, each once, and trains on those; where it
    models who answers, on all others too.

    Args:
        checkpoint: its folder.
        answers: of the store.
        found: takes what is wrong.

    Returns:
        The position up to which it has read.
    """
    state = json.loads((checkpoint / "state.json").read_text())["preferences"]
    _, num_answered, num_cant_tell, _, position = state["counts"]
    read = {place: (query, json.loads(value)["choice"]) for place, _, query, _, value, _, _ in answers}
    read = {place: answer for place, answer in read.items() if place <= position}
    first: dict[str, str] = {}
    for query, choice in read.values():
        first.setdefault(query, choice)
    taken = Counter(state["answered"])
    found.lost += [f"the learner read past {query} and did not take it in" for query in first.keys() - taken.keys()]
    found.other += [f"the learner took in {query}, which has no answer" for query in taken.keys() - first.keys()]
    found.doubled += [f"the learner took in {query} {number} times" for query, number in taken.items() if number > 1]
    useful = [OUTCOMES[choice] for choice in first.values() if choice != "cant_tell"]
    counted = (num_answered, num_answered - num_cant_tell)
    _compare("the learner's counts", counted, (len(first), len(useful)), found)
    learned = [place for place, _ in state["taken"]]
    if state["people"] is not None:
        useful = [OUTCOMES[choice] for _, choice in read.values() if choice != "cant_tell"]
    _compare("answers that are learned from", (len(learned),), (len(useful),), found)
    found.doubled += [f"answer {place} is learned from {n} times" for place, n in Counter(learned).items() if n > 1]
    name = "preferences.comparisons.outcome_Q"
    held = load_file(checkpoint / "tensors.safetensors").get(name)
    fitted = [] if held is None else held.tolist()
    _compare("comparisons of the reward model", (len(fitted),), (len(learned),), found)
    if fitted != [OUTCOMES.get(read[place][1]) for place in learned if place in read]:
        found.other.append("the reward model holds other answers than the store, or in another order")
    return position


def _compare(what: str, have: tuple[int, ...], expected: tuple[int, ...], found: Findings) -> None:
    if have != expected:
        side = found.doubled if sum(have) > sum(expected) else found.lost
        side.append(f"{what}: {have}, where the store has {expected}")


def consumed(store: Path) -> int:
    """How far the learner says in the store that it has read."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as connection:
        row = connection.execute("SELECT position FROM consumers WHERE name = 'learner'").fetchone()
    return 0 if row is None else int(row[0])


def check_audit(log: Path, num_answers: int, found: Findings) -> None:
    """The log names as many answers as there are, at the least: each line is written before its commit."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    named = sum(sum(line["details"]["by"].values()) for line in lines if line["act"] == "feedback.add")
    if named < num_answers:
        found.other.append(f"the audit log names {named} answers, the store has {num_answers}")
