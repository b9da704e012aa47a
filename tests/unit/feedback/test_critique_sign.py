"""Whether a marked part is good or bad goes with a critique to other programs and back."""

from typing import Any

import pytest

from heeler.feedback.transfer import argilla_texts, label_studio_texts
from heeler.feedback.transfer.text_answers import part_label, sign_of_label

COMPLETION = "The sky is green."


@pytest.mark.parametrize(
    ("value", "label"), [({"sign": 1}, "good"), ({"sign": -1}, "bad"), ({}, "part")], ids=["good", "bad", "unsaid"]
)
def test_a_part_is_labelled_by_its_sign(value: dict[str, Any], label: str) -> None:
    assert part_label(value) == label
    assert sign_of_label([label]) == value
    critique = {"text": "Look.", "start": 11, "end": 16, **value}
    region, words = label_studio_texts._results("critique", critique, COMPLETION, "r")
    assert region["value"]["labels"] == [label]
    assert label_studio_texts._critique(region["value"], words, COMPLETION, "result[0].value") == critique
    given = argilla_texts._given("critique", critique, COMPLETION)
    assert list(argilla_texts._critiques(given["part"], given["critique"], COMPLETION, "part")) == [
        ("critique", critique)
    ]


@pytest.mark.parametrize("labels", [None, [], ["too long"], ["good", "bad"], "good"])
def test_other_labels_say_nothing_of_the_sign(labels: object) -> None:
    assert sign_of_label(labels) == {}
