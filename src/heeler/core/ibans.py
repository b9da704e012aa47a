"""International bank account numbers (ISO 13616) in a text."""

import re

# How long a country's numbers are, from the registry that SWIFT keeps.
_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC",
    33: "RU",
}  # fmt: skip
_LENGTH_OF = {country: length for length, countries in _LENGTHS.items() for country in countries.split()}
_HEAD = re.compile(r"[A-Za-z]{2}[0-9]{2}")


def iban_end(text: str, start: int = 0) -> int | None:
    """Where the number that begins at `start` ends; None where there is none.

    It may have single spaces within, and small letters. Its length is that of its country, and its check digits are
    right (ISO 7064, mod 97-10).

    >>> iban_end("DE89 3704 0044 0532 0130 00 please"), iban_end("DE88 3704 0044 0532 0130 00")
    (27, None)
    """
    if not _HEAD.match(text, start):
        return None
    length = _LENGTH_OF.get(text[start : start + 2].upper())
    if length is None:
        return None
    found = re.compile(rf"[0-9A-Za-z](?:[ ]?[0-9A-Za-z]){{{length - 1}}}").match(text, start)
    if found is None:
        return None
    number = found.group().replace(" ", "").upper()
    turned = "".join(str(int(character, 36)) for character in number[4:] + number[:4])
    return found.end() if int(turned) % 97 == 1 else None
