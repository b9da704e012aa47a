"""Texts in the forms of Label Studio and Argilla: shown as texts there, and back as the same answers."""

import json
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import FEEDBACK_KINDS, Message, plain_prompt
from heeler.core.privacy import redact
from heeler.feedback.store import Store
from heeler.feedback.transfer import export_feedback, import_feedback, tool_settings
from heeler.feedback.transfer.argilla_texts import user_id
from tests.unit.feedback.helpers import make_answer, make_query, make_segment, new_store, open_store
from tests.unit.feedback.tool_texts import CHAT, NUM_ANSWERS, SHOWN, VALUES, text, texts_store
from tests.unit.feedback.transfer_helpers import contents, everything

FORMATS = ("label-studio", "argilla")


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    with texts_store(tmp_path / "from") as store:
        yield store


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "into").mkdir()
    with new_store(tmp_path / "into" / "heeler.db", tmp_path / "into" / "segments") as store:
        yield store


def read(path: Path) -> Any:
    return json.loads(path.read_text("ascii"))


def wrote(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_goes_out_and_comes_back_unchanged(filled: Store, empty: Store, tmp_path: Path, name: str) -> None:
    file, again = tmp_path / "f", tmp_path / "g"
    exported = export_feedback(filled, str(file), name)
    assert (exported.num_answers, exported.left_out) == (NUM_ANSWERS, {})
    before = contents(filled)
    known = import_feedback(filled, str(file), name, env_id="text")
    assert (known.num_answers, known.num_known, known.num_queries, known.num_segments) == (0, NUM_ANSWERS, 0, 0)
    assert contents(filled) == before
    imported = import_feedback(empty, str(file), name, env_id="text")
    assert (imported.num_answers, imported.num_known, imported.left_out) == (NUM_ANSWERS, 0, {})
    after = contents(empty)
    assert after["answers"] == before["answers"]
    assert after["segments"] == before["segments"]
    kinds = {"ann": "person", "simulated": "simulated"}
    assert {who: annotator.kind for who, annotator in after["annotators"].items()} == kinds
    export_feedback(empty, str(again), name)
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_one_kind_alone_goes_out(filled: Store, tmp_path: Path, name: str) -> None:
    for kind in FEEDBACK_KINDS:
        exported = export_feedback(filled, str(tmp_path / "f"), name, kind=kind)
        assert exported.num_answers == 2 * len(VALUES[kind])
        data = [one.get("data") or one["metadata"] for one in read(tmp_path / "f")]
        assert {one["kind"] for one in data} == {kind}
    for other in ("jsonl", "pairs"):
        with pytest.raises(ConfigError, match="--kind is for label-studio and argilla"):
            export_feedback(filled, str(tmp_path / "f"), other, kind="rating")


def test_label_studio_shows_the_texts_with_the_tags_of_its_configuration(filled: Store, tmp_path: Path) -> None:
    for kind in FEEDBACK_KINDS:
        export_feedback(filled, str(tmp_path / "f"), "label-studio", kind=kind)
        tags = list(ElementTree.fromstring(tool_settings("label-studio", kind)).iter())
        names = {tag.get("name") for tag in tags if tag.get("name")}
        shown = {str(tag.get("value"))[1:] for tag in tags if tag.tag == "Text"}
        types = {tag.get("name"): tag.tag.lower() for tag in tags if tag.get("name")}
        values = {tag.get("value") for tag in tags if tag.tag in ("Choice", "Label")}
        for task in read(tmp_path / "f"):
            assert shown <= set(task["data"])
            assert SHOWN in (task["data"].get("left"), task["data"].get("completion"))
            for annotation in task["annotations"]:
                for result in annotation["result"]:
                    assert types[result["from_name"]] == result["type"]
                    assert result["to_name"] in names
                    for chosen in result["value"].get("choices", []) + result["value"].get("labels", []):
                        assert chosen in values
        chat = next(task for task in read(tmp_path / "f") if task["data"]["messages"] != [])
        assert chat["data"]["messages"][0]["content"] in chat["data"]["prompt"]


def test_argilla_shows_the_texts_with_the_questions_of_its_settings(filled: Store, tmp_path: Path) -> None:
    for kind in FEEDBACK_KINDS:
        export_feedback(filled, str(tmp_path / "f"), "argilla", kind=kind)
        wanted = json.loads(tool_settings("argilla", kind))
        fields = {field["name"]: field for field in wanted["fields"]}
        questions = {question["name"]: question["settings"] for question in wanted["questions"]}
        assert any(question["required"] for question in wanted["questions"])
        for record in read(tmp_path / "f"):
            assert set(record["fields"]) <= set(fields)
            assert all(name in record["fields"] for name, field in fields.items() if field["required"])
            given = [(name, one["value"]) for name, some in record["responses"].items() for one in some]
            given += [(name, one["value"]) for name, one in record["suggestions"].items()]
            for name, value in given:
                options = [option["value"] for option in questions[name].get("options", [])]
                labels = [span["label"] for span in value] if name == "part" else [value]
                assert not options or set(labels) <= set(options)
            assert {one["user_id"] for some in record["responses"].values() for one in some} == {user_id("ann")}


def test_argilla_counts_positions_as_its_pages_do(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "f"), "argilla", kind="critique")
    part = read(tmp_path / "f")[0]["responses"]["part"][0]["value"][0]
    units = SHOWN.encode("utf-16-le")
    assert units[2 * part["start"] : 2 * part["end"]].decode("utf-16-le") == SHOWN[7:13] == "😀 say."


