"""A price on length, so that a reward is not raised by saying more."""

from collections.abc import Sequence
from typing import Literal

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.core.words import words
from heeler.rewards.text.part import Scores

LengthUnit = Literal["tokens", "words", "characters"]


class Length:
    r"""0 up to a length, then falling in a line to -1; the same for what is too short.

    $$r = -\min\Big(1, \max\Big(0, \frac{n - n_\text{free}}{n_\text{worst} - n_\text{free}},
      \frac{n_\text{least} - n}{n_\text{least}}\Big)\Big)$$

    The soft overlong punishment of DAPO (Yu et al. 2025, arXiv 2503.14476, eq. 13), with a least length beside it.

    Args:
        free: up to so many cost nothing.
        worst: from so many on it is -1.
        least: below so many it falls to -1 at none; 0 for any.
        unit: what is counted; tokens where a model sampled the completion.
        name: of the part.
    """

    def __init__(
        self, *, free: int, worst: int, least: int = 0, unit: LengthUnit = "words", name: str = "length"
    ) -> None:
        if not 0 <= least <= free < worst:
            raise ConfigError(f"least <= free < worst must hold and least be >= 0, got {least}, {free} and {worst}")
        if unit not in ("tokens", "words", "characters"):
            raise ConfigError(f"unit must be tokens, words or characters, got {unit!r}")
        self.name, self._free, self._worst, self._least, self._unit = name, free, worst, least, unit

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """-1 to 0.

        Raises:
            RewardError: tokens are to be counted, and a sample does not say how many it has.
        """
        return [self._price(self._count(row, sample)) for row, sample in enumerate(samples)]

    def _count(self, row: int, sample: TextSample) -> int:
        if self._unit == "words":
            return len(words(sample.completion))
        if self._unit == "characters":
            return len(sample.completion)
        if sample.num_tokens is None:
            raise RewardError(f"reward part {self.name!r}, row {row}: num_tokens is not known; count words instead")
        return sample.num_tokens

    def _price(self, count: int) -> float:
        too_long = (count - self._free) / (self._worst - self._free)
        too_short = (self._least - count) / self._least if self._least else 0.0
        return -min(1.0, max(0.0, too_long, too_short))
