"""Words of any script."""

from hypothesis import given
from hypothesis import strategies as st

from heeler.core.words import ngrams, word_spans, words


def test_words_are_folded_and_without_punctuation() -> None:
    assert words("Don’t STOP, it's \uff21\uff22!") == ["don't", "stop", "it's", "ab"]


def test_scripts_without_spaces_are_read_character_by_character() -> None:
    assert words("\u4f60\u597d, ok") == ["\u4f60", "\u597d", "ok"]
    assert words("안녕 하세요") == ["안녕", "하세요"]


@given(st.text(max_size=60))
def test_spans_point_at_the_text_itself(text: str) -> None:
    spans = word_spans(text)
    assert all(text[start:end] and not text[start:end].isspace() for _, start, end in spans)
    assert [start for _, start, _ in spans] == sorted(start for _, start, _ in spans)


def test_runs_of_items() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []
