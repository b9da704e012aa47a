"""heeler's own format: an equal store comes of it, and of a bad file nothing does."""

import copy
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import ConfigError, ConflictError, DataError, HeelerError, RunError
from heeler.core.nouns import PolicyVersion, stable_id
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.store import Store
from heeler.feedback.told import ACTIONS
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import (
    add_comparisons,
    make_answer,
    make_query,
    make_segment,
    make_text,
    new_store,
    open_store,
)
from tests.unit.feedback.transfer_helpers import contents, everything, filled_store, lines, write_lines


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    """All kinds of feedback."""
    with filled_store(tmp_path / "from") as store:
        yield store


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing ever was."""
    (tmp_path / "into").mkdir()
    with new_store(tmp_path / "into" / "heeler.db", tmp_path / "into" / "segments") as store:
        yield store


def test_an_equal_store_comes_of_it_and_again_changes_nothing(filled: Store, empty: Store, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    exported = export_feedback(filled, str(path), "jsonl")
    assert exported.left_out == {}
    first = import_feedback(empty, str(path), "jsonl")
    before = contents(filled)
    assert exported.num_answers == first.num_answers == before["counts"]["feedback"] == 30
    assert (first.num_known, first.num_queries, first.num_segments) == (0, 12, 17)
    assert set(first.annotators) == {"ann", "simulated", "a program"}
    after = contents(empty)
    assert {name: after[name] for name in ("answers", "segments", "policies", "annotators")} == {
        name: before[name] for name in ("answers", "segments", "policies", "annotators")
    }
    again = import_feedback(empty, str(path), "jsonl")
    assert (again.num_answers, again.num_known, again.num_queries, again.num_segments) == (0, 30, 0, 0)
    assert contents(empty) == after
    export_feedback(empty, str(tmp_path / "again.jsonl"), "jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_segments_come_back_bit_for_bit(empty: Store, tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        (segment_id,) = store.add_segments([make_segment(3, discrete=True)])
        store.add_queries([make_query("d", segment_id, kind="critique")])
        store.add_feedback(
            [make_answer(make_query("d", segment_id, kind="critique"), value={"text": "x", "start": 0, "end": 1})]
        )
        export_feedback(store, str(tmp_path / "f"), "jsonl")
        import_feedback(empty, str(tmp_path / "f"), "jsonl")
        one, other = store.segment(segment_id), empty.segment(segment_id)
        for name in ("observation", "action", "next_observation", "true_reward"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
            assert getattr(one, name).dtype == getattr(other, name).dtype
        assert other.snapshot is None


def test_what_is_missing_comes_into_the_store_that_it_is_from(filled: Store, tmp_path: Path) -> None:
    """Answers that were given elsewhere, to a copy of the run."""
    (query,) = add_comparisons(filled, 1)
    path = tmp_path / "more.jsonl"
    answer = {"key": stable_id("new"), "query_id": query.id, "kind": "preference", "value": {"choice": "right"}}
    header = {"heeler": "feedback", "format": 1}
    rows = [{"annotator": {"id": "jo", "kind": "person"}}, {"answer": {**answer, "annotator": "jo"}}]
    imported = import_feedback(filled, write_lines(path, [header, *rows, rows[1]]), "jsonl")
    assert (imported.num_answers, imported.num_known, imported.annotators) == (1, 1, ("jo",))
    (_, kept) = filled.feedback_after(filled.bulk.last_position() - 1, limit=1, up_to_step=None)[0]
    assert (kept.key, kept.annotator, dict(kept.value)) == (answer["key"], "jo", {"choice": "right"})


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
TEXT = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() != "")
GENERATED = st.lists(
    st.one_of(
        st.tuples(
            st.just("critique"), st.fixed_dictionaries({"text": TEXT, "start": st.just(0), "end": st.integers(1, 4)})
        ),
        st.tuples(
            st.just("correction"),
            st.one_of(
                st.fixed_dictionaries({"text": TEXT}),
                st.fixed_dictionaries({"step": st.integers(0, 3), "action": st.lists(FINITE, min_size=2, max_size=2)}),
            ),
        ),
        st.tuples(
            st.just("evaluation"),
            st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from((-1, 1))), max_size=4).map(
                lambda marks: {"marks": [{"time_s": t, "sign": sign} for t, sign in sorted(marks)]}
            ),
        ),
        st.tuples(
            st.just("rating"),
            st.tuples(FINITE, FINITE, FINITE)
            .map(sorted)
            .filter(lambda three: three[0] < three[2])
            .map(lambda three: {"low": three[0], "score": three[1], "high": three[2]}),
        ),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(
    GENERATED,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.lists(st.tuples(st.none() | st.floats(0, 1e12), st.none() | st.floats(0, 1)), min_size=6, max_size=6),
)
def test_whatever_was_answered_comes_back(
    answers: list[tuple[str, Any]], prompt: str, rest: list[tuple[float, float]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        one, other = Path(name, "one"), Path(name, "other")
        one.mkdir()
        other.mkdir()
        with open_store(one) as store, new_store(other / "heeler.db", other / "segments") as into:
            ids = store.add_segments([*(make_segment(seed) for seed in range(2)), make_text("four", prompt=prompt)])
            for number, (kind, value) in enumerate(answers):
                is_text = kind == "correction" and "text" in value
                query = make_query(number, ids[2 if is_text else number % 2], kind=kind)
                store.add_queries([query])
                time_taken_s, confidence = rest[number]
                store.add_feedback([make_answer(query, value=value, time_taken_s=time_taken_s, confidence=confidence)])
            export_feedback(store, f"{name}/f", "jsonl")
            import_feedback(into, f"{name}/f", "jsonl")
            assert everything(into) == everything(store)


# What does not hold


def spoiled(path: Path, change: Callable[[list[Any]], None]) -> str:
    """The file with its content changed."""
    values = copy.deepcopy(lines(path))
    change(values)
    return write_lines(path.with_name("bad.jsonl"), values)


def refuses(store: Store, file: str, error: type[HeelerError], message: str, format_name: str = "jsonl") -> None:
    """The file is refused in these words, and nothing of it stays."""
    before = contents(store), store.query_count()
    with pytest.raises(error, match=message):
        import_feedback(store, file, format_name)
    assert (contents(store), store.query_count()) == before


def place_of(values: list[Any], name: str, number: int = 0) -> int:
    """The place of the n-th line of a kind."""
    return [i for i, value in enumerate(values) if name in value][number]


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        ("answer", "key", "x", "key: expected a UUID"),
        ("answer", "key", 3, "answer.key: expected some text"),
        ("answer", "query_id", "unknown", "query_id: no query 'unknown'"),
        ("answer", "query_id", ["x"], "answer.query_id: expected some text"),
        ("answer", "query_id", "\ud800", "answer.query_id: expected some text"),
        ("answer", "kind", "rating", "kind: query .* asks for 'preference'"),
        ("answer", "value", {"choice": "lefty"}, "value.choice: expected one of .* Did you mean 'left'"),
        ("answer", "value", [], "answer.value: expected an object"),
        ("answer", "annotator", "nobody", "annotator: 'nobody' is unknown"),
        ("answer", "annotator", "a\nb", "answer.annotator: expected some text on one line"),
        ("answer", "time_taken_s", -1, "time_taken_s: expected at least 0"),
        ("answer", "confidence", "high", "confidence: expected a finite number"),
        ("answer", "answered_step", 3, "answered_step: is for simulated teachers"),
        ("answer", "received_unix_s", "now", "answer.received_unix_s: expected a finite number"),
        ("answer", "choise", "left", "answer.choise: unknown field"),
        ("query", "kind", "prefrence", "query.kind: unknown kind 'prefrence'. Did you mean 'preference'"),
        ("query", "segment_ids", "x", "query.segment_ids: expected a list"),
        ("query", "segment_ids", ["0" * 64, "1" * 64], "query.segment_ids: no segment '0000"),
        ("query", "policy_version", 9, "query.policy_version: 9 is unknown"),
        ("query", "asked_step", 1.5, "query.asked_step: expected a whole number"),
        ("query", "id", "", "query.id: expected some text"),
        ("query", "acquisition", "x" * 65, "query.acquisition: expected at most 64 characters"),
        ("segment", "start_step", 1, "segment.id: the segment was altered"),
        ("segment", "env_id", "Ant", "segment.id: the segment was altered"),
        ("segment", "policy_version", -1, "segment.policy_version: expected 0 to"),
        ("segment", "observation", None, "segment.observation: expected an array, got null"),
        (
            "segment",
            "action",
            {"type": "object", "shape": [1], "base64": ""},
            "segment.action.type: expected float32 or",
        ),
        ("segment", "action", {"type": "int64", "shape": [9], "base64": ""}, "segment.action.base64: does not hold"),
        ("segment", "action", {"type": "int64", "shape": [0, 2], "base64": ""}, "segment.action: expected shape"),
        ("segment", "action", {"type": "int64", "shape": [1]}, "segment.action.base64: missing"),
        ("annotator", "kind", "robot", "annotator.kind: expected one of person, simulated, program, got 'robot'"),
        ("annotator", "id", "x" * 201, "annotator.id: expected at most 200 characters"),
        ("policy_version", "step", -1, "policy_version.step: expected 0 to"),
        ("policy_version", "checkpoint_sha256", 3, "policy_version.checkpoint_sha256: expected some text"),
    ],
)
def test_a_bad_field_is_named_with_its_line_and_nothing_is_taken(
    filled: Store, empty: Store, tmp_path: Path, kind: str, field: str, value: Any, message: str
) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    place = place_of(lines(tmp_path / "all.jsonl"), kind)
    bad = spoiled(tmp_path / "all.jsonl", lambda values: values[place][kind].update({field: value}))
    refuses(empty, bad, DataError, rf"bad\.jsonl: line {place + 1}: {message}")
    assert not list((tmp_path / "into" / "segments").iterdir())


@pytest.mark.parametrize("kind", ["answer", "query", "segment", "annotator", "policy_version"])
def test_a_missing_field_is_named(filled: Store, empty: Store, tmp_path: Path, kind: str) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    place = place_of(lines(tmp_path / "all.jsonl"), kind)
    field = next(iter(lines(tmp_path / "all.jsonl")[place][kind]))
    bad = spoiled(tmp_path / "all.jsonl", lambda values: values[place][kind].pop(field))
    refuses(empty, bad, DataError, rf"bad\.jsonl: line {place + 1}: {kind}\.{field}: missing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r'bad: line 1: expected {"heeler": "feedback"'),
        ("\n\n", r'bad: line 1: expected {"heeler": "feedback"'),
        ("[]\n", "bad: line 1: expected an object, got \\[\\]"),
        ('{"prompt": "x"}\n', "this file was not exported as jsonl by heeler"),
        ('{"heeler": "feedback", "format": 2}\n', "line 1: format: expected 1, got 2"),
        ('{"heeler": "feedback", "format": 1, "num_answers": 3}\n', "was to hold 3 answers and holds 0"),
        ('{"heeler": "feedback", "format": 1}\n{"answer"', "line 2: not JSON"),
        (
            '{"heeler": "feedback", "format": 1}\n{"anwser": {}}',
            "line 2: expected an object with one of .* Did you mean 'answer'",
        ),
        ('{"heeler": "feedback", "format": 1}\n{}', "line 2: expected an object with one of"),
        ('{"heeler": "feedback", "format": 1}\n{"query": NaN}', "line 2: not JSON: NaN is no JSON number"),
        ('{"heeler": "feedback", "format": 1}\n\n{"query": ' + "[" * 100_000, "line 3: not JSON: nested too deeply"),
        ('{"heeler": "feedback", "format": 1}\n{"query": ' + "1" * 5000 + "}", "line 2: not JSON: Exceeds the limit"),
        ('{"heeler": "feedback", "format": 1}\n{"query": 3}', "line 2: query: expected an object, got 3"),
    ],
)
def test_what_is_no_export_is_refused(empty: Store, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad").write_text(text)
    refuses(empty, str(tmp_path / "bad"), DataError, message)


def test_bytes_that_are_no_text_are_refused(empty: Store, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b'{"heeler": "feedback", "format": 1}\n{"\xff": 1}\n')
    refuses(empty, str(tmp_path / "bad"), DataError, "line 2: not JSON: 'utf-8' codec")
    refuses(empty, str(tmp_path / "nowhere"), DataError, "nowhere: cannot be read: No such file")
    refuses(empty, str(tmp_path), DataError, "cannot be read: Is a directory")


def test_a_file_that_is_cut_short_is_refused(filled: Store, empty: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    whole = lines(tmp_path / "all.jsonl")
    refuses(empty, spoiled(tmp_path / "all.jsonl", lambda v: v.pop()), DataError, "was to hold 30 answers and holds 29")
    text = (tmp_path / "all.jsonl").read_bytes()
    (tmp_path / "bad.jsonl").write_bytes(text[:-10])
    refuses(empty, str(tmp_path / "bad.jsonl"), DataError, f"line {len(whole)}: not JSON")


def test_the_last_row_of_many_is_bad_and_nothing_is_taken(store: Store, tmp_path: Path) -> None:
    """More rows than are checked, or written, at once."""
    queries = add_comparisons(store, 2)
    row = {"kind": "preference", "value": {"choice": "left"}, "annotator": "ann"}
    rows = [{"answer": {"key": stable_id(i), "query_id": queries[i % 2].id, **row}} for i in range(2500)]
    header = {"heeler": "feedback", "format": 1}
    bad = copy.deepcopy(rows)
    bad[-1]["answer"]["confidence"] = 2
    refuses(
        store, write_lines(tmp_path / "bad", [header, *bad]), DataError, "bad: line 2501: confidence: expected 0 to 1"
    )
    assert import_feedback(store, write_lines(tmp_path / "good", [header, *rows]), "jsonl").num_answers == 2500
    assert [answer.key for answer, _, _ in everything(store)] == [stable_id(i) for i in range(2500)]


def test_another_body_under_a_key_is_a_conflict(filled: Store, empty: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    import_feedback(empty, str(tmp_path / "all.jsonl"), "jsonl")
    place = place_of(lines(tmp_path / "all.jsonl"), "answer", 3)
    bad = spoiled(tmp_path / "all.jsonl", lambda values: values[place]["answer"].update(time_taken_s=99))
    refuses(empty, bad, ConflictError, rf"bad.jsonl: line {place + 1}: key: .* came before with another body")

    def twice(values: list[Any]) -> None:
        values[0].pop("num_answers")
        values.append({"answer": {**values[place]["answer"], "time_taken_s": 99}})

    with Store.open(tmp_path / "new.db", segments_dir=tmp_path / "new") as store:
        refuses(store, spoiled(tmp_path / "all.jsonl", twice), ConflictError, "came before with another body")


def test_other_content_under_a_known_name_is_a_conflict(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    values = lines(tmp_path / "all.jsonl")
    query, person = place_of(values, "query"), place_of(values, "annotator")
    bad = spoiled(tmp_path / "all.jsonl", lambda v: v[query]["query"]["segment_ids"].reverse())
    refuses(filled, bad, ConflictError, rf"line {query + 1}: query.id: .* already asks about")
    bad = spoiled(tmp_path / "all.jsonl", lambda v: v[person]["annotator"].update(kind="program"))
    refuses(filled, bad, ConflictError, rf"line {person + 1}: annotator.kind: 'ann' is a person, not a program")


# Into another run


def test_the_feedback_of_another_run_does_not_come_into_one_that_learns(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    (tmp_path / "busy").mkdir()
    with open_store(tmp_path / "busy") as busy:
        refuses(busy, str(tmp_path / "all.jsonl"), DataError, "policy_version.version: this run has no policy 1")
        busy.add_policy_version(PolicyVersion(version=1, step=999))
        refuses(busy, str(tmp_path / "all.jsonl"), ConflictError, "version 1 was made at step 999, not 2048")


def test_segments_that_a_learner_cannot_take_do_not_come_in(filled: Store, empty: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    with pytest.raises(DataError, match=r"segment.env_id: expected the run's own 'Ant', got 'Hopper'"):
        import_feedback(empty, str(tmp_path / "all.jsonl"), "jsonl", env_id="Ant")
    with open_store(tmp_path) as store:
        store.add_policy_version(PolicyVersion(version=1, step=2048))
        store.add_segments([make_segment(0, discrete=True)])
        refuses(
            store, str(tmp_path / "all.jsonl"), DataError, "expected 3 observation numbers and 2 whole action numbers"
        )


def test_actions_that_the_world_does_not_have_do_not_come_in(filled: Store, empty: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "all.jsonl"), "jsonl")
    wide, narrow = (ActionBounds(is_discrete=False, low=(-size,) * 2, high=(size,) * 2) for size in (9.0, 0.9))
    empty.set_setting(ACTIONS, narrow.to_setting())
    refuses(empty, str(tmp_path / "all.jsonl"), DataError, r"segment.action: row \d is \[.*\], which is no action of")
    empty.set_setting(ACTIONS, wide.to_setting())

    def out_of_range(values: list[Any]) -> None:
        corrections = (one["answer"] for one in values if "answer" in one and "action" in one["answer"]["value"])
        next(corrections)["value"]["action"] = [0.5, 10.0]

    refuses(empty, spoiled(tmp_path / "all.jsonl", out_of_range), DataError, r"value.action\[1\]: expected -9 to 9")
    assert import_feedback(empty, str(tmp_path / "all.jsonl"), "jsonl").num_answers > 0


# Files


def test_a_file_appears_whole_or_not_at_all(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text("what was there")
    used = everything(filled)[-1][1].segment_ids[0]
    segment = tmp_path / "from" / "segments" / f"{used}.safetensors"
    data = segment.read_bytes()
    segment.write_bytes(data[:-1])
    with pytest.raises(DataError, match="not a readable segment"):
        export_feedback(filled, str(path), "jsonl")
    assert path.read_text() == "what was there"
    segment.write_bytes(data)
    with pytest.raises(RunError, match=r"cannot write .*nowhere"):
        export_feedback(filled, str(tmp_path / "nowhere" / "f"), "jsonl")
    with pytest.raises(RunError, match="it is a folder; name a file"):
        export_feedback(filled, str(tmp_path), "jsonl")
    with pytest.raises(ConfigError, match=r"there is no format 'jsnl'. Did you mean 'jsonl'"):
        export_feedback(filled, str(path), "jsnl")
    export_feedback(filled, str(path), "jsonl")
    assert len(lines(path)) > 30
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def test_standard_input_and_output(filled: Store, empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    export_feedback(filled, "-", "jsonl")
    text = out.buffer.getvalue()  # type: ignore[attr-defined]  (of BytesIO)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert import_feedback(empty, "-", "jsonl").num_answers == 30
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    with pytest.raises(DataError, match="standard input: line 1: expected"):
        import_feedback(empty, "-", "jsonl")


def test_an_export_goes_through_pages_of_answers(store: Store, tmp_path: Path) -> None:
    queries = add_comparisons(store, 2)
    store.add_feedback([make_answer(queries[i % 2], i) for i in range(2345)])
    assert export_feedback(store, str(tmp_path / "f"), "jsonl").num_answers == 2345
    answers = [value["answer"] for value in lines(tmp_path / "f") if "answer" in value]
    assert [answer["key"] for answer in answers] == [answer.key for answer, _, _ in everything(store)]
    assert sum("segment" in value for value in lines(tmp_path / "f")) == 4
    assert json.loads((tmp_path / "f").read_text().splitlines()[0])["num_answers"] == 2345


def test_an_empty_store_gives_a_file_without_answers(empty: Store, tmp_path: Path) -> None:
    assert export_feedback(empty, str(tmp_path / "f"), "jsonl").num_answers == 0
    assert import_feedback(empty, str(tmp_path / "f"), "jsonl").num_answers == 0
