"""Segments of text in the store: what goes in comes out letter by letter, and only like is compared with like."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from heeler.core.errors import ConflictError, DataError
from heeler.core.nouns import Message, PolicyVersion, TextSegment, plain_prompt
from heeler.feedback.segment_files import SegmentFolder, check_segment
from heeler.feedback.store import Store
from heeler.feedback.text_files import MAX_COMPLETION, MAX_MESSAGES, MAX_PROMPT
from tests.unit.feedback.helpers import Home, add_comparisons, make_answer, make_query, make_segment, make_text

NASTY = [
    "",
    " \n\t ",
    "a😀e\u0301\u200d👩\u200d👩\u200d👧",
    "\u202eright to left\u202c שלום",
    "\ufeffafter a byte order mark \u2028 and a line separator \x85\x1b[31m",
    "\U0010ffff \ud7ff \ue000 \ufffe \ufffd \x01 \x7f",
    '{"role": "user"} \\ud83d \\u0000 " \\ / </script><script>alert(1)</script>',
    "\r\n\r\nHuman: hello\r",
]


@pytest.mark.parametrize("text", NASTY)
def test_comes_back_letter_by_letter(store: Store, text: str) -> None:
    chat = (Message(role="system", content=text), Message(role="user", content=""))
    segments = [make_text(text, prompt=text), make_text(text, policy_version=0)]
    segments += [
        TextSegment(prompt=prompt, completion=text, policy_version=0) for prompt in (plain_prompt(text), chat, ())
    ]
    ids = store.add_segments(segments)
    assert ids == [segment.id for segment in segments]
    assert list(store.segments(ids).values()) == list(dict.fromkeys(segments))
    facts = store.segment_facts(ids)[ids[0]]
    assert (facts.env_id, facts.is_text, facts.num_steps) == ("text", True, len(text))
    assert (facts.observation_size, facts.action_size, facts.action_discrete) == (0, 0, False)
    assert facts.trajectory_id == segments[0].trajectory_id


def test_both_kinds_live_in_one_store_and_outlive_it(store: Store, home: Home) -> None:
    text, control = make_text("blue"), make_segment(0)
    ids = store.add_segments([text, control])
    assert store.add_segments([text]) == ids[:1]
    assert store.counts()["segments"] == 2
    store.close()
    with Store.open(home.target, segments_dir=home.segments) as again:
        assert again.segment(ids[0]) == text
        found = again.segment(ids[1])
        assert found.id == control.id


STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
MESSAGES = st.builds(Message, role=st.sampled_from(["user", "assistant", "system", "tool"]), content=STORABLE)
PROMPTS = st.lists(MESSAGES, max_size=4).map(tuple) | STORABLE.map(plain_prompt)


@settings(max_examples=60, deadline=None)
@given(st.builds(TextSegment, prompt=PROMPTS, completion=STORABLE, policy_version=st.integers(0, 2**31 - 1)))
def test_a_file_holds_any_text(segment: TextSegment) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = SegmentFolder(Path(name))
        check_segment(segment)
        folder.write({segment.id: segment})
        assert folder.read(segment.id) == segment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"completion": "x" * (MAX_COMPLETION + 1)}, "completion: expected at most 100,000 characters, got 100,001"),
        ({"completion": "a\0b"}, r"completion: expected text without NUL .* got '\\x00' at character 1"),
        ({"completion": "😀\ud83d"}, r"completion: expected text without .* got '\\ud83d' at character 1"),
        ({"prompt": plain_prompt("\udc00")}, r"prompt\[0\].content: expected text without NUL"),
        ({"prompt": (Message(role="", content="x"),)}, r"prompt\[0\].role: expected a word of at most 64"),
        ({"prompt": (Message(role="us\ner", content="x"),)}, r"prompt\[0\].role: expected a word"),
        ({"prompt": (Message(role="r" * 65, content="x"),)}, r"prompt\[0\].role: expected a word"),
        ({"prompt": (Message(role="user", content="x" * MAX_PROMPT),) * 2}, "prompt: expected at most 1,000,000 .* in"),
        ({"prompt": (Message(role="user", content=""),) * (MAX_MESSAGES + 1)}, "prompt: expected at most 10,000 mess"),
        ({"prompt": (*plain_prompt("x"), Message(role="user", content="x"))}, "prompt: plain text is one message"),
        ({"policy_version": 7}, "policy_version: 7 is unknown"),
    ],
)
def test_a_bad_text_refuses_the_batch(store: Store, home: Home, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"segments\[1\].{message}"):
        store.add_segments([make_text("fine"), replace(make_text("fine"), **changes)])
    assert store.counts()["segments"] == 0
    assert list(home.segments.iterdir()) == []


def test_no_world_is_named_text(store: Store) -> None:
    with pytest.raises(DataError, match="env_id: 'text' stands for text, and no world may be named so"):
        store.add_segments([make_segment(0, env_id="text")])


@pytest.mark.parametrize(
    "header",
    [
        {"completion": '"It is green."'},
        {"policy_version": "1"},
        {"prompt": "[]"},
        {"prompt": '[{"role": "user"}]'},
        {"prompt": "[3]"},
        {"prompt": '{"role": "user", "content": "What is the sky?"}'},
        {"prompt": "[" * 100_000},
        {"completion": "3"},
        {"completion": "It is blue."},
        {"completion": '"\\ud83d"'},
        {"policy_version": "x"},
        {"prompt": None},
        {"completion": None},
    ],
)
def test_an_altered_file_is_refused_by_name(store: Store, home: Home, header: dict[str, str | None]) -> None:
    segment = make_text("It is blue.")
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    whole = {
        "prompt": json.dumps([{"role": "user", "content": "What is the sky?"}]),
        "completion": '"It is blue."',
        "policy_version": "0",
    }
    save_file({}, file, metadata=whole)
    assert store.segment(segment.id) == segment
    changed: dict[str, str | None] = {**whole, **header}
    save_file({}, file, metadata={name: value for name, value in changed.items() if value is not None})
    with pytest.raises(DataError, match=f"segments/{segment.id}.safetensors: (altered|not a readable segment)"):
        store.segment(segment.id)


@pytest.mark.parametrize("place", [0, 7, 30, -1, -30])
def test_an_altered_byte_is_refused_by_name(store: Store, home: Home, place: int) -> None:
    segment = make_text("It is blue, but for the clouds.")
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=f"segments/{segment.id}.safetensors"):
        store.segment(segment.id)


# Asking and answering


def test_completions_of_one_prompt_are_compared(store: Store) -> None:
    store.add_policy_version(PolicyVersion(version=1, step=9))
    ids = store.add_segments([make_text("blue"), make_text("blue", policy_version=1), make_text("green")])
    queries = [make_query("a", ids[0], ids[1]), make_query("b", ids[2], ids[0])]
    store.add_queries(queries)
    store.add_feedback([make_answer(queries[0], choice="equal"), make_answer(queries[1])])
    assert store.counts()["by_choice"] == {"equal": 1, "left": 1}


def test_nothing_else_is_compared_with_a_text(store: Store) -> None:
    ids = store.add_segments([make_text("blue"), make_text("blue", prompt="And the sea?"), make_segment(0)])
    ids += store.add_segments([TextSegment(prompt=plain_prompt("What is the sky?"), completion="x", policy_version=0)])
    with pytest.raises(DataError, match=r"queries\[0\].segment_ids: completions of two different prompts"):
        store.add_queries([make_query("a", ids[0], ids[1])])
    with pytest.raises(DataError, match=r"queries\[0\].segment_ids: completions of two different prompts"):
        store.add_queries([make_query("a", ids[0], ids[3])])
    for pair in ((ids[0], ids[2]), (ids[2], ids[0])):
        with pytest.raises(DataError, match=r"queries\[0\].segment_ids: one is a text and the other is not"):
            store.add_queries([make_query("a", *pair)])
    with pytest.raises(DataError, match="shows 2 different segments"):
        store.add_queries([make_query("a", ids[0], ids[0])])
    assert store.query_count() == 0


def test_a_text_is_marked_by_characters_edited_and_written_anew(store: Store) -> None:
    text = make_text("a😀b, ask jo@example.org")
    better = make_text("a😀b")
    ids = store.add_segments([text, better])
    queries = [make_query(kind, ids[0], kind=kind) for kind in ("critique", "correction", "demonstration")]
    store.add_queries(queries)
    values: list[dict[str, Any]] = [
        {"text": "no 😀, write to bo@example.org", "start": 1, "end": 2},
        {"text": "a b, ask bo@example.org"},
        {"segment_id": ids[1]},
    ]
    store.add_feedback([make_answer(query, value=value) for query, value in zip(queries, values, strict=True)])
    kept = [dict(answer.value) for _, answer in store.feedback_after(0, limit=9, up_to_step=None)]
    # What people write is redacted; the text that they write about, and so the part that they marked, is not moved.
    assert kept == [
        {"text": "no 😀, write to [e-mail]", "start": 1, "end": 2},
        {"text": "a b, ask [e-mail]"},
        {"segment_id": ids[1]},
    ]
    found = store.segment(ids[0])
    assert isinstance(found, TextSegment)
    assert found.completion[kept[0]["start"] : kept[0]["end"]] == "😀"
    beyond = {"text": "x", "start": 0, "end": len(text) + 1}
    with pytest.raises(DataError, match=rf"value.end: expected 1 to {len(text)}, got {len(text) + 1}"):
        store.add_feedback([make_answer(queries[0], "beyond", value=beyond)])
    with pytest.raises(ConflictError):
        store.add_feedback([make_answer(queries[1], value={"text": "another"})])


def test_texts_are_leased_like_everything_else(store: Store) -> None:
    ids = store.add_segments([make_text("blue"), make_text("green")])
    store.add_queries([make_query("a", *ids)])
    (lease,) = store.lease("ann", 5, overlap=1, duration_s=60)
    assert lease.query.segment_ids == tuple(ids)


def test_questions_of_other_kinds_and_about_texts_are_none_of_a_learners(store: Store) -> None:
    assert store.clip_comparison_count() == 0
    add_comparisons(store, 3)
    texts = store.add_segments([make_text("a"), make_text("b")])
    (clip,) = store.add_segments([make_segment(99)])
    others = [make_query("text", *texts), make_query("rate", clip, kind="rating")]
    store.add_queries(others)
    assert (store.query_count(), store.clip_comparison_count()) == (5, 3)
    store.add_feedback([make_answer(others[0])])
    assert store.clip_comparison_count() == 3
