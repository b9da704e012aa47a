"""Texts that were annotated in Label Studio or Argilla without heeler: files as these programs document them."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Message, TextSegment, plain_prompt
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.helpers import Home
from tests.unit.feedback.transfer_helpers import contents, everything

ADA, BOB = "5f6d1d5e-3a52-4f0b-8f5e-2f2b8a1f3c77", "0b8b54f6-6f35-4c9a-a0a5-3f7b3b0e7a10"
QUESTION = "Which is warmer, 🍵 or ice?"
WARM, COLD = "🍵 is warm, ice is not.", "Ice."


def annotation(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An annotation as Label Studio exports it, by user 7."""
    fields: dict[str, Any] = {
        "id": 1042,
        "completed_by": 7,
        "result": [{"id": f"r{number}", "origin": "manual"} | result for number, result in enumerate(results)],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "updated_at": "2026-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        "prediction": {},
        "result_count": len(results),
        "unique_id": "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11",
        "import_id": None,
        "task": 31,
        "project": 83,
    }
    return fields | changes


def task(data: dict[str, Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": 31,
        "annotations": list(annotations),
        "file_upload": "a1b2c3d4-tasks.json",
        "drafts": [],
        "predictions": [],
        "data": data,
        "meta": {},
        "created_at": "2026-03-09T21:52:49.513742Z",
        "updated_at": "2026-03-09T22:16:08.746926Z",
        "inner_id": 1,
        "total_annotations": len(annotations),
        "project": 83,
    }


def pairwise(side: str) -> dict[str, Any]:
    return {"value": {"selected": side}, "from_name": "pw", "to_name": "pw", "type": "pairwise"}


def choice(*words: str, tag: str = "quality") -> dict[str, Any]:
    return {"value": {"choices": list(words)}, "from_name": tag, "to_name": "txt", "type": "choices"}


def stars(number: Any) -> dict[str, Any]:
    return {"value": {"rating": number}, "from_name": "stars", "to_name": "txt", "type": "rating"}


def number(value: Any) -> dict[str, Any]:
    return {"value": {"number": value}, "from_name": "score", "to_name": "txt", "type": "number"}


def marked(start: int, end: int, text: str | None, *labels: str, name: str = "a") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": list(labels)}
    return {"value": value, "id": name, "from_name": "label", "to_name": "txt", "type": "labels"}


def words(text: Any, tag: str, name: str = "w") -> dict[str, Any]:
    value = {"text": text}
    return {"value": value, "id": name, "from_name": tag, "to_name": "txt", "type": "textarea"}


def record(fields: dict[str, Any], **responses: Any) -> dict[str, Any]:
    """A record as Argilla's `records.to_json` writes it: (value, user) of each response by question."""
    given = {name: [{"value": value, "user_id": user} for value, user in some] for name, some in responses.items()}
    return {
        "id": "0f8f1c1a-6b0e-4f0e-9c39-3a5b8a2d6e11",
        "fields": fields,
        "metadata": {},
        "suggestions": {},
        "responses": given,
        "vectors": {},
        "_server_id": "5e7c07fd-24b9-4d0e-96da-f633554ab08e",
    }


def wrote(path: Path, *values: Any) -> str:
    path.write_text(json.dumps(list(values)))
    return str(path)


PAIR = {"prompt": QUESTION, "answer1": WARM, "answer2": COLD}
ONE = {"question": QUESTION, "response": WARM}


def taken(store: Store) -> list[tuple[str, Any, str]]:
    """(kind, value, annotator) of each answer; of a comparison the better text, of a demonstration its text."""
    found: list[tuple[str, Any, str]] = []
    for answer, query, _ in everything(store):
        shown = [store.segment(name) for name in query.segment_ids]
        value: Any = answer.value
        if answer.value.get("choice") in ("left", "right"):
            better = shown[0 if value["choice"] == "left" else 1]
            assert isinstance(better, TextSegment)
            value = better.completion
        elif answer.kind == "demonstration":
            segment = store.segment(value["segment_id"])
            assert isinstance(segment, TextSegment)
            value = segment.completion
        found.append((answer.kind, value, answer.annotator))
    return found


LABEL_STUDIO: list[tuple[dict[str, Any], list[tuple[str, Any]]]] = [
    (task(PAIR, annotation(pairwise("left"))), [("preference", WARM)]),
    (task(PAIR, annotation(pairwise("right"))), [("preference", COLD)]),
    (task(PAIR, annotation(choice("answer2"))), [("preference", COLD)]),
    (task(PAIR, annotation(choice("tie"))), [("preference", {"choice": "equal"})]),
    (task({"text_a": WARM, "text_b": COLD}, annotation(choice("A"))), [("preference", WARM)]),
    (task({"textA": WARM, "textB": COLD}, annotation(choice("textB"))), [("preference", COLD)]),
    (task({"left": WARM, "right": COLD, "source": "x"}, annotation(pairwise("left"))), [("preference", WARM)]),
    (task(ONE, annotation(stars(4))), [("rating", {"score": 4.0, "low": 1.0, "high": 5.0})]),
    (
        task(ONE | {"rating_low": 0, "rating_high": 100}, annotation(number(62.5))),
        [("rating", {"score": 62.5, "low": 0.0, "high": 100.0})],
    ),
    (task(ONE, annotation(choice("Good"))), [("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}]})]),
    (task(ONE, annotation(choice("Negative"))), [("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]})]),
    # Positions count characters in newer versions and UTF-16 units in older ones; the text tells.
    (
        task(ONE, annotation(marked(5, 9, "warm", "Wrong", "Rude"))),
        [("critique", {"text": "Wrong, Rude", "start": 5, "end": 9})],
    ),
    (
        task(ONE, annotation(marked(6, 10, "warm", "Wrong"), words(["Is it?"], "why", "a"))),
        [("critique", {"text": "Is it?", "start": 5, "end": 9})],
    ),
    (
        task(ONE, annotation(marked(0, 1, "🍵", "x"), marked(2, 4, None, "y", name="b"), words("no", "c", "b"))),
        [
            ("critique", {"text": "x", "start": 0, "end": 1}),
            ("critique", {"text": "no", "start": 2, "end": 4}),
        ],
    ),
    (
        task(ONE, annotation(words(["Too short."], "comment"))),
        [("critique", {"text": "Too short.", "start": 0, "end": 22})],
    ),
    (task(ONE, annotation(words(["Tea."], "rewrite"))), [("correction", {"text": "Tea."})]),
    (task({"prompt": QUESTION}, annotation(words(["Tea."], "response"))), [("demonstration", "Tea.")]),
    (
        task(ONE, annotation(stars(2), words(["Tea."], "edited"), choice("bad"))),
        [
            ("rating", {"score": 2.0, "low": 1.0, "high": 5.0}),
            ("correction", {"text": "Tea."}),
            ("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]}),
        ],
    ),
]


@pytest.mark.parametrize(("one", "expected"), LABEL_STUDIO)
def test_what_label_studio_exports_comes_in(store: Store, tmp_path: Path, one: Any, expected: Any) -> None:
    file = wrote(tmp_path / "f", one)
    imported = import_feedback(store, file, "label-studio", env_id="text")
    assert taken(store) == [(kind, value, "label-studio-7") for kind, value in expected]
    assert (imported.num_answers, imported.num_queries) == (len(expected), len({kind for kind, _ in expected}))
    assert {answer.time_taken_s for answer, _, _ in everything(store)} == {4.288}
    before = contents(store)
    again = import_feedback(store, file, "label-studio", env_id="text")
    assert (again.num_answers, again.num_known, again.num_queries) == (0, len(expected), 0)
    assert contents(store) == before


def minimal(data: dict[str, Any], **results: Any) -> dict[str, Any]:
    """A record of the form JSON-MIN."""
    own = {"id": 31, "annotator": 7, "annotation_id": 1042, "lead_time": 4.288}
    return {**data, **own, "created_at": "2026-03-09T22:16:08Z", "updated_at": "2026-03-09T22:16:08Z", **results}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (minimal(PAIR, pw=[{"selected": "right"}]), [("preference", COLD)]),
        (minimal(PAIR, neither="equal"), [("preference", {"choice": "equal"})]),
        (minimal(ONE, stars=[{"rating": 3}]), [("rating", {"score": 3.0, "low": 1.0, "high": 5.0})]),
        (minimal(ONE, evaluation="good"), [("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}]})]),
        (minimal(ONE, correction="Tea."), [("correction", {"text": "Tea."})]),
        (minimal(ONE, demonstration="Tea."), [("demonstration", "Tea.")]),
        (
            minimal(ONE, label=[{"start": 5, "end": 9, "text": "warm", "labels": ["Wrong"]}]),
            [("critique", {"text": "Wrong", "start": 5, "end": 9})],
        ),
        (
            minimal(
                ONE,
                critique=["one", "two"],
                part=[{"start": n, "end": n + 1, "text": "x", "labels": ["part"]} for n in (0, 3)],
            ),
            [("critique", {"text": "one", "start": 0, "end": 1}), ("critique", {"text": "two", "start": 3, "end": 4})],
        ),
    ],
)
def test_what_label_studio_exports_as_json_min_comes_in(store: Store, tmp_path: Path, one: Any, expected: Any) -> None:
    file = wrote(tmp_path / "f", one)
    imported = import_feedback(store, file, "label-studio", env_id="text")
    assert taken(store) == [(kind, value, "label-studio-7") for kind, value in expected]
    assert (imported.num_answers, imported.left_out) == (len(expected), {})
    assert import_feedback(store, file, "label-studio", env_id="text").num_known == len(expected)


CHAT = [{"role": "user", "content": QUESTION}]
TWO = {"prompt": CHAT, "response_1": WARM, "response_2": COLD}
ARGILLA: list[tuple[dict[str, Any], list[tuple[str, Any, str]]]] = [
    (record(TWO, better=[("response_2", ADA)]), [("preference", COLD, ADA)]),
    (
        record(TWO, preference=[("left", ADA), ("cant_tell", BOB)]),
        [("preference", WARM, ADA), ("preference", {"choice": "cant_tell"}, BOB)],
    ),
    (
        record(TWO, order=[([{"value": "response_2", "rank": 1}, {"value": "response_1", "rank": 2}], ADA)]),
        [("preference", COLD, ADA)],
    ),
    (
        record(TWO, order=[([{"value": "response_1", "rank": 1}, {"value": "response_2", "rank": 1}], ADA)]),
        [("preference", {"choice": "equal"}, ADA)],
    ),
    (record(ONE, helpful=[(3, ADA)]), [("rating", {"score": 3.0, "low": 1.0, "high": 5.0}, ADA)]),
    (record(ONE, verdict=[("good", ADA)]), [("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}]}, ADA)]),
    # Argilla's pages count UTF-16 units: the cup is two.
    (
        record(ONE, spans=[([{"label": "Wrong", "start": 6, "end": 10}], ADA)]),
        [("critique", {"text": "Wrong", "start": 5, "end": 9}, ADA)],
    ),
    (record(ONE, feedback=[("curt", ADA)]), [("critique", {"text": "curt", "start": 0, "end": 22}, ADA)]),
    (record(ONE, corrected=[("Tea.", ADA)]), [("correction", {"text": "Tea."}, ADA)]),
    (record({"instruction": QUESTION}, response=[("Tea.", ADA)]), [("demonstration", "Tea.", ADA)]),
]


def flat(one: dict[str, Any]) -> dict[str, Any]:
    """A record as `to_list(flatten=True)` and `to_datasets` write it."""
    row = {"id": one["id"], "status": "completed", "_server_id": one["_server_id"], **one["fields"], "source": None}
    for name, some in one["responses"].items():
        row[f"{name}.responses"] = [response["value"] for response in some]
        row[f"{name}.responses.users"] = [response["user_id"] for response in some]
        row[f"{name}.responses.status"] = ["submitted" for _ in some]
    return {**row, "other.suggestion": None, "other.suggestion.score": None, "other.suggestion.agent": None}


@pytest.mark.parametrize(("one", "expected"), ARGILLA)
@pytest.mark.parametrize("form", ["nested", "flat", "lines"])
def test_what_argilla_exports_comes_in(
    store: Store, tmp_path: Path, one: dict[str, Any], expected: Any, form: str
) -> None:
    file = wrote(tmp_path / "f", flat(one) if form == "flat" else one)
    if form == "lines":
        Path(file).write_text(json.dumps(flat(one)) + "\n\n")
    imported = import_feedback(store, file, "argilla", env_id="text", scale=(1, 5))
    assert taken(store) == [(kind, value, f"argilla-{user}") for kind, value, user in expected]
    assert (imported.num_answers, imported.left_out) == (len(expected), {})
    before = contents(store)
    again = import_feedback(store, file, "argilla", env_id="text", scale=(1, 5))
    assert (again.num_answers, again.num_known, again.num_queries) == (0, len(expected), 0)
    assert contents(store) == before


def test_prompts_are_chats_or_plain_text(store: Store, tmp_path: Path) -> None:
    dialogue = [*CHAT, {"role": "assistant", "content": WARM}]
    tasks = [
        task({"messages": dialogue}, annotation(stars(1))),
        task({"prompt": CHAT, "completion": [{"role": "assistant", "content": COLD}]}, annotation(stars(1))),
        task({"context": "Ice is", "output": " cold."}, annotation(stars(1))),
        task({"anything": "Alone."}, annotation(stars(1))),
        task(
            {"left": dialogue, "right": [*CHAT, {"role": "assistant", "content": COLD}]}, annotation(pairwise("left"))
        ),
    ]
    import_feedback(store, wrote(tmp_path / "f", *tasks), "label-studio")
    found = [store.segment(query.segment_ids[0]) for _, query, _ in everything(store)]
    asked = (Message(role="user", content=QUESTION),)
    shown = [(s.prompt, s.completion) for s in found if isinstance(s, TextSegment)]
    assert shown[:4] == [(asked, WARM), (asked, COLD), (plain_prompt("Ice is"), " cold."), ((), "Alone.")]
    assert shown[4][0] == asked


def test_what_was_only_asked_is_a_question_or_counted(store: Store, tmp_path: Path) -> None:
    imported = import_feedback(store, wrote(tmp_path / "f", task(PAIR), task(ONE)), "label-studio")
    assert (imported.num_answers, imported.num_queries, imported.num_segments) == (0, 1, 2)
    assert imported.left_out == {"tasks that nobody has answered": 1}
    again = import_feedback(store, wrote(tmp_path / "f", record(PAIR), record(ONE)), "argilla")
    assert (again.num_queries, again.left_out) == (0, {"tasks that nobody has answered": 1})
    (lease,) = store.lease("ann", 5, overlap=1, duration_s=60)
    assert lease.query.kind == "preference"


def test_what_is_no_answer_is_passed_over_and_counted(store: Store, tmp_path: Path) -> None:
    same = {"prompt": "x", "left": "Mail a@b.example", "right": "Mail c@d.example"}
    tasks = [
        task(
            PAIR, annotation(stars(3)), annotation(pairwise("left"), was_cancelled=True), annotation(pairwise("left"))
        ),
        task(ONE, annotation(choice("maybe"), words(["x"], "shoe size"), stars(5)), annotation()),
        task(same, annotation(pairwise("left"))),
    ]
    tasks[0]["predictions"] = [{"result": []}]
    imported = import_feedback(store, wrote(tmp_path / "f", *tasks), "label-studio")
    assert imported.num_answers == 2
    assert imported.left_out == {
        "predictions": 1,
        "results of the tag 'stars', which are no answers here": 1,
        "annotations without an answer": 2,
        "skipped annotations": 1,
        "results of the tag 'quality', which are no answers here": 1,
        "results of the tag 'shoe size', which are no answers here": 1,
        "pairs of twice the same text": 1,
    }
    one = record(ONE, corrected=[("Tea.", ADA)], mood=[("grim", ADA)], kind_of=[("x", BOB)])
    one["responses"]["corrected"].append({"value": "No.", "user_id": BOB, "status": "draft"})
    one["suggestions"] = {"corrected": {"value": "Tea", "score": 0.5, "agent": "a model"}}
    imported = import_feedback(store, wrote(tmp_path / "g", one), "argilla")
    assert imported.num_answers == 1
    assert imported.left_out == {
        "responses with the status draft": 1,
        "suggestions of others than this store's simulated teachers and programs": 1,
        "responses to the question mood": 1,
        "responses to the question kind_of": 1,
    }


def test_secrets_are_redacted_and_marked_parts_move_with_their_text(store: Store, home: Home, tmp_path: Path) -> None:
    data = {"prompt": "I am jo@example.org", "response": "Call +49 170 1234567 at noon"}
    start = data["response"].index("noon")
    results = [
        marked(start, start + 4, "noon", "when"),
        words(["ask al@example.org"], "correction"),
        words(["Call +49 170 7654321"], "demonstration", "v"),
    ]
    file = wrote(tmp_path / "f", task(data, annotation(*results, completed_by={"email": "jo@example.org", "id": 3})))
    import_feedback(store, file, "label-studio")
    part, correction, demonstration = taken(store)
    assert part[1] == {"text": "when", "start": 16, "end": 20}
    assert "Call [phone] at noon"[16:20] == "noon"
    assert (correction[1], demonstration[1]) == ({"text": "ask [e-mail]"}, "Call [phone]")
    kept = json.dumps([str(one) for one in everything(store)]).encode()
    kept += b"".join(path.read_bytes() for path in home.segments.iterdir())
    assert not [secret for secret in (b"1234567", b"7654321", b"@example") if secret in kept]
    assert import_feedback(store, file, "label-studio").num_known == 3


def test_an_e_mail_address_as_a_name_is_not_taken_over(store: Store, tmp_path: Path) -> None:
    ones = [minimal(ONE, stars=[{"rating": 3}]) | {"annotator": name} for name in ("Jo@example.org", "jo@example.org")]
    imported = import_feedback(store, wrote(tmp_path / "f", *ones), "label-studio")
    assert (imported.num_answers, imported.num_known) == (1, 1)
    assert [name for name in imported.annotators if "@" in name or not name.startswith("label-studio-")] == []


def test_answers_of_people_elsewhere_go_out_in_every_format(store: Store, tmp_path: Path) -> None:
    tasks = [one for one, _ in LABEL_STUDIO]
    num = import_feedback(store, wrote(tmp_path / "f", *tasks), "label-studio").num_answers
    for name in ("jsonl", "label-studio"):
        assert export_feedback(store, str(tmp_path / "g"), name).num_answers == num
        with Store.open(tmp_path / f"{name}.db", segments_dir=tmp_path / name) as other:
            assert import_feedback(other, str(tmp_path / "g"), name).num_answers == num
            assert sorted(map(str, taken(other))) == sorted(map(str, taken(store)))


# What does not hold


def refuses(store: Store, file: str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_feedback(store, file, name, env_id="text")
    assert (store.query_count(), store.counts()["segments"], everything(store)) == (0, 0, [])
    assert list(store.bulk.annotators()) == ["ann", "simulated"]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (task({}, annotation(stars(3))), "data: expected a text under completion, or two under left and right"),
        (task({"id": 3, "n": 4}, annotation()), "data: expected a text under .* got the fields none of text"),
        (task({"x": "a", "y": "b"}, annotation(stars(3))), "data: expected a text under .* got the texts x, y"),
        (task({"left": "a"}, annotation(pairwise("left"))), r"data.right: missing; a comparison is of two texts"),
        (
            task(PAIR | {"b1": "x", "b2": "y"}, annotation()),
            "data: expected one pair of texts, got answer1 and answer2, b1",
        ),
        (task({"prompt": 3, "left": "a", "right": "b"}), "data.prompt: expected text or a list of messages, got 3"),
        (task({"prompt": [3], "left": "a", "right": "b"}), r"prompt\[0\]: expected an object"),
        (
            task({"completion": ""}, annotation(marked(0, 1, None, "x"))),
            r"annotations\[0\]: value.start: the completion is",
        ),
        (
            task(ONE, annotation(stars(9))),
            r"annotations\[0\]: result\[0\].value.rating: expected 1 to 5, got 9; put the",
        ),
        (task(ONE, annotation(stars("4"))), r"result\[0\].value.rating: expected a finite number, got '4'"),
        (task(ONE, annotation(number(3))), r"annotations\[0\]: data.rating_low: missing; a rating needs the ends"),
        (task(ONE | {"rating_low": 5, "rating_high": 1}, annotation(stars(5))), "rating: expected 5 to 1|value.high"),
        (task(PAIR, annotation(pairwise("up"))), r"result\[0\].value.selected: expected 'left' or 'right', got 'up'"),
        (task(PAIR, annotation(choice("up", tag="preference"))), "choices: expected one of left, right, equal"),
        (task(ONE, annotation(choice("so so", tag="evaluation"))), "choices: expected one of good, bad, neither"),
        (task(ONE, annotation(marked(3, 99, None, "x"))), "value.end: expected 4 to 22, got 99"),
        (task(ONE, annotation(marked(3, 3, None, "x"))), r"result\[0\].value.end: expected at least 4, got 3"),
        (task(ONE, annotation(marked(-1, 3, None, "x"))), r"result\[0\].value.start: expected at least 0"),
        (task(ONE, annotation(marked(1, 3, None))), "value.text: expected some text, got ''"),
        (task(ONE, annotation(words([], "correction"))), r"value.text: expected some text, got none"),
        (task(ONE, annotation(words([3], "correction"))), r"value.text: expected text, got 3"),
        (task(ONE, annotation(words(None, "correction"))), r"value.text: expected a list, got None"),
        (task(ONE, annotation(stars(3), completed_by=None)), "completed_by: expected the number of who annotated"),
        (task(ONE, annotation(stars(3), lead_time="long")), "lead_time: expected a finite number"),
        (task(ONE, annotation(stars(3)), 3), r"annotations\[1\]: annotation: expected an object, got 3"),  # type: ignore[arg-type]
        (task(ONE, annotation() | {"result": [3]}), r"annotations\[0\]: result: expected an object, got 3"),
        (task(ONE) | {"annotations": {}}, "annotations: expected a list"),
        (task(ONE) | {"data": [ONE]}, "data: expected an object"),
        (
            minimal(ONE, critique=["a"], part=[{"start": 0, "end": 1, "labels": ["x"]}] * 2),
            "critique: expected a text for each of 2 marked parts, got 1",
        ),
        ({"prompt": "x"}, "data: missing; expected a task"),
        (task({"left": "a" * 64, "right": "b" * 64}, annotation(pairwise("left"))), "data.query_id: missing"),
    ],
)
def test_a_bad_task_is_named_and_nothing_is_taken(store: Store, tmp_path: Path, one: Any, message: str) -> None:
    good = task(PAIR, annotation(pairwise("left")))
    refuses(store, wrote(tmp_path / "f", good, one), "label-studio", f"f: record 2: .*{message}|f: record 2: {message}")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (record({}, rating=[(3, ADA)]), "fields: expected a text under completion"),
        (record({"x": "a", "y": "b"}, rating=[(3, ADA)]), "fields: expected a text under .* got the texts x, y"),
        (record({"left": "a"}, preference=[("left", ADA)]), "fields.right: missing"),
        (
            record(ONE, rating=[(3, ADA)]),
            "metadata.rating_low: missing; a rating needs .* give the file's with --scale",
        ),
        (
            record(ONE, part=[([{"label": "x", "start": 1, "end": 9}], ADA)]),
            r"responses.part\[0\].start: expected a position",
        ),
        (
            record(ONE, part=[([{"label": "x", "start": 6, "end": 99}], ADA)]),
            r"responses.part\[0\].end: expected a position",
        ),
        (record(ONE, part=[([{"label": 3, "start": 6, "end": 9}], ADA)]), r"responses.part\[0\].label: expected text"),
        (record(ONE, part=[("x", ADA)]), r"responses.part: expected a list"),
        (record(ONE, correction=[(["x"], ADA)]), "responses.correction: expected text"),
        (record(ONE, correction=[(" ", ADA)]), "responses.correction: value.text: expected some text"),
        (record(ONE, evaluation=[("so so", ADA)]), "responses.evaluation: expected one of good, bad, neither"),
        (record(ONE, score=[("much", ADA)]), "responses.score: expected a number, got 'much'"),
        (record(TWO, preference=[("up", ADA)]), "responses.preference: expected one of left, right, equal, cant_tell"),
        (record(TWO, order=[([{"value": "x", "rank": 1}], ADA)]), "responses.order: expected ranks of response_1 and"),
        (record(TWO, order=[([{"value": "response_1", "rank": 0}], ADA)]), "responses.order.rank: expected at least 1"),
        (record(ONE, correction=[("x", "jo")]), r"responses.correction\[0\].user_id: expected a UUID, got 'jo'"),
        (record(ONE, correction=[("x", ADA), ("y", ADA)]), r"responses.correction\[1\].user_id: stands twice"),
        (record(ONE) | {"responses": []}, "responses: expected an object"),
        (record(ONE) | {"fields": ["x"]}, "fields: expected an object"),
        (record(ONE) | {"metadata": {"heeler": "{"}}, "metadata.heeler: expected JSON as heeler wrote it"),
        (record(ONE) | {"metadata": 3}, "metadata: expected an object"),
        ({"id": "x", "text": "y"}, "expected a record with id, fields and responses"),
        ({"text": "x", "r.responses": ["a"], "r.responses.users": []}, "r.responses.users: expected 1, one of each"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_taken(store: Store, tmp_path: Path, one: Any, message: str) -> None:
    good = record(TWO, preference=[("left", ADA)])
    refuses(store, wrote(tmp_path / "f", good, one), "argilla", f"f: record 2: {message}")
    (tmp_path / "g").write_text(f"{json.dumps(good)}\n{json.dumps(one)}\n")
    refuses(store, str(tmp_path / "g"), "argilla", f"g: record 2: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a JSON array of records"),
        ("3", "expected a JSON array of records"),
        ('"x"', "expected a JSON array of records"),
        ("[3]", "record 1: expected an object"),
        ("[{", "record 1: not JSON"),
        ("not JSON", "expected a JSON array of records"),
    ],
)
@pytest.mark.parametrize("name", ["label-studio", "argilla"])
def test_what_is_no_file_of_records_is_refused(
    store: Store, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / "f").write_text(text)
    refuses(store, str(tmp_path / "f"), name, f"f: {message}")


def test_an_object_on_top_is_one_record_of_argilla_and_none_of_label_studio(store: Store, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(json.dumps({"records": []}))
    refuses(store, str(tmp_path / "f"), "label-studio", "f: expected a JSON array of records")
    refuses(store, str(tmp_path / "f"), "argilla", "f: record 1: expected a record with id, fields and responses")
    (tmp_path / "f").write_text(json.dumps(record(ONE)) + "\n3")
    refuses(store, str(tmp_path / "f"), "argilla", "f: record 2: expected an object, got '3'")


def test_scales_are_for_files_that_do_not_say_theirs(store: Store, tmp_path: Path) -> None:
    file = wrote(tmp_path / "f", record(ONE, rating=[(3, ADA)]))
    for name in ("jsonl", "pairs"):
        with pytest.raises(ConfigError, match="--scale is for label-studio and argilla"):
            import_feedback(store, file, name, scale=(1, 5))
    with pytest.raises(ConfigError, match="--scale: expected a low end and a greater high end, got 5 1"):
        import_feedback(store, file, "argilla", scale=(5, 1))
    with pytest.raises(DataError, match=r"record 1: responses\.rating: expected 0 to 2, got 3"):
        import_feedback(store, file, "argilla", scale=(0, 2))
    assert import_feedback(store, file, "argilla", scale=(0, 3)).num_answers == 1


def test_a_run_of_a_world_takes_no_texts(store: Store, tmp_path: Path) -> None:
    for name, one in (
        ("label-studio", task(PAIR, annotation(pairwise("left")))),
        ("argilla", record(TWO, x=[("1", ADA)])),
    ):
        with pytest.raises(DataError, match=r"record 1.*: segment: a text, and this is a run in the world 'Hopper'"):
            import_feedback(store, wrote(tmp_path / "f", one), name, env_id="Hopper")


def test_json_min_cannot_say_which_answers_were_heelers(store: Store, tmp_path: Path) -> None:
    import_feedback(store, wrote(tmp_path / "f", task(ONE, annotation(stars(3)))), "label-studio")
    export_feedback(store, str(tmp_path / "g"), "label-studio")
    (out,) = json.loads((tmp_path / "g").read_text())
    row = minimal(out["data"], rating=[{"rating": 3}])
    with pytest.raises(DataError, match="record 1: annotation_id: JSON-MIN does not say which annotations"):
        import_feedback(store, wrote(tmp_path / "h", row), "label-studio")
    row["heeler"]["answers"] = {}
    imported = import_feedback(store, wrote(tmp_path / "h", row), "label-studio")
    assert (imported.num_answers, imported.num_known, imported.num_queries) == (0, 1, 0)
