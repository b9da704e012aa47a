"""Parts and budgets of a reward as a run's configuration names them, through the loop."""

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError, HeelerError, RewardError
from heeler.core.rundir import RunDirectory
from heeler.loop.config import to_dict
from heeler.loop.language.config import LanguageRunConfig, PartWeights, language_config_from_dict
from heeler.loop.language.rewarding import tells_apart
from heeler.loop.language.run import Metrics
from heeler.loop.language.running import Listeners, resume_language, run_language
from tests.tiny_models import save_tiny_embeddings, tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run

FUNCTIONS = """
from dataclasses import dataclass

@dataclass
class Weights:
    topic: "float" = 1.0

def topical(completions, topic):
    return [Weights().topic * one for one in topic]

def columns_there(prompts, completions, **columns):
    assert sorted(columns) == ["facts", "note", "reference", "topic"], columns
    assert all(isinstance(text, str) for text in prompts + completions)
    return [None if note is None else 1.0 for note in columns["note"]]

def always(completions, **_):
    return [1.0] * len(completions)

def never(completions, **_):
    return [0.0] * len(completions)

def letters(completions, **_):
    return [float(sum(map(str.isalpha, text))) for text in completions]

def needs_answer(completions, answer):
    return answer

def raises(completions, **_):
    raise ZeroDivisionError("oh")

def too_few(completions, **_):
    return [1.0]

def not_a_number(completions, **_):
    return [float("nan")] * len(completions)

NUMBER = 7
"""
KEY = "sk-secret-0123456789abcdef"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama(max_length=256).save(folder)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts with columns, prompts alone, functions, knowledge and schemas."""
    folder = tmp_path_factory.mktemp("files")
    rows = [
        {"prompt": f"q{i}?", "reference": f"At {i}.", "facts": ["It opens at 9 am."], "topic": i % 3} for i in range(20)
    ]
    rows[0]["note"] = "only here"
    write_rows(folder / "prompts.jsonl", rows)
    write_rows(folder / "bare.jsonl", [{"prompt": f"q{i}?"} for i in range(20)])
    (folder / "rewards.py").write_text(FUNCTIONS)
    (folder / "broken.py").write_text("raise SystemExit('I am a script')\n")
    (folder / "known.md").write_text("We open at 9 am.\n")
    write_rows(folder / "known.jsonl", [{"text": "We open at 9 am."}, {"text": "We close at 5 pm."}])
    (folder / "object.json").write_text('{"type": "object"}')
    (folder / "bad.json").write_text('{"type": "objekt"}')
    (folder / "torn.json").write_text('{"type": ')
    (folder / "dangling.json").write_text('{"properties": {"a": {"$ref": "#/$defs/none"}}}')
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def plain(base: Path, files: Path) -> LanguageRunConfig:
    """Two updates on the file of prompts; nobody is asked."""
    return dataclasses.replace(
        tiny_language_run(base),
        world=str(files / "prompts.jsonl"),
        num_updates=2,
        learned=None,
        asking=None,
        release=None,
        watch=None,
        num_evaluation_items=1,
        checkpoint_every=1,
    )


def configured(
    config: LanguageRunConfig,
    parts: Mapping[str, Any],
    limits: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> LanguageRunConfig:
    """With these parts, as a file has them."""
    values = to_dict(config) | {"parts": parts} | changes
    values["budgets"] = values["budgets"] | {"limits": limits or []}
    return language_config_from_dict(values)


def function(files: Path, called: str, weight: float = 1.0, **settings: Any) -> dict[str, Any]:
    return {"function": f"{files / 'rewards.py'}:{called}", "weight": weight, **settings}


def rows_of(config: LanguageRunConfig, path: Path) -> list[dict[str, Any]]:
    run_language(config, path)
    return RunDirectory.open(path).metrics()


def test_every_part_is_a_setting_with_a_weight(plain: LanguageRunConfig, files: Path, tmp_path: Path) -> None:
    parts = {
        "truthfulness": {"weight": 1.0, "no_claims": 0.5, "whole": True},
        "helpfulness": 0.5,
        "brevity": 0.5,
        "repetition": {"weight": -0.5, "size": 1},
        "agreement": {"weight": 0.5, "similarity": "chrf"},
        "token_f1": {"weight": 0.5, "column": "facts"},
        "likelihood": {"weight": 0.1, "floor": -6.0},
        "toxicity": -1,
        "length": {"weight": 1.0, "free": 0, "worst": 12, "unit": "tokens"},
        "patterns": [{"weight": 1.0, "pattern": "[a-z]", "where": "anywhere"}],
        "schemas": [{"weight": 1.0, "schema": str(files / "object.json")}],
        "functions": [
            function(files, "topical"),
            function(files, "columns_there"),
            function(files, "letters", 0.2, name="again"),
        ],
    }
    config = configured(plain, parts)
    assert language_config_from_dict(to_dict(config)) == config
    rows = rows_of(config, tmp_path / "run")
    lists = ("patterns", "schemas", "functions")
    names = {name for name in parts if name not in lists} | {"pattern", "schema", "topical", "columns_there", "again"}
    told = {key.split("/")[1] for key in rows[-1] if key.startswith("rewards/") and key.endswith("/applicable")}
    assert told == names
    assert 0 <= rows[-1]["rewards/topical/mean"] <= 2, "columns reach functions"
    assert rows[-1]["rewards/columns_there/applicable"] < 1, "a column that a row lacks is None there"
    assert -6 <= rows[-1]["rewards/likelihood/mean"] < 0
    assert -0.5 <= rows[-1]["rewards/length/mean"] < 0, "6 tokens of 12 at most"
    assert all(tells_apart(row) for row in rows)


def test_likeness_by_embeddings_is_a_part(plain: LanguageRunConfig, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="heeler[embeddings] is not installed")
    save_tiny_embeddings(tmp_path / "model")
    config = configured(plain, {"embedding": {"weight": 1.0, "model": str(tmp_path / "model")}})
    rows = rows_of(config, tmp_path / "run")
    assert -1 <= rows[-1]["rewards/embedding/mean"] <= 1 and rows[-1]["rewards/embedding/std"] > 0


@pytest.mark.parametrize("name", ["known.md", "known.jsonl"])
def test_knowledge_is_for_prompts_without_facts(
    name: str, plain: LanguageRunConfig, files: Path, tmp_path: Path
) -> None:
    truth = {"weight": 1.0, "knowledge": str(files / name), "no_claims": 0.25}
    config = configured(plain, {"truthfulness": truth, "agreement": 1.0}, world=str(files / "bare.jsonl"))
    rows = rows_of(config, tmp_path / "run")
    assert rows[-1]["rewards/truthfulness/applicable"] == 1
    assert rows[-1]["rewards/agreement/applicable"] == 1


def test_any_part_is_kept_within_a_budget(plain: LanguageRunConfig, files: Path, tmp_path: Path) -> None:
    parts = {"functions": [function(files, "always", 0), function(files, "never", 0), function(files, "letters")]}
    limits = [
        {"part": "always", "at_most": 0.1},
        {"part": "never", "at_least": 0.9},
        {"part": "letters", "at_most": 1000.0, "unit": 100.0},
        {"part": "repetition", "at_most": 0.5},
    ]
    rows = rows_of(configured(plain, parts, limits), tmp_path / "run")
    assert rows[-1]["multipliers/always"] > rows[0]["multipliers/always"] > 0
    assert rows[-1]["multipliers/never"] == rows[-1]["multipliers/always"], "0.9 too much, and 0.9 too little"
    assert rows[-1]["multipliers/letters"] == rows[-1]["multipliers/repetition"] == 0
    assert rows[-1]["costs/never/mean"] == 0 and rows[-1]["costs/never/budget"] == 0.9
    assert "rewards/letters/mean" in rows[-1] and "costs/letters/mean" in rows[-1], "it weighs, and is kept in limits"
    assert "rewards/always/mean" not in rows[-1] and "costs/toxicity/mean" in rows[-1]


def test_a_run_with_budgets_that_was_killed_ends_as_if_it_had_not_been(
    plain: LanguageRunConfig, files: Path, tmp_path: Path
) -> None:
    parts = {"functions": [function(files, "letters")], "likelihood": 0.5}
    config = configured(plain, parts, [{"part": "letters", "at_most": 0.5}, {"part": "likelihood", "at_least": -1.0}])
    whole = rows_of(config, tmp_path / "whole")

    def kill(row: Metrics) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_language(config, tmp_path / "killed", Listeners(on_metrics=kill))
    resume_language(tmp_path / "killed")
    killed = RunDirectory.open(tmp_path / "killed").metrics()
    without_times = [[{k: v for k, v in row.items() if not k.endswith("_s")} for row in one] for one in (whole, killed)]
    assert without_times[0] == without_times[1]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"truthfulness": 1.0}, r"parts\.truthfulness: .* no texts in a column 'facts'.*agreement"),
        ({"refusals": 1.0}, r"parts\.refusals: .* do not say what must be refused"),
        ({"helpfulness": 1.0}, r"parts\.helpfulness: .* no texts in a column 'reference'"),
        ({"token_f1": {"weight": 1, "column": "answer"}}, r"parts\.token_f1: .* no texts in a column 'answer'"),
        ({"embedding": {"weight": 1, "model": "x", "column": "prompt"}}, r"parts\.embedding: .* column 'prompt'"),
        ({"embedding": {"weight": 1, "model": "x"}}, r"parts\.embedding: .* no texts in a column 'reference'"),
        ({"functions": [{"function": "@rewards.py:needs_answer"}]}, r"functions\[0\]: .* needs the column 'answer'"),
        ({"functions": [{"function": "@rewards.py:allways"}]}, r"no function 'allways'. Did you mean 'always'"),
        ({"functions": [{"function": "@rewards.py:NUMBER"}]}, "must be a function, got int"),
        ({"functions": [{"function": "@none.py:f"}]}, "there is no file .*none.py"),
        ({"functions": [{"function": "no.such.module:f"}]}, "no.such.module cannot be imported"),
        ({"functions": [{"function": "@broken.py:f"}]}, "cannot be imported.*I am a script"),
        ({"functions": [{"function": "f"}]}, r"functions\[0\]: .*FILE.py:NAME or MODULE:NAME, got 'f'"),
        ({"patterns": [{"pattern": "("}]}, r"parts\.patterns\[0\]: pattern '\(' is no regular expression"),
        ({"patterns": [{"pattern": "a", "timeout_s": 0}]}, "timeout_s"),
        ({"schemas": [{"schema": "@bad.json"}]}, r"parts\.schemas\[0\]: .*bad.json: schema at \$.type"),
        ({"schemas": [{"schema": "@torn.json"}]}, "torn.json: cannot be read as JSON"),
        ({"schemas": [{"schema": "@dangling.json"}]}, r"\$ref points to '#/\$defs/none', and nothing stands there"),
        ({"schemas": [{"schema": "@none.json"}]}, "none.json: cannot be read"),
        ({"length": {"weight": 1, "free": 9, "worst": 9}}, r"parts\.length: .*free < worst"),
        ({"repetition": {"weight": -1, "size": 0}}, r"parts\.repetition: size"),
        ({"likelihood": {"weight": 1, "floor": 1}}, r"parts\.likelihood: floor"),
        ({"truthfulness": {"weight": 1, "knowledge": "@none.md"}}, "none.md: cannot be read"),
        ({"truthfulness": {"weight": 1, "knowledge": "@bare.jsonl"}}, "bare.jsonl, line 1, text: expected a text"),
        (
            {"judges": [{"url": "http://x/v1", "model": "m", "criterion": "c", "key_variable": "HEELER_NO_KEY"}]},
            r"parts\.judges\[0\]: the environment variable HEELER_NO_KEY",
        ),
    ],
)
def test_what_the_prompts_lack_or_cannot_be_read_is_refused_before_anything_is_written(
    parts: dict[str, Any], words: str, plain: LanguageRunConfig, files: Path, tmp_path: Path
) -> None:
    for some in parts.values():
        for one in some if isinstance(some, list) else [some] if isinstance(some, dict) else []:
            one |= {"weight": 1.0} if isinstance(some, list) else {}
            one |= {k: str(files / v[1:]) for k, v in one.items() if isinstance(v, str) and v.startswith("@")}
    config = configured(plain, parts, world=str(files / "bare.jsonl"))
    with pytest.raises(HeelerError, match=words):
        run_language(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_reference_that_is_no_text_is_refused_by_its_row(plain: LanguageRunConfig, tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}?", "reference": "x" if i != 6 else 6} for i in range(12)]
    write_rows(tmp_path / "prompts.jsonl", rows)
    config = configured(plain, {"helpfulness": 1.0}, world=str(tmp_path / "prompts.jsonl"))
    with pytest.raises(HeelerError, match=r"parts\.helpfulness: .*prompts.jsonl, line 7, reference: expected a text"):
        run_language(config, tmp_path / "run")


def test_the_help_desk_knows_itself_what_is_true(base: Path, files: Path, tmp_path: Path) -> None:
    truth = {"weight": 1.0, "knowledge": str(files / "known.md")}
    config = configured(tiny_language_run(base), {"truthfulness": truth})
    with pytest.raises(ConfigError, match=r"parts\.truthfulness: helpdesk itself knows what is true"):
        run_language(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"truthfullness": 1.0}, "no setting parts.truthfullness.*Did you mean 'parts.truthfulness'"),
        ({"functions": [{"function": "a:f", "weigth": 1}]}, r"no setting parts.functions\[0\].weigth.*weight"),
        ({"functions": [{"function": "a:f"}]}, r"parts.functions\[0\].weight is missing"),
        ({"functions": ["a:f"]}, r"parts.functions\[0\]"),
        ({"functions": [{"function": "a:f", "weight": "much"}]}, r"parts.functions\[0\].weight"),
        ({"functions": [{"function": "a:f", "weight": float("nan")}]}, r"functions\[0\] must be a finite number"),
        ({"repetition": float("inf")}, "the weight of repetition must be a finite number"),
        ({"repetition": {"weight": 1, "size": "big"}}, "parts.repetition.size"),
        ({"repetition": {"size": 2}}, "parts.repetition.weight is missing"),
        ({"repetition": {"weight": 0, "size": 2}}, "parts.repetition would be ignored"),
        ({"functions": [{"function": "a:f", "weight": 0}]}, r"parts.functions\[0\] would be ignored"),
        ({"functions": [{"function": "a:f", "weight": 1}] * 2}, "another part is called 'f' too"),
        ({"functions": [{"function": "a:brevity", "weight": 1}]}, "another part is called 'brevity' too"),
        ({"functions": [{"function": "a:f", "weight": 1, "name": "learned"}]}, "'learned' too"),
        ({"functions": [{"function": "a:f", "weight": 1, "name": "a/b"}]}, "without '/'"),
        ({"judges": [{"url": "x", "model": "m", "criterion": "c", "weight": 1}]}, r"parts.judges\[0\]: url must be"),
        ({}, "nothing to learn from"),
    ],
)
def test_parts_that_cannot_be_are_refused_by_name(parts: dict[str, Any], words: str, plain: LanguageRunConfig) -> None:
    with pytest.raises(ConfigError, match=words):
        configured(plain, parts)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"part": "repetitoin", "at_most": 1.0}, "no part 'repetitoin'. Did you mean 'repetition'"),
        ({"part": "toxicity", "at_most": 1.0}, "budgets.toxicity"),
        ({"part": "repetition"}, r"budgets.limits\[0\]: .* either at_most or at_least, got 0"),
        ({"part": "repetition", "at_most": 1.0, "at_least": 0.0}, "got 2 of them"),
        ({"part": "repetition", "at_most": float("nan")}, "finite"),
        ({"part": "repetition", "at_most": 1.0, "unit": 0.0}, "unit"),
        ({"part": "repetition", "most": 1.0}, r"no setting budgets.limits\[0\].most"),
    ],
)
def test_limits_that_cannot_be_are_refused_by_name(limit: dict[str, Any], words: str, plain: LanguageRunConfig) -> None:
    with pytest.raises(ConfigError, match=words):
        configured(plain, {"brevity": 1.0}, [limit])


def test_a_part_has_one_limit(plain: LanguageRunConfig) -> None:
    with pytest.raises(ConfigError, match="each part once, got 'brevity' 2 times"):
        configured(plain, {"brevity": 1.0}, [{"part": "brevity", "at_least": -1.0}] * 2)


def test_a_configuration_from_before_there_were_such_parts_is_read(plain: LanguageRunConfig) -> None:
    values = to_dict(dataclasses.replace(plain, parts=PartWeights(brevity=0.5, repetition=-1.0)))
    old = ("truthfulness", "refusals", "helpfulness", "brevity", "repetition", "agreement")
    values["parts"] = {name: values["parts"][name] for name in old}
    del values["budgets"]["limits"]
    assert language_config_from_dict(values).parts == PartWeights(brevity=0.5, repetition=-1.0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "reward part 'raises' raised ZeroDivisionError on row 0: oh"),
        ("too_few", "reward part 'too_few' gave 1 scores for 12 samples"),
        ("not_a_number", "reward part 'not_a_number', row 0: a score must be a finite number"),
    ],
)
def test_a_function_that_fails_ends_the_run_by_its_name(
    name: str, words: str, plain: LanguageRunConfig, files: Path, tmp_path: Path
) -> None:
    with pytest.raises(RewardError, match=words):
        run_language(configured(plain, {"functions": [function(files, name)]}), tmp_path / "run")


def test_a_run_in_which_nothing_is_told_apart_says_so(plain: LanguageRunConfig, files: Path, tmp_path: Path) -> None:
    # What an untrained model says may be taken for toxic.
    harmless = dataclasses.replace(plain, budgets=dataclasses.replace(plain.budgets, toxicity=None))
    same = function(files, "always")
    assert not run_language(configured(harmless, {"functions": [same]}), tmp_path / "nothing").has_learned
    weighs = configured(
        harmless, {"functions": [same, function(files, "letters", 0)]}, [{"part": "letters", "at_most": 0.0}]
    )
    assert run_language(weighs, tmp_path / "cost").has_learned, "a cost that weighs tells answers apart"


def test_a_learned_reward_that_cannot_be_fitted_is_refused(base: Path, tmp_path: Path) -> None:
    config = tiny_language_run(base)
    assert config.learned is not None
    alone = dataclasses.replace(config, parts=PartWeights(), learned=dataclasses.replace(config.learned, first_fit=17))
    with pytest.raises(ConfigError, match=r"at most 16 comparisons are asked for.*learned.first_fit=17"):
        run_language(alone, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Grader(BaseHTTPRequestHandler):
    """Grades every answer 7, once nothing keeps it."""

    asked: list[str | None]
    waits: threading.Event

    def do_POST(self) -> None:
        self.asked.append(self.headers.get("authorization"))
        self.rfile.read(int(self.headers["content-length"]))
        self.waits.wait(30)
        body = json.dumps({"choices": [{"message": {"content": '{"score": 7}'}}]}).encode()
        try:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def grading(*, at_once: bool = True) -> Iterator[tuple[str, list[str | None]]]:
    """An endpoint of a judge: its address, and the keys that it was shown."""
    waits = threading.Event()
    if at_once:
        waits.set()
    handler = type("Handler", (Grader,), {"asked": [], "waits": waits})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", handler.asked  # type: ignore[attr-defined]
    finally:
        waits.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_judge_grades_by_a_key_that_is_never_stored(
    plain: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with grading() as (url, asked):
        judge = {"url": url, "model": "big", "criterion": "Polite?", "weight": 1.0, "key_variable": "JUDGE_KEY"}
        config = configured(plain, {"judges": [judge | {"name": "polite"}]}, [{"part": "polite", "at_least": 0.9}])
        rows = rows_of(config, tmp_path / "run")
    assert rows[-1]["rewards/polite/mean"] == pytest.approx(0.7)
    assert rows[-1]["multipliers/polite"] > 0
    assert set(asked) == {f"Bearer {KEY}"} and len(asked) == 24, "an answer is graded once, weighed and limited"
    stored = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(stored) > 5 and not any(KEY.encode() in path.read_bytes() for path in stored)


def test_a_judge_that_times_out_ends_the_run_by_its_name(plain: LanguageRunConfig, tmp_path: Path) -> None:
    with grading(at_once=False) as (url, _):
        judge = {"url": url, "model": "big", "criterion": "Polite?", "weight": 1.0, "timeout_s": 0.2, "num_tries": 1}
        with pytest.raises(RewardError, match=r"'judge', row 0: the judge big .* took longer than 0.2 s"):
            run_language(configured(plain, {"judges": [judge]}), tmp_path / "run")
