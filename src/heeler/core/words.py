"""Text as words and as sentences, in any script, for scorers and guards."""

import re
import unicodedata

# Scripts that put no spaces between words: each character stands for itself.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}]|(?:(?![{_ALONE}])\w)+(?:['’](?:(?![{_ALONE}])\w)+)*")


def words(text: str) -> list[str]:
    """Its words in lower case, without punctuation; characters one by one where a script has no spaces.

    >>> words("It's 5 o'clock – STOP!")
    ["it's", '5', "o'clock", 'stop']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word.replace("’", "'") for word in _WORD.findall(plain)]


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """(word, start, end) of each word, where it stands in `text` itself.

    >>> word_spans("Say NO!")
    [('say', 0, 3), ('no', 4, 6)]
    """
    return [
        (unicodedata.normalize("NFKC", found.group()).casefold().replace("’", "'"), found.start(), found.end())
        for found in _WORD.finditer(text)
    ]


def ngrams(items: list[str], size: int) -> list[tuple[str, ...]]:
    """All runs of `size` items.

    >>> ngrams(["a", "b", "c"], 2)
    [('a', 'b'), ('b', 'c')]
    """
    return [tuple(items[i : i + size]) for i in range(len(items) - size + 1)]
