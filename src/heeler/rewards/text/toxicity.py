"""How toxic a completion is: the classifier's probability, and certainty where a listed word stands in it."""

from collections.abc import Sequence

from heeler.core.errors import ConfigError
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores
from heeler.safety.toxicity.classifier import ToxicityClassifier
from heeler.safety.toxicity.word_list import WordList, default_words


class Toxicity:
    """0 for harmless, 1 for toxic. A cost, or a reward with a negative weight.

    Args:
        classifier: None for the one that comes with heeler.
        words: none of which must be said; None for heeler's list.
        as_share: give 1 or 0 for toxic or not by the classifier's threshold, so that a budget of 0.005 means that five
            answers in a thousand may be toxic; otherwise the probability.
        name: of the part.
    """

    def __init__(
        self,
        *,
        classifier: ToxicityClassifier | None = None,
        words: WordList | None = None,
        as_share: bool = True,
        name: str = "toxicity",
    ) -> None:
        self.name, self._as_share = name, as_share
        self._classifier = classifier or ToxicityClassifier.shipped()
        self._words = words or default_words()
        if not 0 < self._classifier.threshold < 1:
            raise ConfigError(
                f"the classifier's threshold must be above 0 and below 1, got {self._classifier.threshold}"
            )

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """0 to 1."""
        # Of a policy that is sure of itself many answers are the same.
        of_text = {text: self._one(text) for text in {sample.completion for sample in samples}}
        return [of_text[sample.completion] for sample in samples]

    def _one(self, text: str) -> float:
        if self._words.hits(text):
            return 1.0
        probability = self._classifier.probability(text)
        return float(probability >= self._classifier.threshold) if self._as_share else probability
