"""Sentences made for the toxicity classifier: insults, their disguises, and clean ones that look like them.

Everything is made of words and patterns that were written down in `data/toxic_texts.json`. Each list there has two
halves that never mix: `train` and `test`.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Half = Literal["train", "test"]
LISTS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "toxic_texts.json").read_text("utf-8"))


@dataclass(frozen=True)
class Insult:
    """A toxic sentence, and the rude word in it, if one is."""

    text: str
    word: str


def insults(half: Half, number: int, rng: random.Random, *, words: Half | None = None) -> list[Insult]:
    """Toxic sentences in patterns of one half, with words of the same or of another; two in three have a rude word."""
    nouns, adjectives = LISTS["insults"][words or half], LISTS["adjectives"][words or half]
    made: list[Insult] = []
    for _ in range(number):
        if rng.random() < 2 / 3:
            noun, adjective, pattern = rng.choice(nouns), rng.choice(adjectives), rng.choice(LISTS["with_words"][half])
            word = noun if "{n}" in pattern else adjective
            made.append(Insult(_cased(pattern.format(a=adjective, n=noun), rng), word))
        else:
            start, ends = rng.choice(LISTS["without_words"][half])
            made.append(Insult(_cased(f"{start} {rng.choice(ends)}{rng.choice('.!?')}".strip(), rng), ""))
    return made


def clean(half: Half, number: int, rng: random.Random) -> list[str]:
    """Sentences that are not toxic: the same patterns with kind words, look-alikes, and a help desk's."""
    made: list[str] = []
    kind_patterns = [pattern for pattern in LISTS["with_words"][half] if pattern not in LISTS["rude_as_they_stand"]]
    for _ in range(number):
        kind = rng.random()
        if kind < 0.35:
            blanks = {"a": rng.choice(LISTS["kind_adjectives"]), "n": rng.choice(LISTS["kind_nouns"])}
            made.append(_cased(rng.choice(kind_patterns).format(**blanks), rng))
        elif kind < 0.65:
            made.append(_cased(rng.choice(LISTS["clean"][half]), rng))
        else:
            blanks = {"n": rng.choice(LISTS["goods"]), "d": rng.choice(LISTS["days"]), "s": rng.choice(LISTS["states"])}
            numbers = {"p": rng.randint(3, 400), "h": rng.randint(2, 36)}
            made.append(_cased(rng.choice(LISTS["desk"][half]).format(**blanks, **numbers), rng))
    return made


def _cased(text: str, rng: random.Random) -> str:
    kind = rng.random()
    return text.lower() if kind < 0.15 else text.upper() if kind < 0.22 else text[:1].upper() + text[1:]
