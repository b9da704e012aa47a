"""Positions in a text as browsers count them: in UTF-16 units, of which a character beyond U+FFFF is two."""

from heeler.core.errors import DataError


def to_utf16(text: str, position: int) -> int:
    """The position in UTF-16 units of one in characters.

    >>> to_utf16("a😀b", 2)
    3
    """
    return position + sum(character > "\uffff" for character in text[:position])


def from_utf16(text: str, position: int, field: str) -> int:
    """The position in characters of one in UTF-16 units.

    Raises:
        DataError: it lies beyond the text, or within a character.
    """
    place = units = 0
    while units < position and place < len(text):
        units += 2 if text[place] > "\uffff" else 1
        place += 1
    if units != position:
        raise DataError(f"{field}: expected a position within the text of {to_utf16(text, len(text))}, got {position}")
    return place
