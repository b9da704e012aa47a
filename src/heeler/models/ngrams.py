"""Texts as counts of their n-grams: what a linear reward can be learned from where answers are few.

Shapes: N texts, X buckets that some text has, of all texts one after the other, B buckets there are.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]")
_SPACE = re.compile(r"\s+")
# Odd, and with bits all over: products modulo 2^64 keep what was multiplied apart (Knuth, vol. 3, 6.4).
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True, kw_only=True)
class NgramConfig:
    """Which n-grams are counted."""

    word_lengths: tuple[int, ...] = (1, 2)
    """Words in a row, punctuation marks being words; empty for none."""
    letter_lengths: tuple[int, ...] = (2, 3, 4, 5)
    """Letters in a row, blanks among them; empty for none."""
    log2_buckets: int = 17
    """Binary logarithm of the number of buckets for words, and again for letters, over which n-grams are spread by a
    hash."""

    def __post_init__(self) -> None:
        for name in ("word_lengths", "letter_lengths"):
            lengths = getattr(self, name)
            if any(not 1 <= length <= 8 for length in lengths) or len(set(lengths)) < len(lengths):
                raise ConfigError(f"{name} must be different numbers from 1 to 8, got {lengths}")
        if not self.word_lengths and not self.letter_lengths:
            raise ConfigError("word_lengths and letter_lengths are both empty; name some, or set ngrams to none")
        if not 8 <= self.log2_buckets <= 24:
            raise ConfigError(f"log2_buckets must be from 8 to 24, got {self.log2_buckets}")

    @property
    def num_buckets(self) -> int:
        """B."""
        return 2 << self.log2_buckets


@dataclass(frozen=True, kw_only=True)
class SparseRows:
    """A row of few numbers for each of N texts."""

    bucket_X: np.ndarray
    """int64."""
    value_X: np.ndarray
    """float32."""
    start_N: np.ndarray
    """int64: where each row begins in the other two."""

    def __len__(self) -> int:
        return len(self.start_N)

    @property
    def row_X(self) -> np.ndarray:
        """int64: the row of each number."""
        length_N = np.diff(np.append(self.start_N, len(self.bucket_X)))
        return np.repeat(np.arange(len(self)), length_N)


class Ngrams:
    r"""Turns texts into rows. Words and letters each give a part of length one:

    $$x_b = (1 + \log n_b)\, \log\frac{1 + N}{1 + N_b},\qquad x \leftarrow x / |x|$$

    with n_b the times that a text has what falls into bucket b, and N_b the texts that have it, of the N of `fit`.

    Args:
        config: which n-grams.
    """

    def __init__(self, config: NgramConfig) -> None:
        self.config = config
        self.weight_B = np.ones(config.num_buckets, np.float32)
        """The second factor; 1 everywhere until `fit` is called."""

    def fit(self, texts: Sequence[str]) -> None:
        """Learn how common each n-gram is; nothing else of the texts is kept."""
        count_B = np.zeros(self.config.num_buckets)
        for text in texts:
            count_B[self._counts(text)[0]] += 1
        self.weight_B = (np.log((1 + len(texts)) / (1 + count_B)) + 1).astype(np.float32)

    def rows(self, texts: Sequence[str]) -> SparseRows:
        """One row a text."""
        buckets: list[np.ndarray] = []
        values: list[np.ndarray] = []
        for text in texts:
            bucket, count = self._counts(text)
            value = (1 + np.log(count)) * self.weight_B[bucket]
            for part in (bucket < self._num_half, bucket >= self._num_half):
                value[part] /= max(float(np.sqrt((value[part] ** 2).sum())), 1e-12)
            buckets.append(bucket)
            values.append(value.astype(np.float32))
        lengths = [len(bucket) for bucket in buckets]
        return SparseRows(
            bucket_X=np.concatenate(buckets) if buckets else np.zeros(0, np.int64),
            value_X=np.concatenate(values) if values else np.zeros(0, np.float32),
            start_N=np.cumsum([0, *lengths[:-1]]) if lengths else np.zeros(0, np.int64),
        )

    @property
    def _num_half(self) -> int:
        """Buckets of words; those of letters come after them."""
        return 1 << self.config.log2_buckets

    def _counts(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Buckets that a text has, in order, and how often."""
        text = _SPACE.sub(" ", text.replace("’", "'").lower()).strip()
        words = np.array(
            [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _TOKEN.findall(text)], np.uint64
        )
        letters = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
        found = [self._hashed(words, length) for length in self.config.word_lengths]
        found += [self._hashed(letters, length) + self._num_half for length in self.config.letter_lengths]
        return np.unique(np.concatenate(found), return_counts=True)

    def _hashed(self, code_L: np.ndarray, length: int) -> np.ndarray:
        """The bucket, within its half, of each run of so many codes."""
        if len(code_L) < length:
            return np.zeros(0, np.int64)
        num = len(code_L) - length + 1
        hash_L = np.full(num, length, np.uint64)
        for place in range(length):
            hash_L = (hash_L ^ code_L[place : place + num]) * _FACTOR
            hash_L ^= hash_L >> np.uint64(29)
        return ((hash_L * _MIX) >> np.uint64(64 - self.config.log2_buckets)).astype(np.int64)
