"""Pairs of texts of which it is known which is better."""

import random

from heeler.core.nouns import Message
from heeler.core.text_data import TextPair

GOOD, BAD = ("fine", "kind", "clear"), ("rude", "wrong", "vague")
FILLING = ("so", "it", "is", "and", "then", "we", "go")


def made_pairs(num: int, *, seed: int = 0, mistakes: float = 0.0) -> list[TextPair]:
    """The better text has words of `GOOD`, the other those of `BAD`; a share of answers is the wrong way round."""
    random_ = random.Random(seed)

    def text(words: tuple[str, ...]) -> str:
        return " ".join(random_.choice(words if random_.random() < 0.4 else FILLING) for _ in range(6))

    pairs = []
    for number in range(num):
        better, worse = f"{text(GOOD)} {GOOD[number % 3]}", f"{text(BAD)} {BAD[number % 3]}"
        if random_.random() < mistakes:
            better, worse = worse, better
        prompt = (Message(role="user", content=f"Question {number}?"),)
        pairs.append(
            TextPair(
                prompt=prompt, chosen=better, rejected=worse, place=f"made, line {number + 1}", group="ab"[number % 2]
            )
        )
    return pairs
