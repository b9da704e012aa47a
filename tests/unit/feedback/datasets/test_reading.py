"""Rows of every format that users bring, and the rows that are refused or left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Message, plain_prompt
from heeler.feedback.datasets import DataConfig, read_compared, read_demonstrations, read_judged, read_pairs

USER = {"role": "user", "content": "What is the sky?"}
BLUE, GREEN = {"role": "assistant", "content": "It is blue."}, {"role": "assistant", "content": "It is green."}
ASKED = (Message(role="user", content="What is the sky?"),)
GOOD = {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}


def file(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD, (plain_prompt("The sky is"), " blue.", " green.")),
        ({"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]}, (ASKED, "It is blue.", "It is green.")),
        ({"prompt": [USER], "chosen": "It is blue.", "rejected": "No."}, (ASKED, "It is blue.", "No.")),
        ({"chosen": [USER, BLUE], "rejected": [USER, GREEN]}, (ASKED, "It is blue.", "It is green.")),
        (
            {"chosen": "\n\nHuman: Hm?\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hm?\n\nAssistant: No."},
            ((Message(role="user", content="Hm?"),), "Yes.", "No."),
        ),
        (
            {"chosen": "The sky is blue.", "rejected": "The sky is green."},
            (plain_prompt("The sky is"), " blue.", " green."),
        ),
    ],
)
def test_pairs_with_a_prompt_of_their_own_or_a_shared_beginning(
    tmp_path: Path, row: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    (pair,) = read_pairs(file(tmp_path, row)).items
    assert (pair.prompt, pair.chosen, pair.rejected) == expected
    assert (pair.margin, pair.is_equal, pair.group) == (0.0, False, "")
    assert pair.place.endswith("rows.jsonl, line 1")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"margin": 1.5}, (1.5, False, "")),
        ({"chosen_score": 9, "rejected_score": 7.5}, (1.5, False, "")),
        ({"score_chosen": 4, "score_rejected": 4}, (0.0, False, "")),
        ({"choice": "equal"}, (0.0, True, "")),
        ({"choice": "left", "category": 3}, (0.0, False, "3")),
        ({"group": "safety", "category": "x"}, (0.0, False, "safety")),
    ],
)
def test_strength_ties_and_groups(tmp_path: Path, more: dict[str, Any], expected: tuple[float, bool, str]) -> None:
    (pair,) = read_pairs(file(tmp_path, GOOD | more | {"annotator": "ann"})).items
    assert (pair.margin, pair.is_equal, pair.group, pair.annotator) == (*expected, "ann")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x", "chosen": "a"}, r"rejected: missing; pairs have chosen, rejected"),
        ({"prompt": "x", "choosen": "a", "rejected": "b"}, r"chosen: missing; .*Did you mean 'choosen'\?"),
        (
            {"prompt": "x", "completion": "a", "label": True},
            r"chosen: missing; .*the row has prompt, completion, label",
        ),
        (GOOD | {"chosen": 3}, r"rejected: expected what chosen is"),
        (GOOD | {"chosen": 3, "rejected": 4}, r"chosen: expected text or a list of messages, got 3"),
        ({"prompt": [USER], "chosen": [USER], "rejected": [GREEN]}, r"chosen: expected one message of the assistant"),
        ({"prompt": [{"role": "user"}], "chosen": "a", "rejected": "b"}, r"prompt\[0\]\.content: missing"),
        ({"chosen": [USER, BLUE], "rejected": [BLUE, GREEN]}, r"rejected: .*these are of two"),
        ({"chosen": "One.", "rejected": "Two."}, r"rejected: expected to begin like chosen"),
        (GOOD | {"margin": -1}, r"margin: expected at least 0"),
        (GOOD | {"margin": "much"}, r"margin: expected a finite number, got 'much'"),
        (GOOD | {"margin": float("inf")}, r"not JSON: Infinity"),
        (
            GOOD | {"chosen_score": 1, "rejected_score": 2},
            r"chosen_score: expected at least rejected_score \(2\), got 1",
        ),
        (GOOD | {"choice": "none"}, r"choice: expected 'left', 'right' or 'equal', got 'none'"),
        (GOOD | {"choice": "equal", "margin": 2}, r"margin: neither is better"),
    ],
)
def test_missing_or_wrong_columns_are_named_with_file_and_row(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"rows\.jsonl, line 2: .*{message}"):
        read_pairs(file(tmp_path, GOOD, row))


EMPTY, SAME = GOOD | {"chosen": " \n"}, GOOD | {"rejected": " blue."}


def test_empty_or_identical_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    found = read_pairs(file(tmp_path, GOOD, EMPTY, SAME, SAME), DataConfig(max_unusable_share=0.75))
    assert [pair.place[-6:] for pair in found.items] == ["line 1"]
    assert (found.num_rows, found.num_dropped) == (4, 3)
    assert found.dropped == {"chosen: empty": 1, "rejected: the same text as chosen": 2}
    assert found.first_dropped.endswith("rows.jsonl, line 2: chosen: empty")


@pytest.mark.parametrize(("row", "reason"), [(EMPTY, "chosen: empty"), (SAME, "rejected: the same text as chosen")])
def test_empty_or_identical_pairs_are_refused_where_that_is_asked_for(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=rf"rows\.jsonl, line 2: {reason}"):
        read_pairs(file(tmp_path, GOOD, row), DataConfig(unusable_rows="refuse"))


def test_too_many_unusable_rows_are_another_dataset_than_was_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: chosen: empty; so it is with 1 of 2 rows, and at most 5%"):
        read_pairs(file(tmp_path, GOOD, EMPTY))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl: it holds no rows"):
        read_pairs(file(tmp_path))


def test_judged_answers(tmp_path: Path) -> None:
    rows = [
        {"prompt": "The sky is", "completion": " blue.", "label": True},
        {"prompt": [USER], "completion": [GREEN], "label": 0},
    ]
    one, other = read_judged(file(tmp_path, *rows)).items
    assert (one.prompt, one.completion, one.is_good) == (plain_prompt("The sky is"), " blue.", True)
    assert (other.prompt, other.completion, other.is_good) == (ASKED, "It is green.", False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x", "completion": "y"}, "label: missing"),
        ({"prompt": "x", "completion": "y", "label": "yes"}, "label: expected true or false, got 'yes'"),
        ({"prompt": "x", "completion": "y", "label": 0.5}, "label: expected true or false, got 0.5"),
        ({"prompt": "x", "completion": [USER], "label": True}, "completion: expected text or one message"),
    ],
)
def test_judged_answers_that_do_not_hold(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"rows\.jsonl, line 1: {message}"):
        read_judged(file(tmp_path, row))


def test_each_message_of_the_assistant_is_a_demonstration(tmp_path: Path) -> None:
    first, second = read_demonstrations(file(tmp_path, {"messages": [USER, BLUE, USER, GREEN]})).items
    assert (first.prompt, first.completion) == (ASKED, "It is blue.")
    assert [message.role for message in second.prompt] == ["user", "assistant", "user"]
    assert second.completion == "It is green."


def test_demonstrations_may_be_plain(tmp_path: Path) -> None:
    found = read_demonstrations(file(tmp_path, {"text": "All of it."}, {"prompt": "The sky", "completion": " is."}))
    assert [(item.prompt, item.completion) for item in found.items] == [
        ((), "All of it."),
        (plain_prompt("The sky"), " is."),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"content": "x"},
            "messages: missing; expected messages, or prompt and completion, or text; the row has content",
        ),
        ({"messages": "x"}, "messages: expected a list of messages, got 'x'"),
        ({"messages": [USER]}, "messages: none of them is the assistant's"),
        ({"completion": "x"}, "prompt: missing"),
        ({"text": 3}, "text: expected text, got 3"),
    ],
)
def test_demonstrations_that_do_not_hold(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"rows\.jsonl, line 1: {message}"):
        read_demonstrations(file(tmp_path, row), DataConfig(unusable_rows="refuse"))


@pytest.mark.parametrize(
    ("settings", "message"), [({"unusable_rows": "keep"}, "unusable_rows"), ({"max_unusable_share": 2}, "share")]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataConfig(**settings)


def judged(prompt: str, completion: str, label: bool) -> dict[str, Any]:
    return {"prompt": prompt, "completion": completion, "label": label}


def test_judged_answers_to_one_prompt_are_pairs(tmp_path: Path) -> None:
    rows = [judged("a", "good", True), judged("a", "bad", False), judged("b", "x", True), judged("a", "worse", False)]
    found = read_compared(file(tmp_path, *rows))
    assert [(pair.chosen, pair.rejected) for pair in found.items] == [("good", "bad"), ("good", "worse")]
    assert {pair.prompt for pair in found.items} == {plain_prompt("a")}
    assert found.dropped == {"no answer of the other label to its prompt": 1}
    assert found.first_dropped.endswith("rows.jsonl, line 3: no answer of the other label to its prompt")


def test_a_text_that_was_called_good_and_bad_says_nothing(tmp_path: Path) -> None:
    rows = [judged("a", "same", True), judged("a", "same", False), judged("b", "x", True), judged("b", "y", False)]
    found = read_compared(file(tmp_path, *rows))
    assert [pair.chosen for pair in found.items] == ["x"]
    assert found.dropped == {"no answer of the other label to its prompt": 2}


def test_pairs_are_read_as_they_stand_and_judged_answers_without_a_pair_are_refused(tmp_path: Path) -> None:
    assert read_compared(file(tmp_path, GOOD)).items == read_pairs(file(tmp_path, GOOD)).items
    with pytest.raises(DataError, match="no prompt has an answer that was called good and another"):
        read_compared(file(tmp_path, judged("a", "x", True), judged("b", "y", False)))
    with pytest.raises(DataError, match="line 1: label: expected true or false"):
        read_compared(file(tmp_path, {"prompt": "a", "completion": "x", "label": "no"}))
    with pytest.raises(DataError, match="chosen: missing"):
        read_compared(file(tmp_path, {"prompt": "a"}))
