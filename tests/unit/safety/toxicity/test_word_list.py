"""Listed words are found in disguise and where they stand, and never inside other words."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError
from heeler.safety.toxicity.folding import fold, undisguised
from heeler.safety.toxicity.word_list import WordList, default_words

LIST = WordList(("idiot", "moron", "ass", "bitch"))
HIDDEN = [
    *("idiot", "IDIOT", "Idiots", "1d10t", "!diot", "idiooot", "i d i o t", "i.d.i.o.t", "i-d-i-o-t", "i_d_i_o_t"),
    *("id-iot", "id.iot", "idi*t", "i***t", "i*d*i*o*t", "\uff29\uff24\uff29\uff2f\uff34", "\u0456di\u043et"),
    *("i\u200bd\u200bi\u200bo\u200bt", "i\u00addiot", "i\u0301d\u0301i\u0301o\u0301t\u0301", "\u202eidiot"),
]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("around", ["{}", "You {}!", "({})", "so, {}, no.", "é {} é", "\u4f60 {} \u4f60"])
def test_a_listed_word_is_found_where_it_stands(hidden: str, around: str) -> None:
    text = around.format(hidden)
    hits = [hit for hit in LIST.hits(text) if hit.word == "idiot"]
    assert hits
    found = text[hits[0].start : hits[0].end]
    assert found.strip("\u202e") in hidden or hidden.strip("\u202e") in found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Scunthorpe",
            "class",
            "pass the assessment",
            "assassin",
            "Essex",
            "a bassoon",
            "idiom",
            "oxymoron",
            "Moroni",
        ),
        *("as is", "a s", "as-is", "**a** b", "a**", "a 5 5", "5 a 5", "embassy", "", "   ", "***", "@ $ !"),
    ],
)
def test_look_alikes_are_not_found(text: str) -> None:
    assert LIST.hits(text) == []


def test_a_word_needs_as_many_letters_in_a_row_as_it_has() -> None:
    assert LIST.hits("as") == []
    assert [hit.word for hit in LIST.hits("assss")] == ["ass"]


def test_the_shipped_list_knows_the_usual_and_leaves_the_usual_alone() -> None:
    words = default_words()
    assert words.hits("What the f*ck, you m0r0n?")
    assert not words.hits("The spices from Scunthorpe cost $5 at the cocktail bar, Mr. Dickens. Shiitake, too.")


@given(st.text(max_size=80))
def test_any_text_can_be_looked_at(text: str) -> None:
    for hit in default_words().hits(text):
        assert 0 <= hit.start < hit.end <= len(text)


@given(st.text(max_size=60))
def test_folding_again_changes_nothing_for_plain_letters(text: str) -> None:
    once = fold(text)
    assert fold(once) == once or not once.isascii()


def test_numbers_and_money_are_no_disguise() -> None:
    assert undisguised("pay $300 at 5pm for the mp3 of 1080p") == "pay $300 at 5pm for the mp3 of 1080p"


@pytest.mark.parametrize("words", [(), ("Idiot",), ("i",), ("two words",), ("ïdiot",)])
def test_words_that_could_never_be_found_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="words must be"):
        WordList(words)


@pytest.mark.parametrize("piece", ["a.", "a ", "*", "a-", "1", "a*", "id-", "!|", "a  ", "@", "i1", "é", ".a", "s "])
def test_hostile_text_takes_no_longer_than_other_text(piece: str) -> None:
    """Twice the text may take twice the time, with room for a busy machine, and never four times."""
    took_s: list[float] = []
    for length in (5_000, 10_000):
        start = time.process_time()
        default_words().hits(piece * length)
        undisguised(piece * length)
        took_s.append(time.process_time() - start)
    assert took_s[1] < 3 * took_s[0] + 0.3
