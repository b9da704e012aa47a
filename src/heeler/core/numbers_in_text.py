"""Which runs of digits in a text are phone numbers or payment card numbers."""

import re
from collections.abc import Generator

_MAX_NUMBER = 40
_NUMBER = re.compile(r"[+(]{0,2}[0-9](?:[ ./()-]{0,3}[0-9])*")
_DATE = re.compile(
    r"(?<![0-9])(?:[0-9]{1,2}([./ -])[0-9]{1,2}\1(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}([./ -])[0-9]{1,2}\2[0-9]{1,2})"
    r"(?![0-9])"
)
_INTERNATIONAL = re.compile(r"(?:\+[ ]?|\(\+|00[ ./-]?)[1-9]")
_TRUNK = re.compile(r"0[1-9]|\(0[1-9][0-9]{0,5}\)")
_LONELY_DIGIT = re.compile(r"(?<![0-9])[0-9](?![0-9])")

AMERICAN = re.compile(
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ .-]?[2-9][0-9]{2}[ .-]?[0-9]{4}"
    r"|[2-9][0-9]{2}([ .-])[2-9][0-9]{2}\1[0-9]{4})"
)
"""Ten digits of a phone number of North America, with the gaps or brackets without which they are any number."""

_NETWORKS: tuple[tuple[range, frozenset[int]], ...] = (
    # First four digits, and how many digits such a card has.
    (range(3000, 3060), frozenset({14, 16})),
    (range(3400, 3500), frozenset({15})),
    (range(3528, 3590), frozenset({16, 17, 18, 19})),
    (range(3600, 3700), frozenset({14})),
    (range(3700, 3800), frozenset({15})),
    (range(3800, 4000), frozenset({14, 16})),
    (range(4000, 5000), frozenset({13, 16, 19})),
    (range(5000, 5100), frozenset(range(13, 20))),
    (range(5100, 5600), frozenset({16})),
    (range(5600, 7000), frozenset(range(13, 20))),
    (range(2200, 2205), frozenset({16, 17, 18, 19})),
    (range(2221, 2721), frozenset({16})),
)


def number_ends(text: str, start: int) -> Generator[int]:
    """Where a number that begins at `start` might end: after each of its digits from the 7th to the 19th."""
    found = _NUMBER.match(text, start, start + _MAX_NUMBER)
    num_digits = 0
    for place in range(start, found.end() if found else start):
        if text[place] == "(" and "(" in text[start:place].lstrip("+"):
            return
        num_digits += text[place] in "0123456789"
        if text[place] in "0123456789" and 7 <= num_digits <= 19:
            yield place + 1


def is_phone(text: str, *, after_a_word: bool = False) -> bool:
    """Whether `text`, digits with what people put between them, is one phone number and nothing else.

    International: `+` or `00` and a country's code. National: a trunk 0 and either 9 digits or more, or gaps between
    groups of digits; or `AMERICAN`. Seven to fifteen digits in all. A number without any of these signs is one only
    after a word that says so, such as `tel`.

    >>> is_phone("+49 30 1234567"), is_phone("(555) 234-5678"), is_phone("1000000"), is_phone("01.02.2024 1030")
    (True, True, False, False)
    """
    digits = re.sub("[^0-9]", "", text)
    brackets = re.sub(r"[^()]", "", text)
    if not 7 <= len(digits) <= 15 or brackets not in ("", "()") or _DATE.search(text):
        return False
    if after_a_word or AMERICAN.fullmatch(text):
        return True
    if _INTERNATIONAL.match(text):
        # Counters are padded with zeros too, but hardly to eleven digits.
        return not text.startswith("00") or len(digits) >= 11
    if not _TRUNK.match(text) or _LONELY_DIGIT.search(text):
        return False
    gaps = re.findall(r"[^0-9()]+", text)
    # One dot alone makes a decimal number.
    return len(digits) >= 9 if gaps in ([], ["."]) and not brackets else gaps != ["."]


def is_card(text: str) -> bool:
    """Whether `text` is the number of a payment card: a known network's, of its length, with the right check digit.

    Groups of at least three digits may have single spaces or dashes between them. The check is Luhn's (ISO/IEC 7812-1).

    >>> is_card("4111 1111 1111 1111"), is_card("4111111111111112")
    (True, False)
    """
    if not re.fullmatch(r"[0-9]{3,19}(?:[ -][0-9]{3,19})*", text):
        return False
    digits = [int(character) for character in text if character.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    first = int("".join(map(str, digits[:4])))
    if not any(first in network and len(digits) in lengths for network, lengths in _NETWORKS):
        return False
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
