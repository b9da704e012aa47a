"""From what people say of texts to pairs of a better and a worse one.

- Which of two: the pair itself.
- A corrected text: better than what it corrects.
- Thumbs and ratings: better or worse than what the model said to the same prompt before it learned, of which one is
  sampled; a rating in the middle says nothing. So one sign tells which way, and not how far.
- Words on a part: the answer without the sentences that the part touches is better than the answer, or worse where the
  words plainly praise. The rest stands on both sides, so that nothing is said of it. Where no other sentence is left,
  it is like a thumb.
- A guard's objection counts as a thumb down, and what it put in the place of an answer as a correction.

What is learned from an answer follows from it and the model that learning began with alone, so that a run that goes on
comes to the same pairs again, and keeps none of people's words outside the store.
"""

from collections.abc import Callable
from dataclasses import dataclass

from heeler.core.nouns import Feedback, Message, Query, TextSegment
from heeler.core.sentences import sentences
from heeler.core.text_data import TextPair
from heeler.core.words import words

Sample = Callable[[tuple[Message, ...], int], str]
"""What the model that learning began with says to a prompt; the number names the draw."""
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


def pair_of(said: Said, sample: Sample) -> TextPair | None:
    """The pair to learn from; None where nothing was said that tells.

    Args:
        said: an answer from the store.
        sample: gives the other text, for answers about one text alone.
    """
    pair = _pair(said)
    sign = _sign(said)
    if pair is None and sign is not None:
        own, other = said.texts[0].completion, _rest(said) or sample(said.texts[0].prompt, said.position)
        pair = _made(said, *((own, other) if sign > 0 else (other, own)))
    return None if pair is None or pair.chosen == pair.rejected else pair


def _pair(said: Said) -> TextPair | None:
    """Of what was said of two texts, or with a text of the person's own."""
    value, first = said.feedback.value, said.texts[0]
    if said.feedback.kind == "preference" and value["choice"] != "cant_tell":
        left, right = (text.completion for text in said.texts)
        chosen, rejected = (right, left) if value["choice"] == "right" else (left, right)
        return _made(said, chosen, rejected, is_equal=value["choice"] == "equal")
    if said.feedback.kind == "correction" and value.get("text"):
        return _made(said, value["text"], first.completion)
    return None


def _sign(said: Said) -> int | None:
    """Whether one text was liked (1) or not (-1); None where nothing of the kind was said."""
    value = said.feedback.value
    match said.feedback.kind:
        case "evaluation":
            total = sum(mark["sign"] for mark in value["marks"])
            return (total > 0) - (total < 0) or None
        case "rating":
            middle = (value["low"] + value["high"]) / 2
            return (value["score"] > middle) - (value["score"] < middle) or None
        case "critique":
            return 1 if is_praise(value["text"]) else -1
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


def _rest(said: Said) -> str:
    """The answer without the sentences that a critique's part touches; empty where none is left, or for other kinds."""
    if said.feedback.kind != "critique":
        return ""
    value, kept, at = said.feedback.value, list[str](), 0
    for sentence in sentences(said.texts[0].completion):
        # White space before a sentence is no part of it.
        start, at = at + len(sentence) - len(sentence.lstrip()), at + len(sentence)
        if at <= value["start"] or value["end"] <= start:
            kept.append(sentence)
    return "".join(kept).strip()


def _made(said: Said, chosen: str, rejected: str, *, is_equal: bool = False) -> TextPair:
    return TextPair(
        prompt=said.texts[0].prompt,
        place=said.place,
        chosen=chosen,
        rejected=rejected,
        is_equal=is_equal,
        group=said.feedback.kind,
        annotator=said.feedback.annotator,
    )
