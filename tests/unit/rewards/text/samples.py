"""Samples and parts that tests of rewards share."""

from collections.abc import Sequence
from typing import Any

from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores


def chat(question: str, completion: str, **columns: Any) -> TextSample:
    return TextSample(prompt=(Message(role="user", content=question),), completion=completion, columns=columns)


def plain(completion: str, **columns: Any) -> TextSample:
    return TextSample(prompt=(), completion=completion, columns=columns)


class Column:
    """A part that gives what a column says."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, samples: Sequence[TextSample]) -> Scores:
        return [sample.columns[self.name] for sample in samples]


def rows(**columns: list[Any]) -> list[TextSample]:
    """Samples with these columns."""
    return [plain("", **dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
