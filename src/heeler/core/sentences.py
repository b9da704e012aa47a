"""Where sentences end, found while the text is still coming.

A sentence's end depends on the text before it and on one character after it alone, so that the same text is cut at the
same places however it came: in letters, in tokens or whole.
"""

_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f\uff61\u0964\u061f")
# These end a sentence without a space after them.
_WIDE_ENDS = frozenset("\u3002\uff01\uff1f\uff61")
_CLOSERS = frozenset("\"'”’»)]}」』")
_ABBREVIATIONS = frozenset(
    (
        *("mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "e.g", "i.e", "no", "nr"),
        *("fig", "eq", "approx", "inc", "ltd", "co", "corp", "dept", "est", "bzw", "z.b", "ca", "usw"),
    )
)


class SentenceSplitter:
    """Cuts text into sentences as it comes. What it hands out is the text itself, nothing added and nothing lost.

    A sentence ends after `.`, `!`, `?` and the like with what closes after them, where white space follows, or at a
    line's end. Short ones are joined to what follows, so that no text escapes by being cut into crumbs.

    Args:
        min_length: characters that a sentence has at least, where more text follows.
        max_length: characters after which a text without an end is cut all the same, at white space in the second
            half of them if there is any.

    Example:
        >>> splitter = SentenceSplitter(min_length=1)
        >>> splitter.push("It is 3.5 kg. Do y"), splitter.push("ou"), splitter.close()
        (['It is 3.5 kg.'], [], [' Do you'])
    """

    def __init__(self, *, min_length: int = 20, max_length: int = 400) -> None:
        if not 1 <= min_length <= max_length // 2:
            raise ValueError(f"min_length must be 1 to half of max_length, got {min_length} and {max_length}")
        self.min_length, self.max_length = min_length, max_length
        self._held = ""
        self._looked = 0

    @property
    def held(self) -> str:
        """What came and was not handed out yet."""
        return self._held

    def push(self, piece: str) -> list[str]:
        """Add text; the sentences that have ended by now."""
        ended: list[str] = []
        self._held += piece
        while (end := self._end()) is not None:
            ended.append(self._held[:end])
            self._held, self._looked = self._held[end:], 0
        return ended

    def close(self) -> list[str]:
        """The text is over: what was held, if anything."""
        rest, self._held, self._looked = self._held, "", 0
        return [rest] if rest else []

    def _end(self) -> int | None:
        """Where the first held sentence ends, as far as one can tell."""
        held = self._held
        # The last character is looked at once the one after it is there.
        for place in range(self._looked, min(len(held) - 1, self.max_length)):
            if place + 1 >= self.min_length and _ends_at(held, place):
                return place + 1
        self._looked = min(max(len(held) - 1, 0), self.max_length)
        if len(held) <= self.max_length:
            return None
        half = self.max_length // 2
        spaces = [place for place in range(half, self.max_length) if held[place].isspace()]
        return spaces[-1] if spaces else self.max_length


def _ends_at(text: str, place: int) -> bool:
    """Whether a sentence ends with the character at `place`, which is not the last one."""
    letter, after = text[place], text[place + 1]
    if letter == "\n":
        return after != "\n"
    if letter in _WIDE_ENDS:
        return after not in _CLOSERS and after not in _ENDS
    if not after.isspace():
        return False
    last = place
    while last > 0 and text[last] in _CLOSERS:
        last -= 1
    return text[last] in _ENDS and not (text[last] == "." and _is_abbreviation(text, last))


def _is_abbreviation(text: str, dot: int) -> bool:
    start = dot
    while start > 0 and dot - start < 8 and (text[start - 1].isalnum() or text[start - 1] == "."):
        start -= 1
    return text[start:dot].casefold() in _ABBREVIATIONS


def sentences(text: str, *, min_length: int = 1, max_length: int = 400) -> list[str]:
    """A whole text's sentences; joined they are the text.

    >>> sentences("Hello. Who is it?")
    ['Hello.', ' Who is it?']
    """
    splitter = SentenceSplitter(min_length=min_length, max_length=max_length)
    return [*splitter.push(text), *splitter.close()]
