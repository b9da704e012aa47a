"""What must not be kept of texts stays out of the store whatever format brings it, and what names them follows."""

from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import DataError
from heeler.core.nouns import TextSegment
from heeler.core.privacy import redact
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import Home, make_answer, make_query, make_text, open_store
from tests.unit.feedback.transfer_helpers import contents, everything, lines, write_lines

SECRET = "Mail jo@example.org or +49 170 1234567 by noon."
KEPT = "Mail [e-mail] or [phone] by noon."
SECRETS = (b"jo@example", b"1234567", b"7654321")


def values_of(store: Store) -> dict[str, Any]:
    return {answer.kind: answer.value for answer, _, _ in everything(store)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of a store into which a program put texts as they are."""
    (tmp_path / "from").mkdir()
    with open_store(tmp_path / "from") as store:
        asked = "I am jo@example.org, what now?"
        texts = [make_text(SECRET, prompt=asked), make_text("Wait.", prompt=asked), make_text("Plain.")]
        ids = store.add_segments(texts)
        kinds = ("preference", "critique", "demonstration", "rating")
        shown = (ids[:2], ids[:1], ids[1:2], ids[2:])
        queries = [make_query(kind, *names, kind=kind) for kind, names in zip(kinds, shown, strict=True)]
        store.add_queries(queries)
        start = SECRET.index("by noon")
        values: list[dict[str, Any]] = [
            {"choice": "right"},
            {"text": "when?", "start": start, "end": start + 7},
            {"segment_id": ids[0]},
            {"score": 1, "low": 0, "high": 1},
        ]
        store.add_feedback([make_answer(q, value=value) for q, value in zip(queries, values, strict=True)])
        export_feedback(store, str(tmp_path / "f"), "jsonl")
        # The store that has the text knows it as it is.
        before = contents(store)
        again = import_feedback(store, str(tmp_path / "f"), "jsonl")
        assert (again.num_answers, again.num_known, again.num_segments) == (0, 4, 0)
        assert contents(store) == before
    return tmp_path / "f"


def test_jsonl_comes_in_redacted_and_all_that_names_the_texts_follows(file: Path, home: Home, tmp_path: Path) -> None:
    with home.open() as store:
        imported = import_feedback(store, str(file), "jsonl")
        assert (imported.num_answers, imported.num_queries, imported.num_segments) == (4, 4, 3)
        stored = b"".join(path.read_bytes() for path in home.segments.iterdir())
        assert not [secret for secret in SECRETS if secret in stored]
        answers = values_of(store)
        shown = store.segment(answers["demonstration"]["segment_id"])
        assert isinstance(shown, TextSegment)
        assert (shown.completion, shown.prompt[0].content) == (KEPT, "I am [e-mail], what now?")
        part = answers["critique"]
        assert KEPT[part["start"] : part["end"]] == "by noon"
        # A text without a finding keeps its id.
        assert make_text("Plain.").id in {name for _, query, _ in everything(store) for name in query.segment_ids}
        before = contents(store)
        assert import_feedback(store, str(file), "jsonl").num_known == 4
        assert contents(store) == before
        # What went out of here is redacted already, and comes back as it is.
        export_feedback(store, str(tmp_path / "g"), "jsonl")
        assert import_feedback(store, str(tmp_path / "g"), "jsonl").num_known == 4
        assert contents(store) == before


def test_a_demonstration_of_somebody_who_was_forgotten_stays_out_redacted_or_not(
    file: Path, home: Home, tmp_path: Path
) -> None:
    values = [one for one in lines(file) if one.get("answer", {}).get("kind") in (None, "demonstration")]
    values = [one for one in values if one.get("query", {}).get("kind") in (None, "demonstration")]
    values[0] = {"heeler": "feedback", "format": 1}
    for one in values:
        if "answer" in one:
            one["answer"]["annotator"] = "jo"
        elif one.get("annotator", {}).get("id") == "ann":
            one["annotator"]["id"] = "jo"
    with home.open() as store:
        store.add_annotator("jo", "person")
        store.withdrawals.forget("jo", answers="remove")
        imported = import_feedback(store, write_lines(tmp_path / "old", values), "jsonl")
        assert (imported.num_answers, imported.left_out) == (0, {"answers of somebody who was forgotten": 1})
        assert b"noon" not in b"".join(path.read_bytes() for path in home.segments.iterdir())


@pytest.mark.parametrize("segment_id", [[], 3, None, {"x": 1}])
def test_a_demonstration_of_no_segment_is_refused(file: Path, store: Store, tmp_path: Path, segment_id: Any) -> None:
    values = lines(file)
    place = next(i for i, one in enumerate(values) if one.get("answer", {}).get("kind") == "demonstration")
    values[place]["answer"]["value"]["segment_id"] = segment_id
    with pytest.raises(DataError, match=rf"line {place + 1}: value.segment_id: expected some text"):
        import_feedback(store, write_lines(tmp_path / "bad", values), "jsonl")
    assert store.query_count() == 0


def test_texts_that_are_alike_once_redacted_are_left_out_and_counted(home: Home, tmp_path: Path) -> None:
    pair = [make_text("Dial +49 170 1234567 now"), make_text("Dial +49 170 7654321 now")]
    (tmp_path / "from").mkdir()
    with open_store(tmp_path / "from") as store:
        query = make_query("alike", *store.add_segments(pair))
        store.add_queries([query])
        store.add_feedback([make_answer(query), make_answer(query, "again", choice="right")])
        export_feedback(store, str(tmp_path / "f"), "jsonl")
    with home.open() as store:
        imported = import_feedback(store, str(tmp_path / "f"), "jsonl")
        assert (imported.num_answers, imported.num_queries, imported.num_known) == (0, 0, 0)
        assert imported.left_out == {
            "questions about texts that are alike once redacted": 1,
            "answers about texts that are alike once redacted": 2,
        }


def test_a_text_that_was_altered_is_still_refused_by_its_hash(file: Path, store: Store, tmp_path: Path) -> None:
    values = lines(file)
    place = next(i for i, value in enumerate(values) if value.get("segment", {}).get("completion") == SECRET)
    values[place]["segment"]["completion"] = KEPT
    with pytest.raises(DataError, match=rf"line {place + 1}: segment.id: the segment was altered"):
        import_feedback(store, write_lines(tmp_path / "bad", values), "jsonl")
    assert store.query_count() == 0


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("mail jo@example.org now", "now", "now"),
        ("mail jo@example.org now", "mail", "mail"),
        ("mail jo@example.org now", "jo@exam", "[e-mail]"),
        ("mail jo@example.org now", "example.org now", "[e-mail] now"),
        ("a@b.example and c@d.example end", "and", "and"),
        ("a@b.example and c@d.example end", "c@d.example", "[e-mail]"),
        ("a@b.example and c@d.example end", "b.example and c@", "[e-mail] and [e-mail]"),
        ("nothing here", "here", "here"),
    ],
)
def test_parts_move_with_their_text(text: str, part: str, expected: str) -> None:
    start = text.index(part)
    found = redact(text)
    begin, end = found.moved(start, start + len(part))
    assert found.text[begin:end] == expected
