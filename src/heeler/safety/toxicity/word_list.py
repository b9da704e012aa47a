"""A list of words that must not be said, found as whole words in whatever disguise they come."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import groupby, pairwise

from heeler.core.errors import ConfigError
from heeler.safety.toxicity.folding import SPREAD, fold, letters_for_digits

# A word, with signs that stand for letters.
_TOKEN = re.compile(r"[^\W_](?:[\w@$!|+€*#]*[^\W_*])?|[@$€][\w@$!|+€*#]*[^\W_*]")
_BROKEN = re.compile(r"(?<![^\W_])[^\W_]+(?:[.\-_*~|][^\W_]+)+(?![^\W_])")
_ENDINGS = ("s", "es", "ed", "er", "ers", "ing", "in", "y")
_MAX_BROKEN = 40


@dataclass(frozen=True, kw_only=True)
class WordHit:
    """A listed word that was found."""

    start: int
    end: int
    """Its place in the text, end excluded."""
    word: str
    """As it stands in the list."""


@dataclass(frozen=True)
class WordList:
    """Words that are looked for as whole words, with their usual endings: `Scunthorpe` holds none of them.

    Seen through are case, accents, invisible characters, look-alike letters of other scripts, digits and signs for
    letters, repeated letters, masks such as `*` inside a word of four letters or more, and letters spread out with one
    separator. Words glued together are left to the classifier.
    """

    words: tuple[str, ...]
    """In lower case; letters a to z only."""

    def __post_init__(self) -> None:
        wrong = [word for word in self.words if not re.fullmatch(r"[a-z]{2,40}", word)]
        if wrong or not self.words:
            raise ConfigError(f"words must be of 2 to 40 letters a to z, got {wrong[0] if wrong else 'none'!r}")

    @cached_property
    def _by_runs(self) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
        """Each form of each word by its letters without repeats, with how often each was repeated."""
        table: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
        for word in self.words:
            for form in _forms(word):
                letters, counts = _runs(form)
                table.setdefault(letters, []).append((word, counts))
        return table

    @cached_property
    def _masked(self) -> dict[tuple[str, str, int], list[tuple[str, str]]]:
        """Forms by first letter, last letter and length, for words with masks in them."""
        table: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
        for word in self.words:
            for form in _forms(word):
                if len(form) >= 4:
                    table.setdefault((form[0], form[-1], len(form)), []).append((word, form))
        return table

    def hits(self, text: str) -> list[WordHit]:
        """Every listed word in `text`, where it stands there.

        >>> [hit.word for hit in WordList(("idiot",)).hits("You 1d10t, you I D I O T!")]
        ['idiot', 'idiot']
        """
        folded, places = _folded_with_places(text)
        found: dict[int, WordHit] = {}
        for start, end in _candidates(folded):
            word = self._listed(folded[start:end])
            if word is not None and start not in found:
                found[start] = WordHit(start=places[start], end=places[end - 1] + 1, word=word)
        return [found[start] for start in sorted(found)]

    def _listed(self, token: str) -> str | None:
        if "*" in token or "#" in token:
            return self._listed_masked(token)
        token = re.sub(r"[ .\-_~|]", "", token)
        for form in (token, letters_for_digits(token), letters_for_digits(token).replace("1", "l")):
            letters, counts = _runs(form)
            for word, least in self._by_runs.get(letters, ()):
                if all(count >= number for count, number in zip(counts, least, strict=True)):
                    return word
        return None

    def _listed_masked(self, token: str) -> str | None:
        spread = re.sub(r"[*#]", "", token)
        # Stars between all letters are separators, not masks.
        if re.fullmatch(r"[^\W_](?:[*#]{1,2}[^\W_])+", token) and (word := self._listed(spread)) is not None:
            return word
        for word, form in self._masked.get((token[0], token[-1], len(token)), ()):
            if all(a == b or a in "*#" for a, b in zip(token, form, strict=True)):
                return word
        return None


@cache
def default_words() -> WordList:
    """The list that heeler ships: insults and coarse words in English, no more than that."""
    text = files("heeler.safety.toxicity").joinpath("data/words.json").read_text("utf-8")
    return WordList(tuple(json.loads(text)["words"]))


def _forms(word: str) -> Iterable[str]:
    yield word
    for ending in _ENDINGS:
        yield word + ending
        if word.endswith("e") and ending[0] in "eiy":
            yield word[:-1] + ending


def _runs(word: str) -> tuple[str, tuple[int, ...]]:
    """Letters without repeats, and how often each came in a row."""
    runs = [(letter, sum(1 for _ in same)) for letter, same in groupby(word)]
    return "".join(letter for letter, _ in runs), tuple(count for _, count in runs)


def _candidates(folded: str) -> Iterable[tuple[int, int]]:
    for pattern in (_TOKEN, SPREAD):
        for found in pattern.finditer(folded):
            yield found.span()
    for found in _BROKEN.finditer(folded):
        parts = [part.span() for part in re.finditer(r"[^\W_]+", found.group())][:_MAX_BROKEN]
        base = found.start()
        yield base + parts[0][0], base + parts[-1][1]
        for (start, _), (_, end) in pairwise(parts):
            yield base + start, base + end


def _folded_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and from which character of `text` each of its characters comes."""
    if text.isascii():
        return fold(text), list(range(len(text)))
    pieces = [fold(character) for character in text]
    places = [place for place, piece in enumerate(pieces) for _ in piece]
    return "".join(pieces), places
