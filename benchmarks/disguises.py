"""Ways in which people hide a word from filters, for measuring how many of them still see it."""

import random
from collections.abc import Callable, Mapping

_DIGITS = str.maketrans("oieast", "013457")
_SIGNS = str.maketrans("asi", "@$!")
_CYRILLIC = str.maketrans("aceiopxy", "\u0430\u0441\u0435\u0456\u043e\u0440\u0445\u0443")
_WIDE = {code: code + 0xFEE0 for code in range(0x61, 0x7B)}


def _masked(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word) - 1)
    return word[:place] + "*" + word[place + 1 :]


def _repeated(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word))
    return word[:place] + word[place - 1] * 4 + word[place:]


def _invisible(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word))
    return word[:place] + rng.choice("\u200b\u200d\u00ad\u2060") + word[place:]


def _broken(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word))
    return word[:place] + rng.choice("-._") + word[place:]


def _misspelt(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word) - 2)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


DISGUISES: Mapping[str, Callable[[str, random.Random], str]] = {
    "digits": lambda word, _: word.translate(_DIGITS),
    "signs": lambda word, _: word.translate(_SIGNS),
    "spaces": lambda word, _: " ".join(word),
    "dots": lambda word, _: ".".join(word),
    "mask": _masked,
    "repeats": _repeated,
    "invisible": _invisible,
    "cyrillic": lambda word, _: word.translate(_CYRILLIC),
    "wide": lambda word, _: word.translate(_WIDE),
    "accents": lambda word, _: "".join(letter + "\u0301" for letter in word),
    "broken": _broken,
    "misspelt": _misspelt,
    "glued": lambda word, rng: rng.choice(("you", "bloody", "total")) + word + rng.choice(("head", "s", "")),
}


def disguised(text: str, word: str, kind: str, rng: random.Random) -> str:
    """`text` with `word` hidden in the way `kind`; words of less than four letters stay."""
    if len(word) < 4:
        return text
    place = text.lower().find(word)
    hidden = DISGUISES[kind](word, rng)
    return text[:place] + hidden + text[place + len(word) :]
