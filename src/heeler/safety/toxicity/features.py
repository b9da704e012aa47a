"""What the classifier sees of a sentence: the letters of each word, and which words stand together. All are hashed."""

import re
import zlib
from dataclasses import dataclass

import numpy as np

from heeler.core.words import words
from heeler.safety.toxicity.folding import undisguised

NUM_BUCKETS = 1 << 17
_MAX_WORDS = 200
_BROKEN = re.compile(r"(?<![^\W\d_])[^\W\d_]+(?:[-._*#|][^\W\d_]+)+")


@dataclass(frozen=True, eq=False)
class SentenceFeatures:
    """Bucket numbers, each array int64, ascending, every number once."""

    words: tuple[np.ndarray, ...]
    """Of each word: itself, and runs of 3 to 5 of its letters with its edges. At least one."""
    context: np.ndarray
    """Of the sentence: its words, and two and three words in a row with its edges."""


def sentence_features(sentence: str) -> SentenceFeatures:
    """Features of one sentence. The hash is CRC-32, the same in every process and on every machine."""
    plain = undisguised(sentence)
    said = words(plain)[:_MAX_WORDS]
    # `id-iot` and `idi*t` as one word too; the parts remain.
    joined = [re.sub(r"[\W\d_]", "", broken) for broken in _BROKEN.findall(plain)]
    edged = ["^", *said, "$"]
    context = [f"c {word}" for word in said]
    context += [f"c {' '.join(edged[i : i + size])}" for size in (2, 3) for i in range(len(edged) - size + 1)]
    each = dict.fromkeys([*said, *joined[:_MAX_WORDS]]) or {"": None}
    return SentenceFeatures(tuple(_buckets(_letters(word)) for word in each), _buckets(context or ["c"]))


def _letters(word: str) -> list[str]:
    edged = f"<{word[:60]}>"
    return [f"w {word}", *(edged[i : i + size] for size in (3, 4, 5) for i in range(len(edged) - size + 1))]


def _buckets(features: list[str]) -> np.ndarray:
    hashes = {zlib.crc32(feature.encode("utf-8", "surrogatepass")) % NUM_BUCKETS for feature in features}
    return np.array(sorted(hashes), dtype=np.int64)
