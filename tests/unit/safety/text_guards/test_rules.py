"""What each rule finds, and what it leaves alone."""

from typing import Any

import pytest

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message
from heeler.safety.text_guards.findings import Finding
from heeler.safety.text_guards.rules import Custom, ListedWords, Pattern, PersonalData, PromptLeak, Toxic
from tests.unit.safety.text_guards.helpers import PROMPT, SYSTEM


def test_listed_words_are_found_in_disguise() -> None:
    (found,) = ListedWords().look("You 1d10t.", PROMPT)
    assert (found.start, found.end) == (4, 9)
    assert ListedWords().look("Scunthorpe is a town.", PROMPT) == []


def test_a_toxic_sentence_is_found_as_a_whole() -> None:
    text = "It comes on Monday.  You are so stupid. Bye for now."
    (found,) = Toxic().look(text, PROMPT)
    assert text[found.start : found.end] == "You are so stupid."
    assert found.score is not None and found.score >= 0.5
    assert Toxic(threshold=1.0).look(text, PROMPT) == []


def test_personal_data_is_found_unless_the_system_message_has_it() -> None:
    shop = (
        Message(role="system", content="Our e-mail is Desk@Lumen.example."),
        Message(role="user", content="me@x.org"),
    )
    text = "Write to desk@lumen.example or me@x.org, or call +49 30 1234567."
    assert [one.what for one in PersonalData().look(text, shop)] == ["e-mail", "phone"]
    assert [one.what for one in PersonalData(allowed_roles=("system", "user")).look(text, shop)] == ["phone"]
    assert len(PersonalData(allowed_roles=()).look(text, shop)) == 3


def test_a_long_run_of_the_system_message_is_a_leak() -> None:
    text = f"My orders are: {SYSTEM.upper()} That is all."
    (found,) = PromptLeak().look(text, PROMPT)
    assert text[found.start : found.end] == SYSTEM.upper().rstrip(".")
    assert PromptLeak().look("We are the help desk of Lumen and Sons, and open at nine.", PROMPT) == []
    assert PromptLeak(num_words=5).look("We are the help desk of Lumen and Sons, and open at nine.", PROMPT)


def test_a_leak_in_disguise_is_seen() -> None:
    hidden = SYSTEM.replace("o", "\u043e").replace("e", "e\u0301").replace("l", "l\u200b")
    (found,) = PromptLeak().look(f"So: {hidden} That.", PROMPT)
    assert (found.start, found.end) == (4, 4 + len(hidden) - 1)


def test_a_secret_shorter_than_the_run_is_looked_for_whole() -> None:
    rule = PromptLeak(secret="the code is BLUE77")
    assert rule.look("Psst, the code is blue77!", PROMPT)
    assert rule.look("The code is secret.", PROMPT) == []
    assert PromptLeak(secret="hi").look("hi hi hi", PROMPT) == []
    assert PromptLeak().look("anything at all", ()) == []


def test_a_pattern_finds_each_place() -> None:
    rule = Pattern(r"BLUE\d+", what="code", action="replace")
    assert [(one.start, one.end, one.what) for one in rule.look("BLUE77 or BLUE8", PROMPT)] == [
        (0, 6, "code"),
        (10, 15, "code"),
    ]


@pytest.mark.parametrize("pattern", ["(", "a*", ""])
def test_patterns_that_are_none_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, []),
        (False, []),
        (True, [Finding(start=0, end=2, what="mine")]),
        ("too rude", [Finding(start=0, end=2, what="too rude")]),
        ([Finding(start=0, end=1, what="x")], [Finding(start=0, end=1, what="x")]),
        ([], []),
    ],
)
def test_what_a_function_may_say(said: Any, found: list[Finding]) -> None:
    assert Custom(lambda _: said, name="mine").look("hi", PROMPT) == found


@pytest.mark.parametrize("said", [1, "", 0.5, ["words"], {}])
def test_a_function_that_says_something_else_fails(said: Any) -> None:
    if said == {}:
        said = object()
    with pytest.raises(TypeError, match="must give"):
        Custom(lambda _: said, name="mine").look("hi", PROMPT)


def test_what_a_function_raises_comes_through() -> None:
    def broken(text: str) -> bool:
        raise KeyError(text)

    with pytest.raises(KeyError):
        Custom(broken).look("hi", PROMPT)
    assert Custom(broken).name == "broken"


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_words"):
        PromptLeak(num_words=2)
    with pytest.raises(ConfigError, match="threshold"):
        Toxic(threshold=0)
