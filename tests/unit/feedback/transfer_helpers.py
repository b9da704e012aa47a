"""Stores with feedback of every kind, and what of them an export must bring back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from heeler.core.nouns import Feedback, PolicyVersion, Query
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_query, make_segment, make_text, open_store, put_copy

VALUES: dict[str, list[dict[str, Any]]] = {
    "preference": [{"choice": choice} for choice in ("left", "right", "equal", "cant_tell")],
    "rating": [{"score": 4, "low": 1, "high": 5}, {"score": 0.1 + 0.2, "low": -1.0, "high": 7.0}],
    "evaluation": [{"marks": [{"time_s": 0.25, "sign": 1}, {"time_s": 1.5, "sign": -1}]}, {"marks": []}],
    "critique": [{"text": 'it falls – 落ちる, "quoted"\n\ud800', "start": 1, "end": 4}],
    "correction": [{"step": 3, "action": [0.5, -0.5]}, {"text": "a better text"}],
    "demonstration": [{"segment_id": ""}],
}


def filled_store(folder: Path) -> Store:
    """A store with two policies, three annotators and all kinds of feedback, in a folder that is made."""
    put_copy(folder, _fill)
    return open_store(folder)


def _fill(folder: Path) -> None:
    store = open_store(folder)
    store.add_policy_version(PolicyVersion(version=1, step=2048, checkpoint_sha256="ab" * 32))
    store.add_annotator("a program", "program", "reads – much")
    number = 0
    for kind, values in VALUES.items():
        for value in values:
            number += 1
            segments = [make_segment(10 * number + i, discrete=False, policy_version=i % 2) for i in range(3)]
            ids = store.add_segments([*segments, replace(make_segment(10 * number + 3), true_reward=None)])
            if kind == "correction" and "text" in value:
                ids = store.add_segments([make_text("a text – 文\n😀", policy_version=1)])
            query = make_query((kind, number), *ids[: 2 if kind == "preference" else 1], kind=kind, asked_step=number)
            store.add_queries([replace(query, acquisition="entropy", score=0.1 * number)])
            value = {"segment_id": ids[3]} if kind == "demonstration" else value
            store.add_feedback(
                [
                    make_answer(query, "person", value=value, time_taken_s=0.1 * number, confidence=0.75),
                    make_answer(query, "simulated", value=value, answered_step=100 * number),
                ]
            )
            if number % 2:
                store.add_feedback([make_answer(query, "program", value=value, annotator="a program")])
    store.close()


def everything(store: Store) -> list[tuple[Feedback, Query, float]]:
    """All answers in order, with their queries and when they came."""
    pages = store.bulk.answered(store.bulk.last_position())
    return [(a.answer, a.query, a.received_unix_s) for page in pages for a in page]


def contents(store: Store) -> dict[str, Any]:
    """All that can be seen of a store, but for positions."""
    answers = everything(store)
    ids = sorted({i for _, query, _ in answers for i in query.segment_ids})
    return {
        "answers": answers,
        "segments": {name: segment.id for name, segment in store.segments(ids).items()},
        "policies": store.policy_versions(),
        "annotators": store.bulk.annotators(),
        "counts": store.counts(),
    }


def lines(path: Path) -> list[Any]:
    """The JSON values of a file, one a line."""
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def write_lines(path: Path, values: list[Any]) -> str:
    """A file with a JSON value a line."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)
