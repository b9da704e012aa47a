import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.rollouts.text_stream import TextStream
from tests.tiny_models import tiny_llama

MODEL = tiny_llama()
texts = st.text(max_size=20)


def streamed(text: str, stop: tuple[str, ...] = ()) -> list[str]:
    """Pieces of a text that comes byte by byte."""
    stream = TextStream(MODEL, stop)
    pieces: list[str] = []
    for token in MODEL.completion_ids(text)[:-1].tolist():
        pieces.append(stream.push(token))
        if stream.has_stopped:
            break
    return [*pieces, stream.finish()]


@given(texts)
def test_pieces_are_the_text_and_never_half_a_character(text: str):
    pieces = streamed(text)
    assert "".join(pieces) == text
    assert "�" in text or not any("�" in piece for piece in pieces)


@given(texts, st.lists(st.text(min_size=1, max_size=3), max_size=3).map(tuple))
def test_nothing_of_a_string_that_stops_is_shown(text: str, stop: tuple[str, ...]):
    ends = [text.find(string) for string in stop if string in text]
    got = "".join(streamed(text, stop))
    # The string that is whole first stops; of those that are whole at once, the one that begins first.
    first = min((text.find(string) + len(string) for string in stop if string in text), default=None)
    if first is None:
        assert got == text
    else:
        assert got == text[: min(text.find(s) for s in stop if 0 <= text.find(s) <= first - len(s))]
        assert len(got) <= max(ends)


def test_characters_of_many_bytes_come_whole():
    assert streamed("aé€😀") == ["a", "", "é", "", "", "€", "", "", "", "😀", ""]


def test_what_could_begin_a_stop_is_held_back_and_shown_when_it_does_not():
    assert streamed("one##two###", ("###",)) == ["o", "n", "e", "", "", "##t", "w", "o", "", "", "", ""]
    assert streamed("ab#", ("##",)) == ["a", "b", "", "#"]


def test_half_a_character_at_the_end_is_left_out():
    stream = TextStream(MODEL)
    first = MODEL.completion_ids("€")[0]
    assert stream.push(int(first)) == "" and stream.finish() == ""


@pytest.mark.parametrize("token", ["<|assistant|>", "<|pad|>"])
def test_tokens_that_say_nothing(token: str):
    stream = TextStream(MODEL)
    assert stream.push(MODEL.tokenizer.convert_tokens_to_ids(token)) == ""
    assert [stream.push(i) for i in MODEL.completion_ids(" b")[:-1].tolist()] == [" ", "b"]
