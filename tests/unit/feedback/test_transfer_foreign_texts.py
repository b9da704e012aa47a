"""Texts that were annotated in Label Studio or Argilla without heeler: files as these programs document them."""

import json
from pathlib import Path
from typing import Any

import pytest

from heeler.core.nouns import Message, TextSegment, plain_prompt
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback
from tests.unit.feedback.foreign_texts import (
    ADA,
    BOB,
    CHAT,
    COLD,
    ONE,
    PAIR,
    QUESTION,
    TWO,
    WARM,
    annotation,
    choice,
    marked,
    minimal,
    number,
    pairwise,
    record,
    stars,
    task,
    words,
    wrote,
)
from tests.unit.feedback.helpers import Home
from tests.unit.feedback.transfer_helpers import contents, everything


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