def test_no_place_is_found_for_a_second_answer_of_one_person_in_argilla(filled: Store, tmp_path: Path) -> None:
    answer, query, _ = next(one for one in everything(filled) if one[0].kind == "preference")
    filled.add_feedback([make_answer(query, "second", choice="right")])
    exported = export_feedback(filled, str(tmp_path / "f"), "argilla")
    assert exported.left_out == {"second answers of people to one question": 1}
    assert export_feedback(filled, str(tmp_path / "f"), "label-studio").num_answers == NUM_ANSWERS + 1
    assert answer.annotator == "ann"


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROLES = st.sampled_from(["user", "assistant", "system"])


@settings(max_examples=20, deadline=None)
@given(
    ANY.map(plain_prompt) | st.lists(st.builds(Message, role=ROLES, content=ANY), max_size=3).map(tuple),
    st.tuples(ANY, ANY).filter(lambda texts: redact(texts[0]).text != redact(texts[1]).text),
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-5, 15), st.integers(16, 20)),
    st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from((-1, 1))), max_size=4),
    ANY.filter(lambda text: text.strip() != ""),
    st.tuples(st.integers(0, 19), st.integers(1, 20)),
)
def test_whatever_was_said_of_a_text_comes_back(
    prompt: tuple[Message, ...],
    texts: tuple[str, str],
    scale: tuple[float, int, int],
    marks: list[tuple[float, int]],
    words: str,
    part: tuple[int, int],
) -> None:
    low, high = min(scale), max(scale)
    values: dict[str, dict[str, Any]] = {
        "preference": {"choice": "right"},
        "rating": {"score": sorted(scale)[1], "low": low, "high": high},
        "evaluation": {"marks": [{"time_s": t, "sign": sign} for t, sign in sorted(marks)]},
        "correction": {"text": words},
        "demonstration": {"segment_id": ""},
    }
    if texts[0]:
        start = part[0] % len(texts[0])
        values["critique"] = {"text": words, "start": start, "end": min(len(texts[0]), start + part[1])}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_store(folder) as store:
            ids = store.add_segments([text(redact(one).text, prompt=redacted(prompt)) for one in texts])
            if "critique" in values and len(redact(texts[0]).text) != len(texts[0]):
                del values["critique"]
            for kind, value in values.items():
                query = make_query(kind, *ids[: 2 if kind == "preference" else 1], kind=kind)
                store.add_queries([replace(query, acquisition="imported")])
                store.add_feedback(
                    [make_answer(query, value=value if value != {"segment_id": ""} else {"segment_id": ids[1]})]
                )
            before = everything(store)
            for form in FORMATS:
                export_feedback(store, str(folder / form), form)
        for form in FORMATS:
            with new_store(folder / f"{form}.db", folder / f"{form}-segments") as into:
                import_feedback(into, str(folder / form), form, env_id="text")
                assert everything(into) == before


