"""How alike a text is to a reference: chrF and token F1, each from 0 to 1."""

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def chrf(text: str, reference: str, *, order: int = 6, beta: float = 2.0) -> float:
    r"""Character n-gram F-score.

    $$P = \frac{1}{|N|}\sum_{n\in N} P_n,\quad R = \frac{1}{|N|}\sum_{n\in N} R_n,\quad
      \mathrm{chrF}_\beta = (1+\beta^2)\frac{PR}{\beta^2 P+R}$$

    with P_n and R_n the shares of the text's and of the reference's n-grams that the other has too, counted as often as
    both have them, white space left out, and N the orders for which both have n-grams. Popović 2015 (W15-3049), as
    sacrebleu's `chrF2` computes it for one sentence, without its factor 100.

    Args:
        text: to score.
        reference: what it is compared with.
        order: longest n-grams.
        beta: how many times recall counts as much as precision.

    Returns:
        0 to 1; 0 where either has no characters.

    >>> round(chrf("abc", "abd"), 4)
    0.3889
    """
    said, wanted = "".join(text.split()), "".join(reference.split())
    precisions: list[float] = []
    recalls: list[float] = []
    for size in range(1, min(order, len(said), len(wanted)) + 1):
        of_text, of_reference = _counts(said, size), _counts(wanted, size)
        both = sum((of_text & of_reference).values())
        precisions.append(both / of_text.total())
        recalls.append(both / of_reference.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    if precision + recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _counts(text: str, size: int) -> Counter[str]:
    return Counter(text[i : i + size] for i in range(len(text) - size + 1))


def token_f1(text: str, reference: str) -> float:
    """Harmonic mean of the shares of words that each has in common with the other, as SQuAD counts it.

    Words are in lower case, without ASCII punctuation and without a, an, the. Rajpurkar et al. 2016 (arXiv 1606.05250).

    Returns:
        0 to 1; where one has no words, 1 if neither has any.

    >>> token_f1("The shop opens at nine.", "It opens at ten")
    0.5
    """
    said, wanted = squad_words(text), squad_words(reference)
    if not said or not wanted:
        return float(said == wanted)
    both = sum((Counter(said) & Counter(wanted)).values())
    return 2 * both / (len(said) + len(wanted))


def squad_words(text: str) -> list[str]:
    """The words that `token_f1` counts.

    >>> squad_words("The Cat's hat, a big one!")
    ['cats', 'hat', 'big', 'one']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()
