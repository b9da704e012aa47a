"""Sentences are cut at the same places however the text comes, and nothing of it is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.sentences import SentenceSplitter, sentences

TEXTS = st.one_of(
    st.text(max_size=120),
    st.text("ab .!?\n\"')\u3002\uff1f", max_size=120),
    st.lists(
        st.sampled_from(["Dr. ", "e.g. ", "3.5", "No. ", "Yes!", " ", "\n", '."', "word ", "\u3002"]), max_size=30
    ).map("".join),
)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=20), st.integers(1, 10), st.integers(20, 60))
def test_any_chunking_gives_the_same_sentences(text: str, cuts: list[int], least: int, most: int) -> None:
    splitter = SentenceSplitter(min_length=least, max_length=most)
    ended = [sentence for piece in pieces_of(text, cuts) for sentence in splitter.push(piece)] + splitter.close()
    assert ended == sentences(text, min_length=least, max_length=most)
    assert "".join(ended) == text
    assert all(0 < len(sentence) <= most for sentence in ended[:-1])


@given(TEXTS)
def test_no_more_is_held_than_the_longest_sentence(text: str) -> None:
    splitter = SentenceSplitter(min_length=5, max_length=30)
    for letter in text:
        splitter.push(letter)
        assert len(splitter.held) <= 30


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ("It is 3.5 kg at 10.30 a.m. here", ["It is 3.5 kg at 10.30 a.m.", " here"]),
        ("Ask Dr. Lee, e.g. today.", ["Ask Dr. Lee, e.g. today."]),
        ('He said "no." Then left.', ['He said "no."', " Then left."]),
        ("a\nb\n\nc", ["a\n", "b\n\n", "c"]),
        ("\u4f60\u597d\u3002\u518d\u89c1\uff01", ["\u4f60\u597d\u3002", "\u518d\u89c1\uff01"]),
        ("example.com is up...", ["example.com is up..."]),
        ("", []),
    ],
)
def test_where_sentences_end(text: str, cut: list[str]) -> None:
    assert sentences(text) == cut


def test_short_ones_are_joined_so_that_crumbs_are_judged_together() -> None:
    assert sentences("i. d. i. o. t. You see that.", min_length=20) == ["i. d. i. o. t. You see that."]


def test_a_text_without_an_end_is_cut_at_white_space_in_its_second_half() -> None:
    assert sentences("aaaa bbbb cccc dddd eeee", max_length=12) == ["aaaa bbbb", " cccc dddd", " eeee"]
    assert sentences("x" * 25, max_length=10) == ["x" * 10, "x" * 10, "x" * 5]


def test_lengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="min_length"):
        SentenceSplitter(min_length=30, max_length=40)
