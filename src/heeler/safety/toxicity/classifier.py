"""How likely a text is toxic: a linear classifier on hashed n-grams, small enough to run on every sentence.

    z(s) = b + max_{word in s} Σ_{i in letters(word)} w_i / sqrt(#letters) + Σ_{i in context(s)} w_i / sqrt(#context)
    p(text) = max over its sentences s of σ(z(s))

One rude word in a polite sentence makes it rude, and one rude sentence in a polite answer makes that rude: hence the
two maxima. Toxic means insults, abuse and coarse words in English, as far as the training data goes: `card` says what
that was.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from heeler.core.errors import CheckpointError, ConfigError
from heeler.core.sentences import sentences
from heeler.safety.toxicity.features import NUM_BUCKETS, SentenceFeatures, sentence_features

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class ToxicityClassifier:
    """A trained classifier. `ToxicityClassifier.shipped()` is the one that comes with heeler."""

    weight: np.ndarray
    """[NUM_BUCKETS] float32."""
    bias: float
    threshold: float
    """From which probability on a text is called toxic."""
    card: Mapping[str, Any]
    """Where its data came from, how it was made, and what was measured on held-out data."""

    @staticmethod
    @cache
    def shipped() -> "ToxicityClassifier":
        """The one that comes with heeler."""
        with as_file(files("heeler.safety.toxicity") / "data") as folder:
            return ToxicityClassifier.load(folder)

    @staticmethod
    def load(folder: Path) -> "ToxicityClassifier":
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing, altered or of another form.
        """
        try:
            card = json.loads((folder / CARD).read_text("utf-8"))
            raw = (folder / WEIGHTS).read_bytes()
            if hashlib.sha256(raw).hexdigest() != card["sha256"]:
                raise CheckpointError(f"{folder / WEIGHTS} is not the file that {CARD} describes; take both anew")
            tensors = load_tensors(raw)
            weight, bias = tensors["weight"].astype(np.float32), float(tensors["bias"][0])
            threshold = float(card["threshold"])
        except OSError as error:
            raise CheckpointError(f"{error.filename} cannot be read: {error.strerror}") from error
        except (KeyError, ValueError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{folder} holds no toxicity classifier: {error}") from error
        if weight.shape != (NUM_BUCKETS,) or not np.isfinite(weight).all():
            raise CheckpointError(f"{folder / WEIGHTS}: weight must be {NUM_BUCKETS} finite numbers")
        return ToxicityClassifier(weight=weight, bias=bias, threshold=threshold, card=card)

    def save(self, folder: Path) -> None:
        """Write the weights, in half precision, and the card with their hash; the card last."""
        raw = save_tensors({"weight": self.weight.astype(np.float16), "bias": np.array([self.bias], np.float32)})
        card = {**self.card, "threshold": self.threshold, "sha256": hashlib.sha256(raw).hexdigest()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / WEIGHTS).write_bytes(raw)
            (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from error

    def sentence_probability(self, sentence: str) -> float:
        """Of one sentence, which is not cut any further."""
        logit, _ = sentence_logit(sentence_features(sentence), self.weight, self.bias)
        return float(1 / (1 + np.exp(-np.clip(logit, -60, 60))))

    def probability(self, text: str) -> float:
        """Of a text: that of its most toxic sentence; 0 where it says nothing."""
        return max((self.sentence_probability(part) for part in sentences(text) if part.strip()), default=0.0)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[number of texts] float64."""
        return np.array([self.probability(text) for text in texts], dtype=np.float64)


def sentence_logit(features: SentenceFeatures, weight: np.ndarray, bias: float) -> tuple[float, int]:
    """z(s), and the index of the word that is the rudest."""
    by_word = [float(weight[index].sum()) / len(index) ** 0.5 for index in features.words]
    rudest = int(np.argmax(by_word))
    context = float(weight[features.context].sum()) / len(features.context) ** 0.5
    return bias + by_word[rudest] + context, rudest