def redacted(prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(replace(message, content=redact(message.content).text) for message in prompt)


@pytest.mark.parametrize("name", FORMATS)
def test_open_questions_go_out_to_be_answered_there(filled: Store, empty: Store, tmp_path: Path, name: str) -> None:
    ids = filled.add_segments([text("One."), text("Two.")])
    (clip,) = filled.add_segments([make_segment(1)])
    shown = {"preference": ids, "rating": ids[:1], "critique": [clip]}
    pair, rating, of_a_clip = (make_query(("open", kind), *names, kind=kind) for kind, names in shown.items())
    filled.add_queries([pair, rating, of_a_clip])
    assert export_feedback(filled, str(tmp_path / "f"), name).num_open == 0
    exported = export_feedback(filled, str(tmp_path / "f"), name, with_open=True)
    assert (exported.num_answers, exported.num_open) == (NUM_ANSWERS, 2)
    assert import_feedback(filled, str(tmp_path / "f"), name).num_known == NUM_ANSWERS
    imported = import_feedback(empty, str(tmp_path / "f"), name, env_id="text")
    assert (imported.num_answers, imported.left_out) == (NUM_ANSWERS, {})
    assert {query.id for query in empty.open_queries(9)} == {pair.id, rating.id}
    tasks = {(one.get("data") or one["metadata"])["query_id"]: one for one in read(tmp_path / "f")}
    task = tasks[pair.id]
    if name == "label-studio":
        result = {"id": "x", "from_name": "preference", "to_name": "preference", "type": "pairwise"}
        task["annotations"] = [{"id": 5, "completed_by": 2, "result": [{**result, "value": {"selected": "right"}}]}]
    else:
        task["responses"] = {"preference": [{"value": "right", "user_id": user_id("ann")}]}
    assert import_feedback(filled, wrote(tmp_path / "g", [task]), name).num_answers == 1
    answer, _, _ = everything(filled)[-1]
    assert (answer.query_id, answer.value) == (pair.id, {"choice": "right"})
    assert answer.annotator == ("label-studio-2" if name == "label-studio" else "ann")
    with pytest.raises(ConfigError, match="--open is for label-studio and argilla, where people answer"):
        export_feedback(filled, str(tmp_path / "f"), "jsonl", with_open=True)


# Changed there


def test_label_studio_gives_annotations_new_ids_and_they_are_the_same_answers(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "f"), "label-studio")
    before = everything(filled)
    tasks = read(tmp_path / "f")
    for task in tasks:
        for number, annotation in enumerate(task["annotations"]):
            annotation |= {"import_id": annotation["id"], "id": 9000 + number, "completed_by": 1}
    assert import_feedback(filled, wrote(tmp_path / "g", tasks), "label-studio").num_known == NUM_ANSWERS
    assert everything(filled) == before


def test_an_answer_that_was_changed_there_is_a_new_one_of_whoever_did(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "f"), "label-studio", kind="correction")
    (task,) = read(tmp_path / "f")
    annotation = task["annotations"][0]
    annotation |= {"import_id": annotation["id"], "id": 9000, "completed_by": 3, "lead_time": 9.5}
    annotation["result"][0]["value"]["text"] = ["Changed."]
    imported = import_feedback(filled, wrote(tmp_path / "g", [task]), "label-studio")
    assert (imported.num_answers, imported.num_known, imported.annotators) == (1, 1, ("label-studio-3",))
    answer, _, _ = everything(filled)[-1]
    assert (answer.annotator, answer.value, answer.time_taken_s) == ("label-studio-3", {"text": "Changed."}, 9.5)
    export_feedback(filled, str(tmp_path / "f"), "argilla", kind="preference")
    records = read(tmp_path / "f")
    records[0]["responses"]["preference"][0]["value"] = "equal"
    imported = import_feedback(filled, wrote(tmp_path / "g", records), "argilla")
    assert (imported.num_answers, imported.num_known) == (1, 7)
    answer, _, _ = everything(filled)[-1]
    assert (answer.annotator, answer.value) == ("ann", {"choice": "equal"})


def test_somebody_who_answers_there_too_is_a_new_annotator(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "f"), "argilla", kind="critique")
    records = read(tmp_path / "f")
    user = "5f6d1d5e-3a52-4f0b-8f5e-2f2b8a1f3c77"
    span = {"label": "part", "start": 5, "end": 9}
    records[0]["responses"]["part"].append({"value": [span], "user_id": user})
    records[0]["responses"]["critique"].append({"value": "who?", "user_id": user})
    imported = import_feedback(filled, wrote(tmp_path / "g", records), "argilla")
    assert (imported.num_answers, imported.annotators) == (1, (f"argilla-{user}",))
    answer, _, _ = everything(filled)[-1]
    assert answer.value == {"text": "who?", "start": 5, "end": 8}
    assert SHOWN[5:8] == "I 😀"


