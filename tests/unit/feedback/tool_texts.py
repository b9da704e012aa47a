"""A store with all kinds of feedback about texts, for the formats of programs in which people annotate."""

from pathlib import Path
from typing import Any

from heeler.core.nouns import Message, PolicyVersion, Query, TextSegment, plain_prompt
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_query, open_store, put_copy

CHAT = (Message(role="system", content="Be kind."), Message(role="user", content="Tea – or 😀?"))
SHOWN = "Tea, I 😀 say.\nWith milk."
VALUES: dict[str, list[dict[str, Any]]] = {
    "preference": [{"choice": choice} for choice in ("left", "right", "equal", "cant_tell")],
    "rating": [
        {"score": 4, "low": 1, "high": 5},
        {"score": 0.1 + 0.2, "low": -1.0, "high": 7.0},
        {"score": 0, "low": 0, "high": 10},
    ],
    "evaluation": [
        {"marks": [{"time_s": 0.25, "sign": 1}, {"time_s": 1.5, "sign": -1}, {"time_s": 1.5, "sign": -1}]},
        {"marks": []},
        {"marks": [{"time_s": 0.0, "sign": 1}]},
    ],
    "critique": [{"text": 'curt – 落ちる, "quoted"\n', "start": 7, "end": 13}, {"text": "all", "start": 0, "end": 24}],
    "correction": [{"text": "Tea 😀, please.\n"}],
    "demonstration": [{"segment_id": ""}],
}
NUM_ANSWERS = 28


def text(completion: str, *, version: int = 0, prompt: tuple[Message, ...] = CHAT) -> TextSegment:
    """What came of a chat, or of another prompt."""
    return TextSegment(prompt=prompt, completion=completion, policy_version=version)


def texts_store(folder: Path) -> Store:
    """A store with two policies and answers of a person and a simulated teacher, in a folder that is made."""
    put_copy(folder, _fill)
    return open_store(folder)


def _fill(folder: Path) -> None:
    store = open_store(folder)
    store.add_policy_version(PolicyVersion(version=1, step=0))
    for number, (kind, value) in enumerate((kind, value) for kind, values in VALUES.items() for value in values):
        # The prompt is a chat, plain text, or none.
        prompt = (CHAT, plain_prompt("Say:\n\nuser: x"), ())[number % 3]
        segments = [text(SHOWN, version=number % 2, prompt=prompt), text(f"Beer {number}.", version=1, prompt=prompt)]
        ids = store.add_segments(segments)
        query = make_query((kind, number), *ids[: 2 if kind == "preference" else 1], kind=kind)
        query = Query(
            id=query.id,
            kind=query.kind,
            segment_ids=query.segment_ids,
            policy_version=max(segment.policy_version for segment in segments[: len(query.segment_ids)]),
            asked_step=0,
            acquisition="imported",
        )
        store.add_queries([query])
        if kind == "demonstration":
            value = {"segment_id": ids[1]}
        time_taken_s = 0.1 * number if number % 2 else None
        answers = [
            make_answer(query, "person", value=value, time_taken_s=time_taken_s, confidence=0.75),
            make_answer(query, "simulated", value=value, answered_step=100 * number),
        ]
        store.add_feedback(answers)
    store.close()
