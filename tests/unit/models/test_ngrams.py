"""N-grams of texts, against counts by hand."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.models.ngrams import NgramConfig, Ngrams, SparseRows


def dense(rows: SparseRows, num_buckets: int) -> np.ndarray:
    matrix = np.zeros((len(rows), num_buckets))
    np.add.at(matrix, (rows.row_X, rows.bucket_X), rows.value_X)
    return matrix


def values(text: str, config: NgramConfig) -> list[float]:
    return sorted(float(value) for value in Ngrams(config).rows([text]).value_X)


def test_words_and_pairs_of_words_are_counted() -> None:
    config = NgramConfig(word_lengths=(1, 2), letter_lengths=())
    # "so", "it", "is" and "." once or twice, as the text has them, and the pairs of neighbours.
    grams = Counter(["so", "it", "is", "so", "it", "."]) + Counter(["so it", "it is", "is so", "so it", "it ."])
    raw = [1 + math.log(count) for count in grams.values()]
    length = math.sqrt(sum(value**2 for value in raw))
    assert values("So it  is\nso it.", config) == pytest.approx(sorted(value / length for value in raw), abs=1e-6)


def test_letters_are_counted_with_a_blank_at_both_ends() -> None:
    config = NgramConfig(word_lengths=(), letter_lengths=(2,))
    # " aaa ": " a", "aa" twice, "a ".
    raw = [1.0, 1 + math.log(2), 1.0]
    length = math.sqrt(sum(value**2 for value in raw))
    assert values("AAA", config) == pytest.approx(sorted(value / length for value in raw), abs=1e-6)


def test_each_kind_has_length_one() -> None:
    config = NgramConfig()
    matrix = dense(Ngrams(config).rows(["Some words, said twice.", "x"]), config.num_buckets)
    half = config.num_buckets // 2
    np.testing.assert_allclose((matrix[:, :half] ** 2).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose((matrix[:, half:] ** 2).sum(1), 1, atol=1e-6)


def test_what_is_common_counts_less() -> None:
    ngrams = Ngrams(NgramConfig(word_lengths=(1,), letter_lengths=()))
    ngrams.fit(["a b", "a c", "a d"])
    value = ngrams.rows(["a b"]).value_X
    common, rare = math.log(4 / 4) + 1, math.log(4 / 2) + 1
    np.testing.assert_allclose(sorted(value), np.array([common, rare]) / math.hypot(common, rare), atol=1e-6)


def test_the_same_text_gives_the_same_row_in_every_process() -> None:
    rows = Ngrams(NgramConfig(word_lengths=(1,), letter_lengths=(), log2_buckets=17)).rows(["I’m sorry", "i'm  SORRY"])
    assert np.array_equal(rows.bucket_X[:2], rows.bucket_X[2:])
    # Written down once: a hash that changed would make saved models read other words.
    assert rows.bucket_X[:2].tolist() == BUCKETS


BUCKETS = [27444, 67902]


@pytest.mark.parametrize("text", ["", " ", "😀", "\ud800 lone", "\x00", "中文"])
def test_any_text_has_a_row(text: str) -> None:
    rows = Ngrams(NgramConfig()).rows([text, "a"])
    assert len(rows) == 2
    assert np.isfinite(rows.value_X).all()


def test_no_texts_have_no_rows() -> None:
    rows = Ngrams(NgramConfig()).rows([])
    assert (len(rows), len(rows.bucket_X)) == (0, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"word_lengths": (0,)},
        {"letter_lengths": (2, 2)},
        {"word_lengths": (), "letter_lengths": ()},
        {"log2_buckets": 4},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NgramConfig(**settings)
