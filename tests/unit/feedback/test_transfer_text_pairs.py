"""Pairs of texts: every way in which datasets write them, and the same file back out."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import DataError
from heeler.core.nouns import Message, PolicyVersion, TextSegment, plain_prompt
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import add_comparisons, make_answer, make_query, make_text, new_store
from tests.unit.feedback.transfer_helpers import contents, everything, lines, write_lines

Roles = tuple[tuple[str, str], ...]


def chat(*messages: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def asked(*messages: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=content) for role, content in messages)


USER = ("user", "What is the sky?")
BLUE, GREEN = ("assistant", "It is blue."), ("assistant", "It is green.")
LONGER = (("system", "Be kind."), USER, ("assistant", "Guess."), ("user", "Red 😀?"))


def taken(store: Store) -> tuple[tuple[Message, ...], str, str]:
    """(prompt, chosen, rejected) of the only answer."""
    ((answer, query, _),) = everything(store)
    left, right = (store.segment(name) for name in query.segment_ids)
    assert isinstance(left, TextSegment)
    assert isinstance(right, TextSegment)
    assert left.prompt == right.prompt
    better, worse = (left, right) if answer.value["choice"] == "left" else (right, left)
    return better.prompt, better.completion, worse.completion


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
            (plain_prompt("The sky is"), " blue.", " green."),
        ),
        ({"prompt": "", "chosen": "It rains.", "rejected": "No."}, ((), "It rains.", "No.")),
        ({"prompt": "Say\n\nAssistant:", "chosen": "", "rejected": "x"}, (plain_prompt("Say\n\nAssistant:"), "", "x")),
        (
            {"prompt": chat(USER), "chosen": chat(BLUE), "rejected": chat(GREEN)},
            (asked(USER), "It is blue.", "It is green."),
        ),
        ({"prompt": chat(USER), "chosen": "blue", "rejected": "green"}, (asked(USER), "blue", "green")),
        (
            {"prompt": chat(USER), "chosen": chat(USER, BLUE), "rejected": chat(USER, GREEN)},
            (asked(USER), "It is blue.", "It is green."),
        ),
        (
            {"prompt": USER[1], "chosen": chat(USER, BLUE), "rejected": chat(USER, GREEN)},
            (asked(USER), "It is blue.", "It is green."),
        ),
        (
            {"prompt": USER[1], "chosen": chat(BLUE), "rejected": chat(GREEN)},
            (asked(USER), "It is blue.", "It is green."),
        ),
        ({"prompt": None, "chosen": chat(USER, BLUE), "rejected": chat(USER, GREEN)}, (asked(USER), BLUE[1], GREEN[1])),
        (
            {"chosen": chat(*LONGER, BLUE), "rejected": chat(*LONGER, GREEN)},
            (asked(*LONGER), "It is blue.", "It is green."),
        ),
        (
            {"chosen": "The sky is blue.", "rejected": "The sky is green."},
            (plain_prompt("The sky is"), " blue.", " green."),
        ),
        # Parted where a word ends, never within one: "green" and "grey" begin alike too.
        (
            {"chosen": "The sky is green", "rejected": "The sky is grey"},
            (plain_prompt("The sky is"), " green", " grey"),
        ),
        ({"chosen": "The sky", "rejected": "The sky is grey"}, (plain_prompt("The sky"), "", " is grey")),
        ({"chosen": "The sky is", "rejected": "The skyline is"}, (plain_prompt("The"), " sky is", " skyline is")),
        (
            {
                "chosen": "\n\nHuman: Sky?\n\nAssistant: Guess.\n\nHuman: Red:\n\n1. x\n\nAssistant: No. \n\nBlue.",
                "rejected": "\n\nHuman: Sky?\n\nAssistant: Guess.\n\nHuman: Red:\n\n1. x\n\nAssistant:",
            },
            (asked(("user", "Sky?"), ("assistant", "Guess."), ("user", "Red:\n\n1. x")), "No. \n\nBlue.", ""),
        ),
        (
            {
                "chosen": "Human: Sky?\n\nAssistant: One.\n\nAssistant: Two.",
                "rejected": "Human: Sky?\n\nAssistant: One. Human: no\n\nAssistant: Three.",
            },
            (asked(("user", "Sky?")), "One.\n\nAssistant: Two.", "One. Human: no\n\nAssistant: Three."),
        ),
    ],
)
def test_every_way_to_write_a_pair_is_read(store: Store, tmp_path: Path, row: dict[str, Any], expected: object) -> None:
    file = write_lines(tmp_path / "f", [row])
    imported = import_feedback(store, file, "pairs", env_id="text")
    assert (imported.num_answers, imported.num_queries, imported.num_segments) == (1, 1, 2)
    assert taken(store) == expected
    again = import_feedback(store, file, "pairs", env_id="text")
    assert (again.num_answers, again.num_known, again.num_segments) == (0, 1, 0)
    assert store.counts()["segments"] == 2


def test_who_judged_is_named_or_the_dataset(store: Store, tmp_path: Path) -> None:
    row = {"prompt": "Say", "chosen": " a", "rejected": " b"}
    turned = {"prompt": "Say", "chosen": " b", "rejected": " a"}
    rows = [row, row, turned, row | {"annotator": "jo", "confidence": 0.5}]
    imported = import_feedback(store, write_lines(tmp_path / "f", rows), "pairs")
    assert (imported.num_answers, imported.num_known, imported.num_queries) == (3, 1, 1)
    annotators = store.bulk.annotators()
    assert (annotators["dataset"].kind, annotators["jo"].kind) == ("program", "person")
    choices = {(answer.annotator, answer.value["choice"]) for answer, _, _ in everything(store)}
    assert len(choices) == 3, "the dataset says both"


def test_the_better_text_stands_on_neither_side(store: Store, tmp_path: Path) -> None:
    rows = [{"prompt": "Say", "chosen": f" {n}", "rejected": f" -{n}"} for n in range(1, 41)]
    import_feedback(store, write_lines(tmp_path / "f", rows), "pairs")
    by_choice = store.counts()["by_choice"]
    assert min(by_choice.get("left", 0), by_choice.get("right", 0)) >= 10


def test_a_pair_that_nobody_judged_is_a_question(store: Store, tmp_path: Path) -> None:
    rows = [{"prompt": "Say", "left": " a", "right": " b"}, {"left": chat(USER, BLUE), "right": chat(USER, GREEN)}]
    file = write_lines(tmp_path / "f", rows)
    imported = import_feedback(store, file, "pairs", env_id="text")
    assert (imported.num_answers, imported.num_queries, imported.num_segments) == (0, 2, 4)
    assert import_feedback(store, file, "pairs", env_id="text").num_queries == 0
    leases = store.lease("ann", 9, overlap=1, duration_s=60)
    assert len(leases) == 2
    store.add_feedback([make_answer(lease.query) for lease in leases])
    assert export_feedback(store, str(tmp_path / "out"), "pairs").num_answers == 2


def test_secrets_are_redacted_before_they_are_hashed_and_stored(store: Store, home: Any, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "prompt": "Write to jo@example.org",
            "chosen": " or +49 170 1234567",
            "rejected": " no, key AKIAABCDEFGHIJKLMNOP",
        },
        {
            "chosen": chat(("user", "I am jo@example.org"), BLUE),
            "rejected": chat(("user", "I am jo@example.org"), GREEN),
        },
        {"chosen": "Dial +49 170 1234567 now", "rejected": "Dial +49 170 7654321 now"},
    ]
    imported = import_feedback(store, write_lines(tmp_path / "f", rows), "pairs")
    # The two numbers of the last row differ, and what is left of them does not.
    assert imported.left_out == {"pairs of twice the same text": 1}
    stored = b"".join(path.read_bytes() for path in home.segments.iterdir())
    for secret in (b"jo@", b"1234567", b"7654321", b"AKIA"):
        assert secret not in stored
    assert b"[e-mail]" in stored
    assert import_feedback(store, write_lines(tmp_path / "f", rows), "pairs").num_known == 2


def test_fields_of_others_and_pairs_that_say_nothing_are_passed_over_and_counted(store: Store, tmp_path: Path) -> None:
    row = {"prompt": "Say", "chosen": " a", "rejected": " b", "score_chosen": 7, "source": "x", "messages": None}
    same = {"prompt": "Say", "chosen": " a", "rejected": " a"}
    imported = import_feedback(store, write_lines(tmp_path / "f", [row, same]), "pairs")
    assert imported.left_out == {
        "values of the field 'score_chosen'": 1,
        "values of the field 'source'": 1,
        "pairs of twice the same text": 1,
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": "x"}, "rejected: missing"),
        ({"left": "x"}, "right: missing"),
        ({"left": "x", "right": "y", "chosen": "x"}, "left: stands for a pair that nobody has judged"),
        ({"prompt": 3, "chosen": "x", "rejected": "y"}, "prompt: expected text or a list of messages, got 3"),
        ({"prompt": "x", "chosen": "x", "rejected": 3}, "rejected: expected what chosen is"),
        ({"prompt": "x", "chosen": 3, "rejected": 3}, "chosen: expected text or a list of messages, got 3"),
        ({"prompt": "x\ud800", "chosen": "x", "rejected": "y"}, "prompt: expected text, got"),
        ({"prompt": "x", "chosen": "x\0", "rejected": "y"}, "chosen: expected text, got"),
        ({"chosen": "Blue it is", "rejected": "Green it is"}, "rejected: expected to begin like chosen"),
        ({"chosen": "Bluebell", "rejected": "Bluefish"}, "rejected: expected to begin like chosen"),
        (
            {"chosen": "Human: a\n\nAssistant: x", "rejected": "Human: b\n\nAssistant: y"},
            "rejected: expected the messages of chosen but for the last one, as completions of one prompt",
        ),
        (
            {"chosen": chat(USER, BLUE), "rejected": chat(("user", "And the sea?"), BLUE)},
            "rejected: expected the messages of chosen but for the last one",
        ),
        ({"chosen": chat(USER, BLUE), "rejected": chat(USER)}, "rejected: expected the messages of chosen"),
        ({"chosen": [], "rejected": []}, "rejected: expected the messages of chosen"),
        ({"chosen": chat(USER), "rejected": chat(USER)}, "chosen: expected one message of the assistant .* got .user."),
        (
            {"prompt": chat(USER), "chosen": chat(BLUE, BLUE), "rejected": chat(GREEN)},
            "chosen: expected one message of the assistant after the prompt, got .assistant, assistant.",
        ),
        (
            {"prompt": "And the sea?", "chosen": chat(USER, BLUE), "rejected": chat(USER, GREEN)},
            "prompt: chosen and rejected begin with another one",
        ),
        ({"chosen": [{"role": "user"}], "rejected": []}, r"chosen\[0\].content: missing"),
        ({"chosen": [{**chat(USER)[0], "name": "x"}], "rejected": []}, r"chosen\[0\].name: unknown field"),
        (
            {
                "prompt": [{"role": "user", "content": [{"type": "image"}]}],
                "chosen": chat(BLUE),
                "rejected": chat(GREEN),
            },
            r"prompt\[0\].content: expected text",
        ),
        (
            {"prompt": [{"role": "u\n", "content": "x"}], "chosen": chat(BLUE), "rejected": chat(GREEN)},
            r"segment.prompt\[0\].role: expected a word",
        ),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "annotator": 3}, "annotator: expected some text"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "confidence": 2}, "confidence: expected 0 to 1"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "key": "x"}, "key: expected a UUID"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "query_id": ""}, "query_id: expected some text"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "query_id": "new", "choice": "up"}, "choice: expected 'left'"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "chosen_policy_version": -1}, "chosen_policy_version: exp"),
        ({"prompt": "x", "chosen": "x", "rejected": "y", "chosen_policy_version": 5}, "this run has no policy 5"),
        ({"prompt": "x", "chosen": "x" * 100_001, "rejected": "y"}, "segment.completion: expected at most 100,000"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_taken(
    store: Store, tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    good = {"prompt": "Say", "chosen": " a", "rejected": " b", "annotator": "jo"}
    with pytest.raises(DataError, match=f"f: line 2: .*{message}"):
        import_feedback(store, write_lines(tmp_path / "f", [good, row]), "pairs", env_id="text")
    assert (store.query_count(), store.counts()["segments"]) == (0, 0)
    assert "jo" not in store.bulk.annotators()


def test_a_run_of_a_world_takes_no_texts_and_a_folder_of_texts_no_clips(store: Store, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "f", [{"prompt": "Say", "chosen": " a", "rejected": " b"}])
    with pytest.raises(DataError, match="f: line 1: segment: a text, and this is a run in the world 'Hopper'"):
        import_feedback(store, file, "pairs", env_id="Hopper")
    (query,) = add_comparisons(store, 1)
    store.add_feedback([make_answer(query)])
    export_feedback(store, str(tmp_path / "clips"), "jsonl")
    with (
        Store.open(tmp_path / "texts.db", segments_dir=tmp_path / "texts") as texts,
        pytest.raises(DataError, match=r"segment.env_id: a clip of 'Hopper', and this is a folder of texts"),
    ):
        import_feedback(texts, str(tmp_path / "clips"), "jsonl", env_id="text")


# There and back


def test_the_same_file_comes_of_what_was_taken_in(store: Store, tmp_path: Path) -> None:
    store.add_policy_version(PolicyVersion(version=3, step=30))
    segments = [make_text("mail jo@example.org", policy_version=3), make_text("a 😀"), make_text("c")]
    ids = store.add_segments(segments)
    queries = [make_query("a", ids[0], ids[1]), make_query("b", ids[1], ids[2])]
    store.add_queries(queries)
    store.add_feedback(
        [
            make_answer(queries[0], choice="right", time_taken_s=1.5),
            make_answer(queries[1], confidence=0.25),
            make_answer(queries[1], "other", choice="equal"),
        ]
    )
    exported = export_feedback(store, str(tmp_path / "f"), "pairs")
    assert (exported.num_answers, exported.left_out) == (2, {"preferences for neither side (equal)": 1})
    first = lines(tmp_path / "f")[0]
    assert first["prompt"] == chat(USER)
    assert (first["chosen"], first["rejected"]) == (
        chat(("assistant", "a 😀")),
        chat(("assistant", "mail jo@example.org")),
    )
    # What a program put into this store itself stays as it is and is recognised; elsewhere it comes in redacted.
    before = contents(store)
    again = import_feedback(store, str(tmp_path / "f"), "pairs")
    assert (again.num_answers, again.num_known, again.num_segments) == (0, 2, 0)
    assert contents(store) == before
    with Store.open(tmp_path / "other.db", segments_dir=tmp_path / "other") as other:
        assert import_feedback(other, str(tmp_path / "f"), "pairs").num_answers == 2
        assert [a for a, _, _ in everything(other)] == [a for a, _, _ in everything(store)][:2]
        export_feedback(other, str(tmp_path / "g"), "pairs")
    expected = (tmp_path / "f").read_text().replace("jo@example.org", "[e-mail]")
    assert (tmp_path / "g").read_text() == expected


def test_texts_that_look_like_ids_are_texts(store: Store, tmp_path: Path) -> None:
    rows = [{"prompt": "hash?", "chosen": "a" * 64, "rejected": "b" * 64}]
    import_feedback(store, write_lines(tmp_path / "f", rows), "pairs")
    export_feedback(store, str(tmp_path / "g"), "pairs")
    assert import_feedback(store, str(tmp_path / "g"), "pairs").num_known == 1


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
CHATS = st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), ANY), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(ANY | CHATS, ANY, ANY), max_size=4))
def test_whatever_is_compared_comes_back(rows: list[tuple[Any, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values: list[dict[str, Any]] = []
        for prompt, one, other in rows:
            given = prompt if isinstance(prompt, str) else chat(*prompt)
            values.append({"prompt": given, "chosen": one, "rejected": other})
        with new_store(folder / "a.db", folder / "a") as store:
            first = import_feedback(store, write_lines(folder / "f", values), "pairs", env_id="text")
            export_feedback(store, str(folder / "g"), "pairs")
            left = sum(first.left_out.values())
            assert first.num_answers + first.num_known + left == len(values)
            kept = [a for a, _, _ in everything(store)]
        with new_store(folder / "b.db", folder / "b") as other_store:
            import_feedback(other_store, str(folder / "g"), "pairs", env_id="text")
            assert [a for a, _, _ in everything(other_store)] == kept
            export_feedback(other_store, str(folder / "h"), "pairs")
        assert (folder / "g").read_bytes() == (folder / "h").read_bytes()
