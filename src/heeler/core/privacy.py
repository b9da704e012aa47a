"""What must not be kept of what people write: e-mail addresses, phone numbers, card numbers, keys and the like.

Text is cut into tokens: words, with the dashes and pluses inside them and the dots and slashes between digits. A
finding is made of whole tokens, and whether something is one depends on its own characters alone. Two things follow. A
float, a version, a date, a hash or a UUID is one token, so that no part of it is taken for a phone number. And what is
left after a text was redacted holds the same tokens as before and nothing new to find: redacting again changes nothing.

Each look at the text is bounded, so that the time grows with its length alone, whatever somebody wrote to slow it down.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from heeler.core.ibans import iban_end
from heeler.core.numbers_in_text import AMERICAN, is_card, is_phone, number_ends


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """Text that may be kept."""

    text: str
    """With a mark such as `[e-mail]` for each finding."""
    counts: Mapping[str, int]
    """Findings by kind: `e-mail`, `phone`, `card number`, `IBAN`, `IP address`, `key`; only kinds that were found."""
    cuts: tuple[tuple[int, int, int], ...] = ()
    """(start, end, characters of the mark) of each finding, in order: where it stood in the text before."""

    def moved(self, start: int, end: int) -> tuple[int, int]:
        """Where the part from `start` to `end` of the text before is now; of a finding that it cuts, the whole mark.

        >>> redact("mail jo@example.org now").moved(20, 23)
        (14, 17)
        """
        return self._moved(start, is_end=False), self._moved(end, is_end=True)

    def _moved(self, position: int, *, is_end: bool) -> int:
        shift = 0
        for start, end, length in self.cuts:
            if position <= start:
                break
            if position < end:
                return start + shift + (length if is_end else 0)
            shift += length - (end - start)
        return position + shift


def redact(text: str) -> Redacted:
    """Put a mark in the place of everything that names, reaches or lets in a person or a machine.

    Found are e-mail addresses; phone numbers in international form and in national forms that begin with 0, with an
    area code in the American way, or with a word such as `tel`; payment card numbers whose check digit is right; IBANs
    whose check digits are right; IPv4 and IPv6 addresses; API keys with well-known prefixes, `Bearer` tokens, private
    keys in PEM form, and heeler's own keys.

    Names of people are NOT found, nor are postal addresses, birthdays, user names, or anything else that only somebody
    who understands the text can tell. Do not take redacted text for anonymous.

    >>> redact("mail jo@example.org, seed 700, step 1,000,000").text
    'mail [e-mail], seed 700, step 1,000,000'
    """
    pieces: list[str] = []
    counts: dict[str, int] = {}
    cuts: list[tuple[int, int, int]] = []
    kept = 0
    for start, end, kind in findings(text):
        pieces += [text[kept:start], f"[{kind}]"]
        counts[kind] = counts.get(kind, 0) + 1
        cuts.append((start, end, len(pieces[-1])))
        kept = end
    return Redacted(text="".join([*pieces, text[kept:]]), counts=counts, cuts=tuple(cuts))


# What follows the first group of an IPv6 address, or of any other chain of short groups with colons.
_COLONS = r"(?::(?:[0-9A-Fa-f]{1,4}(?!\w))?){2,}(?:(?<=[0-9])(?:\.[0-9]+)+)?"
_TOKEN = re.compile(
    r"\w+(?:(?:[-+]|(?<=[0-9])[./](?=[0-9]))\w+)*"
    r"|" + _COLONS
)
# Where a finding may begin that is no token's first character.
_START = re.compile(_TOKEN.pattern + r"|\+(?=[0-9])|\((?=[0-9+])|-----BEGIN ")

_LOCAL_PART = re.compile(r"\w[\w.%+-]{0,63}@")
_LABEL = re.compile(r"\.?([\w-]{1,63})")
_KEY = re.compile(
    r"(?:sk-(?=[\w-]{0,40}[0-9])[\w-]{16}|(?:sk|pk|rk)_(?:live|test)_\w{8}|gh[opsur]_\w{16}|github_pat_\w{16}"
    r"|glpat-[\w-]{16}|(?:AKIA|ASIA)[0-9A-Z]{16}|xox[a-z]-[\w-]{8}|AIza[\w-]{30}|hf_[0-9A-Za-z]{20}|npm_[0-9A-Za-z]{20}"
    r"|hlr_[0-9A-Za-z]{2,64}_[\w-]{8}|eyJ[\w-]{8,4000}\.eyJ[\w-]{8,4000}\.)"
    r"(?:[\w-]|\+(?=\w)|[./](?=[0-9]))*"
)
_BEARER = re.compile(r"(?:[Bb]earer|BEARER)\s{1,4}(?:[\w~+/=-]|\.(?=[\w~+/=-])){16,}")
# A mask, or the digits of a path, are one token with it.
_IPV4 = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){3})(?:/[0-9]{1,12}){0,4}")
_IPV6 = re.compile(r"(?:[0-9A-Fa-f]{1,4}(?!\w))?" + _COLONS)
_TEL = re.compile(
    r"(?:tel|telephone|telefon|phone|fon|fax|mobile|cell|handy|whatsapp|sms)(?:\.:|[.:])?[ ]?(?=[0-9(+])", re.IGNORECASE
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_BODY = re.compile(r"(?:\s{0,4}[0-9A-Za-z+/=]{16,128}){1,1000}")
_MAX_PEM = 16_384
_BRACKETS = re.compile(r"[\[\]]")


def findings(text: str) -> Generator[tuple[int, int, str]]:
    """What `redact` finds: (start, end, kind), the leftmost first and the longest of those that begin together.

    >>> list(findings("mail jo@example.org"))
    [(5, 19, 'e-mail')]
    """
    inside = _inside_tokens(text)
    end = 0
    for start in _START.finditer(text):
        at = start.start()
        if at < end:
            continue
        found = [(stop, kind) for kind, look in _KINDS for stop in look(text, at, inside) if not inside[stop]]
        if found:
            end, kind = max(found, key=lambda one: one[0])
            yield at, end, kind


def _inside_tokens(text: str) -> bytearray:
    """1 where a position lies between two characters of one token: no finding begins or ends there."""
    inside = bytearray(len(text) + 1)
    for token in _TOKEN.finditer(text):
        inside[token.start() + 1 : token.end()] = b"\x01" * (token.end() - token.start() - 1)
    return inside


_Look = Callable[[str, int, bytearray], Generator[int]]


def _pattern(pattern: re.Pattern[str], first: str, text: str, at: int, inside: bytearray) -> Generator[int]:
    del inside
    if text[at] in first:
        found = pattern.match(text, at)
        if found:
            yield found.end()


def _email(text: str, at: int, inside: bytearray) -> Generator[int]:
    """A local part, and a domain of at most eight labels whose last begins with a letter."""
    local = _LOCAL_PART.match(text, at) if text[at].isalnum() or text[at] == "_" else None
    place = local.end() if local else len(text)
    for number in range(8):
        label = _LABEL.match(text, place) if (text[place : place + 1] == ".") == (number > 0) else None
        if label is None:
            return
        place = label.end()
        # A label may run on into what is a token of its own.
        stop = inside.rfind(b"\x00", label.start(1) + 2, place + 1)
        if number > 0 and stop > 0 and text[label.start(1)].isalpha():
            yield stop


def _private_key(text: str, at: int, inside: bytearray) -> Generator[int]:
    """A block in PEM form; without its last line, the lines of it that are there."""
    del inside
    head = _PEM.match(text, at) if text[at] == "-" else None
    if head is None:
        return
    tail = _PEM_END.search(text, head.end(), head.end() + _MAX_PEM)
    if tail and not _BRACKETS.search(text, head.end(), tail.start()):
        yield tail.end()
        return
    yield head.end()
    body = _PEM_BODY.match(text, head.end())
    if body:
        yield body.end()


def _address(text: str, at: int, inside: bytearray) -> Generator[int]:
    del inside
    if text[at] not in ":0123456789abcdefABCDEF":
        return
    found = _IPV4.match(text, at)
    if found and _is_address(IPv4Address, found[1]):
        yield found.end()
    found = _IPV6.match(text, at)
    # `::` and what else has but one group are more often a program's than a machine's.
    if found and len(re.findall(r"[0-9A-Fa-f]+", found.group())) > 1 and re.search(r"[0-9]", found.group()):
        address = found.group()
        # A colon that ends a phrase is one token with the address before it.
        if any(_is_address(IPv6Address, text) for text in (address, address.removesuffix(":"))):
            yield found.end()


def _is_address(kind: type[IPv4Address] | type[IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def _card(text: str, at: int, inside: bytearray) -> Generator[int]:
    if text[at] in "23456":
        yield from (end for end in number_ends(text, at) if not inside[end] and is_card(text[at:end]))


def _phone(text: str, at: int, inside: bytearray) -> Generator[int]:
    if text[at] in "+(0":
        yield from (end for end in number_ends(text, at) if not inside[end] and is_phone(text[at:end]))
    elif text[at] in "123456789":
        found = AMERICAN.match(text, at)
        if found:
            yield found.end()


def _phone_after_a_word(text: str, at: int, inside: bytearray) -> Generator[int]:
    word = _TEL.match(text, at) if text[at] in "tTpPfFmMcChHwWsS" else None
    if word and not inside[word.end()]:
        ends = number_ends(text, word.end())
        yield from (end for end in ends if not inside[end] and is_phone(text[word.end() : end], after_a_word=True))


def _iban(text: str, at: int, inside: bytearray) -> Generator[int]:
    end = iban_end(text, at)
    if end is not None:
        yield end


_KINDS: tuple[tuple[str, _Look], ...] = (
    ("key", partial(_pattern, _KEY, "spragxAhne")),
    ("key", partial(_pattern, _BEARER, "bB")),
    ("key", _private_key),
    ("e-mail", _email),
    ("IBAN", _iban),
    ("IP address", _address),
    ("card number", _card),
    ("phone", _phone),
    ("phone", _phone_after_a_word),
)
