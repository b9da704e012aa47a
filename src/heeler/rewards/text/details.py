"""A claim checker for facts that are texts: every number, time, date and address in an answer must stand in them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from heeler.core.errors import RewardError
from heeler.core.words import words

_DETAIL = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|https?://[^\s)\]>]+"
    r"|\b[A-Za-z]{1,4}-?\d[\w-]*"
    r"|[$€£]?\d+(?:[.,:/-]\d+)*\s?(?:%|am\b|pm\b|[ap]\.m\.)?"
)
_MONTHS_AND_DAYS = frozenset(
    (
        *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
        *("november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    )
)


class DetailChecker:
    """Claims are the details that an answer names: amounts, times, dates, days, order numbers, addresses.

    A claim is borne out where the facts, a text or texts, hold the same detail. It sees invented details; it does not
    see a right detail said of the wrong thing, nor claims without details. A world that is known better checks better.

    Example:
        >>> checker = DetailChecker()
        >>> checker.claims("It costs €1,200.00 and opens at 9 am on Monday.")
        ['1200', '9 am', 'monday']
        >>> checker.check("1200", ["The price is 1200 euros."])
        True
    """

    def claims(self, text: str) -> list[str]:
        """Details in one form each, in the order in which they come, each once."""
        return _details(text)

    def check(self, claim: str, facts: Any) -> bool:
        """Whether the facts hold the detail.

        Raises:
            RewardError: the facts are neither a text nor texts.
        """
        texts = [facts] if isinstance(facts, str) else facts
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise RewardError(f"facts must be a text or texts, got {facts!r:.80}")
        return any(claim in _told(text) for text in texts)


# Facts stay the same from answer to answer, and may be long.
@lru_cache(maxsize=4096)
def _told(text: str) -> frozenset[str]:
    """All that a text of facts says, details and words."""
    return frozenset((*_details(text), *words(text)))


def _details(text: str) -> list[str]:
    found = [(match.start(), _one_form(match.group())) for match in _DETAIL.finditer(text)]
    # In the middle of a sentence, `may` and `march` are verbs unless they begin with a capital letter.
    for match in re.finditer(r"\b[A-Z][a-z]+\b", text):
        if match.group().lower() in _MONTHS_AND_DAYS:
            found.append((match.start(), match.group().lower()))
    return list(dict.fromkeys(detail for _, detail in sorted(found)))


def _one_form(detail: str) -> str:
    plain = re.sub(r"\s+", " ", detail.strip().lower()).replace("a.m.", "am").replace("p.m.", "pm")
    plain = re.sub(r"(?<=\d)(am|pm)$", r" \1", plain)
    amount = plain.strip("$€£")
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", amount):
        amount = amount.replace(",", "")
    if re.fullmatch(r"\d+\.\d+", amount):
        amount = amount.rstrip("0").rstrip(".")
    return amount