# What does not hold

BAD_HEELER: list[tuple[list[Any], Any, str]] = [
    (["policy_versions"], [0], "heeler.policy_versions: expected 2, one of each text, got 1"),
    (["policy_versions"], [0, -1], "heeler.policy_versions: expected 0 to"),
    (["policy_versions"], "x", "heeler.policy_versions: expected a list"),
    (["answers"], [], "heeler.answers: expected an object"),
    (["answers"], {"x": {"key": "y"}}, "heeler.answers.x.annotator: missing"),
    (["more"], 1, "heeler.more: unknown field"),
]


def spoiled(fields: Any, path: list[Any], value: Any) -> None:
    for step in path[:-1]:
        fields = fields[step]
    fields[path[-1]] = value


def refuses(store: Store, file: str, name: str, message: str) -> None:
    before = contents(store), store.query_count()
    with pytest.raises(DataError, match=message):
        import_feedback(store, file, name)
    assert (contents(store), store.query_count()) == before


@pytest.mark.parametrize(("path", "value", "message"), BAD_HEELER)
@pytest.mark.parametrize("name", FORMATS)
def test_what_heeler_wrote_beside_a_task_is_checked(
    filled: Store, empty: Store, tmp_path: Path, name: str, path: list[Any], value: Any, message: str
) -> None:
    export_feedback(filled, str(tmp_path / "f"), name, kind="preference")
    tasks = read(tmp_path / "f")
    if name == "argilla":
        own = json.loads(tasks[1]["metadata"]["heeler"])
        spoiled(own, path, value)
        tasks[1]["metadata"]["heeler"] = json.dumps(own)
    else:
        spoiled(tasks[1]["data"]["heeler"], path, value)
    refuses(empty, wrote(tmp_path / "g", tasks), name, rf"record 2: (data|metadata)\.{message}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["kind"], "rateing", "kind: expected one of preference"),
        (["query_id"], None, "query_id: expected some text"),
        (["left"], "Another.", "query_id: query .* asks about other segments than these texts; this is a task of"),
        (["messages"], [{"role": "user", "content": "Else?"}], "query_id: query .* asks about other segments"),
        (["messages"], 3, "data.messages: expected text or a list of messages, got 3"),
        (["messages"], [{"role": "user"}], r"prompt\[0\].content: missing"),
        (["left"], 3, "data.left: expected text or a list of messages, got 3"),
        (["left"], None, "data.left: missing; a comparison is of two texts"),
        (["left"], "x\0", "data.left: expected text"),
        (["left"], "x" * 100_001, "completion: expected at most 100,000"),
    ],
)
def test_a_task_of_another_run_or_with_other_texts_is_refused(
    filled: Store, tmp_path: Path, path: list[Any], value: Any, message: str
) -> None:
    export_feedback(filled, str(tmp_path / "f"), "label-studio", kind="preference")
    tasks = read(tmp_path / "f")
    spoiled(tasks[1]["data"], path, value)
    refuses(filled, wrote(tmp_path / "g", tasks), "label-studio", f"record 2: .*{message}")
    export_feedback(filled, str(tmp_path / "f"), "argilla", kind="preference")
    records = read(tmp_path / "f")
    if path[0] in ("kind", "query_id"):
        spoiled(records[1]["metadata"], path, value)
    else:
        spoiled(records[1]["fields"], ["prompt" if path[0] == "messages" else path[0]], value)
    message = message.replace("data.messages", "fields.prompt").replace("data.", "fields.")
    refuses(filled, wrote(tmp_path / "g", records), "argilla", f"record 2: .*{message}")


def test_settings_are_of_programs_and_kinds_that_there_are() -> None:
    with pytest.raises(ConfigError, match="jsonl is of no program that has settings; name one of label-studio and arg"):
        tool_settings("jsonl", "rating")
    with pytest.raises(ConfigError, match=r"there is no kind of feedback 'rateing'\. Did you mean 'rating'"):
        tool_settings("argilla", "rateing")


def test_chats_are_shown_with_their_roles(filled: Store, tmp_path: Path) -> None:
    export_feedback(filled, str(tmp_path / "f"), "label-studio")
    prompts = {task["data"]["prompt"] for task in read(tmp_path / "f")}
    assert prompts == {"system: Be kind.\n\nuser: Tea – or 😀?", "Say:\n\nuser: x", ""}
    assert [message.role for message in CHAT] == ["system", "user"]
