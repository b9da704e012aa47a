"""Settings of Argilla's datasets: what one needs to show questions about texts of one kind.

`rg.Settings.from_json` reads them. Argilla wants a field and a question that are required: the first text and, but for
critiques and ratings, the only question.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from heeler.core.nouns import PREFERENCE_CHOICES, FeedbackKind
from heeler.feedback.kinds import KINDS
from heeler.feedback.transfer.argilla_texts import RATINGS
from heeler.feedback.transfer.text_answers import NEITHER


def settings(kind: FeedbackKind) -> str:
    """The settings of a dataset for questions of this kind, as JSON."""
    names = ("left", "right") if kind == "preference" else ("completion",)
    prompt = _named("prompt", {"type": "chat", "use_markdown": False}, required=False)
    texts = [_named(name, {"type": "text", "use_markdown": False}) for name in names]
    value = {
        "guidelines": KINDS[kind].question,
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "fields": [prompt, *texts],
        "questions": _questions(kind),
        "metadata": [
            _named("query_id", {"type": "terms"}, required=None),
            _named("kind", {"type": "terms"}, required=None),
        ],
        "vectors": [],
    }
    return json.dumps(value, indent=2) + "\n"


def _questions(kind: FeedbackKind) -> list[dict[str, Any]]:
    if kind == "preference":
        return [_labels(kind, PREFERENCE_CHOICES)]
    if kind == "rating":
        options = [{"value": number} for number in range(RATINGS[0], RATINGS[1] + 1)]
        return [_named("rating", {"type": "rating", "options": options}), _text("score", required=False)]
    if kind == "evaluation":
        return [_labels(kind, ("good", "bad", NEITHER))]
    if kind == "critique":
        labels = [{"value": name, "text": name, "description": None} for name in ("part", "good", "bad")]
        span = {"type": "span", "field": "completion", "options": labels, "allow_overlapping": False}
        return [_named("part", span, required=False), _text("critique")]
    return [_text(kind)]


def _labels(name: str, values: Sequence[str]) -> dict[str, Any]:
    options = [{"value": value, "text": value.replace("_", " "), "description": None} for value in values]
    return _named(name, {"type": "label_selection", "options": options})


def _text(name: str, *, required: bool = True) -> dict[str, Any]:
    return _named(name, {"type": "text", "use_markdown": False}, required=required)


def _named(name: str, settings: Mapping[str, Any], *, required: bool | None = True) -> dict[str, Any]:
    own: dict[str, Any] = {"name": name, "title": name.capitalize(), "settings": dict(settings)}
    return own if required is None else own | {"required": required}
