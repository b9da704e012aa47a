"""What an answer about texts says: which of two is the better one, or whether one is good."""

from dataclasses import dataclass

from heeler.core.nouns import Feedback, Query, TextSegment
from heeler.core.text_data import TextPair
from heeler.core.words import words

_PRAISE = frozenset(
    (
        *("good", "great", "excellent", "perfect", "fine", "nice", "right", "correct", "true", "clear", "helpful"),
        *("useful", "friendly", "polite", "exactly", "like", "love", "thank", "thanks", "best"),
    )
)
_BESIDE_PRAISE = frozenset(
    (
        *("a", "and", "answer", "i", "is", "it", "just", "part", "quite", "really", "sentence", "so", "that", "the"),
        *("this", "very", "was", "you"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What somebody said of a text, or of two."""

    position: int
    """Of the answer in the store."""
    feedback: Feedback
    query: Query
    texts: tuple[TextSegment, ...]
    """As many as the query shows."""

    @property
    def place(self) -> str:
        """By which messages name it."""
        return f"answer {self.position}"

    def pair(self, chosen: str, rejected: str, *, is_equal: bool = False) -> TextPair:
        """Two completions of its prompt."""
        return TextPair(
            prompt=self.texts[0].prompt,
            place=self.place,
            chosen=chosen,
            rejected=rejected,
            is_equal=is_equal,
            group=self.feedback.kind,
            annotator=self.feedback.annotator,
        )


def compared(said: Said) -> TextPair | None:
    """What was said of two texts, or by a text of the person's own; None for what is about one text alone."""
    value = said.feedback.value
    if said.feedback.kind == "preference" and value["choice"] != "cant_tell":
        left, right = (text.completion for text in said.texts)
        chosen, rejected = (right, left) if value["choice"] == "right" else (left, right)
        return said.pair(chosen, rejected, is_equal=value["choice"] == "equal")
    if said.feedback.kind == "correction" and value.get("text"):
        return said.pair(value["text"], said.texts[0].completion)
    return None


def sign_of(said: Said) -> int | None:
    """Whether one text was liked (1) or not (-1); None where nothing of the kind was said.

    A rating in the middle says nothing. Of a part without a sign: what is criticised is not liked, and words on a part
    are criticism unless they are plainly praise.
    """
    value = said.feedback.value
    match said.feedback.kind:
        case "evaluation":
            total = sum(mark["sign"] for mark in value["marks"])
            return (total > 0) - (total < 0) or None
        case "rating":
            middle = (value["low"] + value["high"]) / 2
            return (value["score"] > middle) - (value["score"] < middle) or None
        case "critique":
            return value.get("sign") or (1 if is_praise(value["text"]) else -1)
        case _:
            return None


def is_praise(text: str) -> bool:
    """Whether words on a part are plainly praise: English words of praise, with none that could mean anything else.

    Anything else, a question too, is taken for criticism, as that is what most people mark a part for.

    >>> is_praise("Very good, just like that!"), is_praise("not good"), is_praise("The right price is 12 euro.")
    (True, False, False)
    """
    said = words(text)
    if "?" in text:
        return False
    return any(word in _PRAISE for word in said) and all(word in _PRAISE | _BESIDE_PRAISE for word in said)
