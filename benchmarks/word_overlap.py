"""The cheap reward that both sides of `rl-trl` give. Standard library only, as the peer's process reads it too."""


def word_overlap(answer: str, wanted: str) -> float:
    """Words that an answer and what was wanted have in common, as a share of all words of the two.

    Example:
        >>> word_overlap("shipping costs 4 euro", "shipping costs 5 euro")
        0.6
    """
    said, right = set(answer.lower().split()), set(wanted.lower().split())
    return len(said & right) / max(1, len(said | right))
