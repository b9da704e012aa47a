"""Truthfulness: are a text's claims borne out by what is known; do answers to one question agree."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores, column
from heeler.rewards.text.similarity import token_f1


class ClaimChecker(Protocol):
    """Knows what a text claims, and whether facts bear a claim out."""

    def claims(self, text: str) -> Sequence[str]:
        """What it claims; empty where it claims nothing."""
        ...

    def check(self, claim: str, facts: Any) -> bool | None:
        """Whether the facts bear it out; None where they say nothing about it."""
        ...


class Truthfulness:
    """The share of a completion's claims that its facts bear out.

    Args:
        checker: finds and checks claims.
        name: of the part.
        column: that holds the facts, in the form that the checker takes; None where there are none to check by.
        facts: what is known whatever the prompt, in the column's place.
        unknown: what a claim counts that the facts say nothing about. `wrong` is right for a closed world, where such a
            claim is invented; `left_out` where the facts are only a part of what is true.
        whole: whether one wrong claim makes the whole text wrong: 1 or 0 instead of a share.
        no_claims: score of a text that claims nothing; None leaves it out.
    """

    def __init__(
        self,
        checker: ClaimChecker,
        *,
        name: str = "truthfulness",
        column: str = "facts",
        facts: Any = None,
        unknown: Literal["wrong", "left_out"] = "wrong",
        whole: bool = False,
        no_claims: float | None = None,
    ) -> None:
        if unknown not in ("wrong", "left_out"):
            raise ConfigError(f"unknown must be 'wrong' or 'left_out', got {unknown!r}")
        self.name, self._checker, self._column, self._facts = name, checker, column, facts
        self._unknown, self._whole, self._no_claims = unknown, whole, no_claims

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """0 to 1."""
        given = self._facts is not None
        facts = [self._facts] * len(samples) if given else column(self.name, samples, self._column)
        return [self._one(row, sample, known) for row, (sample, known) in enumerate(zip(samples, facts, strict=True))]

    def _one(self, row: int, sample: TextSample, facts: Any) -> float | None:
        if facts is None:
            return None
        try:
            checks = [self._checker.check(claim, facts) for claim in self._checker.claims(sample.completion)]
        except Exception as error:
            raise RewardError(
                f"reward part {self.name!r}, row {row}: the claim checker raised {type(error).__name__}: {error}"
            ) from error
        counted = [bool(check) for check in checks if check is not None or self._unknown == "wrong"]
        if not counted:
            return self._no_claims
        return float(all(counted)) if self._whole else sum(counted) / len(counted)


class Agreement:
    """How far a completion agrees with the other completions of its prompt in the batch.

    What a model makes up comes out differently each time; what it knows does not. Manakul et al. 2023 (SelfCheckGPT,
    arXiv 2303.08896) with a likeness of texts in the place of their checkers. For where there is nothing to check by:
    answers that are all wrong in the same way agree.

    Args:
        similarity: of two texts, 0 to 1.
        name: of the part.
    """

    def __init__(self, similarity: Callable[[str, str], float] = token_f1, *, name: str = "agreement") -> None:
        self.name, self._similarity = name, similarity

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """Mean likeness to the others of its prompt; None where there are none."""
        by_prompt: dict[Any, list[int]] = {}
        for row, sample in enumerate(samples):
            by_prompt.setdefault(sample.prompt, []).append(row)
        scores: Scores = [None] * len(samples)
        for rows in by_prompt.values():
            for row in rows:
                others = [self._similarity(samples[row].completion, samples[i].completion) for i in rows if i != row]
                scores[row] = sum(others) / len(others) if others else None
        return scores
