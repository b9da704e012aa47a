"""Files about texts as Label Studio and Argilla write them, in which nothing is heeler's."""

import json
from pathlib import Path
from typing import Any

ADA, BOB = "5f6d1d5e-3a52-4f0b-8f5e-2f2b8a1f3c77", "0b8b54f6-6f35-4c9a-a0a5-3f7b3b0e7a10"
QUESTION = "Which is warmer, 🍵 or ice?"
WARM, COLD = "🍵 is warm, ice is not.", "Ice."


def annotation(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An annotation as Label Studio exports it, by user 7."""
    fields: dict[str, Any] = {
        "id": 1042,
        "completed_by": 7,
        "result": [{"id": f"r{number}", "origin": "manual"} | result for number, result in enumerate(results)],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "updated_at": "2026-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        "prediction": {},
        "result_count": len(results),
        "unique_id": "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11",
        "import_id": None,
        "task": 31,
        "project": 83,
    }
    return fields | changes


def task(data: dict[str, Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": 31,
        "annotations": list(annotations),
        "file_upload": "a1b2c3d4-tasks.json",
        "drafts": [],
        "predictions": [],
        "data": data,
        "meta": {},
        "created_at": "2026-03-09T21:52:49.513742Z",
        "updated_at": "2026-03-09T22:16:08.746926Z",
        "inner_id": 1,
        "total_annotations": len(annotations),
        "project": 83,
    }


def pairwise(side: str) -> dict[str, Any]:
    return {"value": {"selected": side}, "from_name": "pw", "to_name": "pw", "type": "pairwise"}


def choice(*words: str, tag: str = "quality") -> dict[str, Any]:
    return {"value": {"choices": list(words)}, "from_name": tag, "to_name": "txt", "type": "choices"}


def stars(number: Any) -> dict[str, Any]:
    return {"value": {"rating": number}, "from_name": "stars", "to_name": "txt", "type": "rating"}


def number(value: Any) -> dict[str, Any]:
    return {"value": {"number": value}, "from_name": "score", "to_name": "txt", "type": "number"}


def marked(start: int, end: int, text: str | None, *labels: str, name: str = "a") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": list(labels)}
    return {"value": value, "id": name, "from_name": "label", "to_name": "txt", "type": "labels"}


def words(text: Any, tag: str, name: str = "w") -> dict[str, Any]:
    value = {"text": text}
    return {"value": value, "id": name, "from_name": tag, "to_name": "txt", "type": "textarea"}


def record(fields: dict[str, Any], **responses: Any) -> dict[str, Any]:
    """A record as Argilla's `records.to_json` writes it: (value, user) of each response by question."""
    given = {name: [{"value": value, "user_id": user} for value, user in some] for name, some in responses.items()}
    return {
        "id": "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11",
        "fields": fields,
        "metadata": {},
        "suggestions": {},
        "responses": given,
        "vectors": {},
        "_server_id": "5e7c07fd-24b9-4d0e-96da-f633554ab08e",
    }


def wrote(path: Path, *values: Any) -> str:
    path.write_text(json.dumps(list(values)))
    return str(path)


PAIR = {"prompt": QUESTION, "answer1": WARM, "answer2": COLD}
ONE = {"question": QUESTION, "response": WARM}


def minimal(data: dict[str, Any], **results: Any) -> dict[str, Any]:
    """A record of the form JSON-MIN."""
    own = {"id": 31, "annotator": 7, "annotation_id": 1042, "lead_time": 4.288}
    return {**data, **own, "created_at": "2026-03-09T22:16:08Z", "updated_at": "2026-03-09T22:16:08Z", **results}


CHAT = [{"role": "user", "content": QUESTION}]
TWO = {"prompt": CHAT, "response_1": WARM, "response_2": COLD}
