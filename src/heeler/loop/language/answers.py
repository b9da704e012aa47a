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

from heeler.core.nouns import Message
from heeler.core.sentences import sentences
from heeler.core.text_data import TextPair
from heeler.feedback.datasets.said import Said, compared, sign_of

Sample = Callable[[tuple[Message, ...], int], str]
"""What the model that learning began with says to a prompt; the number names the draw."""


def pair_of(said: Said, sample: Sample) -> TextPair | None:
    """The pair to learn from; None where nothing was said that tells.

    Args:
        said: an answer from the store.
        sample: gives the other text, for answers about one text alone.
    """
    pair, sign = compared(said), sign_of(said)
    if pair is None and sign is not None:
        own, other = said.texts[0].completion, _rest(said) or sample(said.texts[0].prompt, said.position)
        pair = said.pair(*((own, other) if sign > 0 else (other, own)))
    return None if pair is None or pair.chosen == pair.rejected else pair


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
