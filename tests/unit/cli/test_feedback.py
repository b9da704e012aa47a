"""`heeler feedback`: what it says and prints, what scripts read, and what comes of mistakes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_segment
from tests.unit.feedback.transfer_helpers import everything, filled_store


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's directory with feedback of all kinds."""
    path = tmp_path / "run"
    RunDirectory.create(path, {"seed": 0})
    filled_store(path).close()
    return path


@pytest.fixture
def empty_run(tmp_path: Path) -> Path:
    """A run's directory with a store in which nothing ever was."""
    path = tmp_path / "empty"
    RunDirectory.create(path, {"seed": 0})
    opened(path).close()
    return path


def opened(run: Path) -> Store:
    return Store.open(run / "heeler.db", segments_dir=run / "segments")


def test_feedback_goes_out_and_comes_in(run: Path, empty_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.parent / "f.jsonl"
    assert main(["feedback", "export", str(run), str(file)]) == 0
    assert capsys.readouterr() == (f"30 answers in {file}\n", "")
    assert main(["feedback", "import", str(empty_run), str(file)]) == 0
    assert capsys.readouterr() == ("30 answers taken in\nNew annotators: ann, simulated, a program\n", "")
    with opened(run) as one, opened(empty_run) as other:
        assert everything(one) == everything(other)
    assert main(["feedback", "import", str(empty_run), str(file)]) == 0
    assert capsys.readouterr() == ("0 answers taken in, 30 were there already\n", "")


def test_scripts_read_json_and_people_what_was_left_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(run.parent / "f.json")
    assert main(["feedback", "export", str(run), file, "--format", "argilla", "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert (result["run"], result["file"], result["format"], result["num_answers"]) == (str(run), file, "argilla", 12)
    assert result["left_out"]["answers of kind critique"] == 3
    assert "heeler: argilla has no place for 3 answers of kind critique\n" in told.err
    assert main(["feedback", "import", str(run), file, "--format=argilla", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["num_answers"], result["num_known"], result["annotators"]) == (0, 12, [])
    records = json.loads(Path(file).read_text())
    records[0]["responses"]["why"] = [{"value": "x", "user_id": None}]
    Path(file).write_text(json.dumps(records))
    assert main(["feedback", "import", str(run), file, "--format", "argilla"]) == 0
    assert "heeler: passed over 1 responses to the question why\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["jsonl", "pairs", "label-studio", "argilla"])
def test_a_file_goes_through_pipes(run: Path, name: str) -> None:
    command = [sys.executable, "-m", "heeler", "feedback"]
    out = subprocess.run([*command, "export", str(run), "-", "--format", name], capture_output=True, check=True)
    assert b"answers in -\n" in out.stderr
    into = subprocess.run(
        [*command, "import", str(run), "-", "--format", name], input=out.stdout, capture_output=True, check=True
    )
    assert into.stdout.startswith(b"0 answers taken in, ")


def test_mistakes_are_named_and_change_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.parent / "f.jsonl"
    main(["feedback", "export", str(run), str(file)])
    with opened(run) as store:
        before = everything(store)
    lines = file.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if '"answer"' in line)
    file.write_text("\n".join([*lines[:place], lines[place].replace('"left"', '"lefty"'), *lines[place + 1 :]]))
    capsys.readouterr()
    for arguments, message in (
        (["import", str(run), str(file)], f"heeler: {file}: line {place + 1}: value.choice: expected one of"),
        (["import", str(run), str(file), "--format", "pairs"], f"{file}: line 1: "),
        (
            ["import", str(run), str(file), "--format", "argilla"],
            f"{file}: record 1: expected a record with id, fields",
        ),
        (["import", str(run), str(file), "--format", "label-studio"], f"{file}: expected a JSON array of records"),
        (["import", str(run), str(file), "--scale", "1", "5"], "--scale is for label-studio and argilla; jsonl has no"),
        (["export", str(run), "f", "--kind", "rating"], "--kind is for label-studio and argilla; jsonl has all"),
        (
            ["export", str(run), "f", "--format", "argilla", "--kind", "ratings"],
            "no kind of feedback 'ratings'. Did you",
        ),
        (["settings", "label-studio", "ratings"], "there is no kind of feedback 'ratings'. Did you mean 'rating'"),
        (["settings", "pairs", "rating"], "pairs is of no program that has settings; name one of label-studio and arg"),
        (["import", str(run), str(file.parent / "x")], f"heeler: {file.parent / 'x'}: cannot be read"),
        (["export", str(run), str(run)], f"heeler: cannot write {run}: it is a folder; name a file"),
        (["export", str(run), "f", "--format", "jsnl"], "there is no format 'jsnl'. Did you mean 'jsonl'?"),
        (["export", str(run), "-", "--json"], "--json prints on standard output, and so would FILE -"),
        (["export", str(run), "f", "--fromat", "pairs"], "has no flag --fromat. Did you mean '--format'?"),
        (["exprt", str(run), "f"], "there is no command 'feedback exprt'. Did you mean 'export'?"),
        (["import", str(run.parent / "nowhere"), str(file)], "is not a run: it has no config.yaml"),
    ):
        assert main(["feedback", *arguments]) == 2
        told = capsys.readouterr()
        assert message in told.err
        assert (told.out, told.err.count("\n")) == ("", 1)
    assert not Path("f").exists()
    with opened(run) as store:
        assert everything(store) == before


def test_a_run_that_asks_nobody_has_no_feedback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDirectory.create(tmp_path / "run", {"env": {"id": "Hopper"}})
    for command in ("export", "import"):
        assert main(["feedback", command, str(tmp_path / "run"), str(tmp_path / "f")]) == 2
        assert "run has no feedback: it has no store" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_segments_of_another_world_do_not_come_in(
    run: Path, empty_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_segment(0).env_id == "Hopper"
    file = str(run.parent / "f.jsonl")
    main(["feedback", "export", str(run), file])
    shutil.rmtree(empty_run)
    RunDirectory.create(empty_run, {"env": {"id": "Ant"}})
    opened(empty_run).close()
    capsys.readouterr()
    assert main(["feedback", "import", str(empty_run), file]) == 2
    assert "segment.env_id: expected the run's own 'Ant', got 'Hopper'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["export", "import"])
def test_the_commands_explain_themselves(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["feedback", command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"usage: heeler feedback {command}" in told
    assert "label-studio" in told
    assert main(["feedback", "--help"]) == 0
    assert f"\n  {command} " in capsys.readouterr().out
    assert main(["feedback"]) == 2
    assert "usage: heeler feedback COMMAND" in capsys.readouterr().err


def test_torch_is_not_loaded_for_it(run: Path) -> None:
    script = "import sys; from heeler.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", script, "feedback", "export", str(run), str(run.parent / "f")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("\nFalse\n")


def test_a_folder_of_texts_is_made_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = tmp_path / "texts", tmp_path / "pairs.jsonl"
    judged = {"prompt": "Say", "chosen": " a", "rejected": " b"}
    open_pair = {"prompt": "Say", "left": " c", "right": " d"}
    command = ["feedback", "import", str(folder), str(file), "--format", "pairs"]
    file.write_text(json.dumps(judged) + '\n{"chosen": "x"}\n')
    assert main([*command, "--new"]) == 2
    assert "line 2: rejected: missing" in capsys.readouterr().err
    assert not folder.exists(), "nothing was taken, so nothing was made"
    file.write_text(json.dumps(judged) + "\n" + json.dumps(open_pair) + "\n")
    assert main(command) == 2
    assert "is not a run" in capsys.readouterr().err
    assert main([*command, "--new"]) == 0
    told = "1 answer taken in\nNew questions: 2, about 4 new texts or clips\nNew annotators: dataset\n"
    assert capsys.readouterr() == (told, "")
    assert main([*command, "--new"]) == 2
    assert "is there already; leave out --new" in capsys.readouterr().err
    assert main(command) == 0
    assert capsys.readouterr().out == "0 answers taken in, 1 were there already\n"
    assert main(["report", str(folder)]) == 2
    assert "this is a folder of texts, in which nothing learns" in capsys.readouterr().err


def test_texts_that_were_annotated_elsewhere_make_a_folder_and_go_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = tmp_path / "texts", tmp_path / "records.json"
    fields, user = {"prompt": "Say", "completion": "a"}, "5f6d1d5e-3a52-4f0b-8f5e-2f2b8a1f3c77"
    record = {"fields": fields, "responses": {"helpful": [{"value": 3, "user_id": user}]}}
    file.write_text(json.dumps([record]))
    command = ["feedback", "import", str(folder), str(file), "--format", "argilla", "--new"]
    assert main(command) == 2
    assert "record 1: metadata.rating_low: missing" in capsys.readouterr().err
    assert not folder.exists()
    assert main([*command, "--scale", "1", "5"]) == 0
    assert capsys.readouterr().out == f"1 answer taken in\nNew annotators: argilla-{user}\n"
    out = tmp_path / "tasks.json"
    export = ["feedback", "export", str(folder), str(out), "--format", "label-studio"]
    assert main([*export, "--kind", "rating"]) == 0
    assert json.loads(out.read_text())[0]["data"]["completion"] == "a"
    assert main([*export, "--kind", "critique"]) == 0
    assert json.loads(out.read_text()) == []
    file.write_text(json.dumps([{"fields": {"left": "a", "right": "b"}, "responses": {}}]))
    assert main(command[:-1]) == 0
    capsys.readouterr()
    assert main([*export, "--open", "--kind", "preference"]) == 0
    assert capsys.readouterr().out == f"0 answers and 1 open question in {out}\n"
    capsys.readouterr()
    for program, beginning in (("label-studio", "<View>"), ("argilla", "{")):
        assert main(["feedback", "settings", program, "rating"]) == 0
        assert capsys.readouterr().out.startswith(beginning)


def test_a_run_of_a_world_takes_no_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = tmp_path / "hopper", tmp_path / "pairs.jsonl"
    RunDirectory.create(run, {"env": {"id": "Hopper"}})
    opened(run).close()
    file.write_text('{"prompt": "Say", "chosen": " a", "rejected": " b"}\n')
    assert main(["feedback", "import", str(run), str(file), "--format", "pairs"]) == 2
    assert "line 1: segment: a text, and this is a run in the world 'Hopper'" in capsys.readouterr().err
