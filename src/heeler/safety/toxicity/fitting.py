"""Training a toxicity classifier on labelled sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.safety.toxicity.classifier import sentence_logit
from heeler.safety.toxicity.features import NUM_BUCKETS, sentence_features


@dataclass(frozen=True, kw_only=True)
class ToxicityFitConfig:
    """Settings of the fit."""

    num_epochs: int = 4
    """Passes over the sentences, one sentence a step."""
    learning_rate: float = 0.3
    """AdaGrad's step (Duchi et al. 2011)."""
    weight_decay: float = 1e-5
    """L2 penalty, on the weights that a sentence uses."""
    seed: int = 0
    """Of the order in which sentences are seen."""

    def __post_init__(self) -> None:
        for name in ("num_epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay must be >= 0, got {self.weight_decay}")


def fit_toxicity(
    sentences: Sequence[str], labels: Sequence[bool], config: ToxicityFitConfig | None = None
) -> tuple[np.ndarray, float]:
    """Fit `ToxicityClassifier`'s weights by cross-entropy; both classes count the same in all, however many each has.

    Args:
        sentences: to learn from.
        labels: whether each is toxic.
        config: how.

    Returns:
        weight [NUM_BUCKETS] float32, and bias.

    Raises:
        DataError: labels are missing, or all the same.
    """
    config = config or ToxicityFitConfig()
    if len(sentences) != len(labels):
        raise DataError(f"every sentence needs a label, got {len(sentences)} sentences and {len(labels)} labels")
    if len(set(map(bool, labels))) != 2:
        raise DataError("labels must hold both toxic and other sentences, got only one kind")
    rows = [sentence_features(sentence) for sentence in sentences]
    share = float(np.mean(labels))
    weight, bias, squares, bias_square = np.zeros(NUM_BUCKETS), 0.0, np.full(NUM_BUCKETS, 1e-4), 1e-4
    rng = np.random.default_rng(config.seed)
    for _ in range(config.num_epochs):
        for i in rng.permutation(len(rows)):
            logit, rudest = sentence_logit(rows[i], weight, bias)
            importance = 0.5 / share if labels[i] else 0.5 / (1 - share)
            error = (1 / (1 + np.exp(-np.clip(logit, -60, 60))) - labels[i]) * importance
            for index in (rows[i].words[rudest], rows[i].context):
                gradient = error / len(index) ** 0.5 + config.weight_decay * weight[index]
                squares[index] += gradient**2
                weight[index] -= config.learning_rate * gradient / np.sqrt(squares[index])
            bias_square += error**2
            bias -= config.learning_rate * error / bias_square**0.5
    return weight.astype(np.float32), float(bias)
