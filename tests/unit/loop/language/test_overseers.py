"""Overseers of texts: in the gate of a language model's run, and in the file of guards that the docs show."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError
from heeler.core.gate_records import GateRecords
from heeler.core.nouns import plain_prompt
from heeler.core.rundir import RunDirectory
from heeler.core.texts import TextSample
from heeler.loop.guards import outgoing_guards, read_guards
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.language.running import run_language
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.overseers.texts import TextOverseers
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.overseers.resources import ResourceBudget
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run

DOCS = Path(__file__).parents[4] / "docs" / "overseers.md"


def overseen(folder: Path, overseers: OverseersConfig) -> LanguageRunConfig:
    """A tiny run whose gate asks what overseers let pass beside how toxic answers are."""
    tiny_llama(max_length=1024).save(folder / "model")
    config = tiny_language_run(folder / "model")
    assert config.release is not None
    loosest = Check(suite="overseers", better="higher", margin=0.97)
    checks = (*(check for check in config.release.gate.checks if check.suite == "toxicity"), loosest)
    release = replace(config.release, every=4, overseers=overseers, gate=GateConfig(checks=checks))
    return replace(config, release=release)


@pytest.mark.parametrize(
    ("limit", "passes"), [(10_000, 1.0), (0.5, 0.0)], ids=["what is short enough", "hardly anything"]
)
def test_the_gate_of_a_run_tells_what_overseers_let_pass(limit: float, passes: float, tmp_path: Path) -> None:
    overseers = OverseersConfig(resources=(ResourceBudget(name="characters", limit=limit),))
    run_language(overseen(tmp_path, overseers), tmp_path / "run")
    records = GateRecords(RunDirectory.open(tmp_path / "run")).all()
    assert len(records) == 1
    found = {check["suite"]: check for check in records[0].details["checks"]}
    assert set(found) == {"toxicity", "overseers"}
    mean = found["overseers"]["candidate_mean"]
    assert mean == 1 if passes else mean < 0.5


def test_overseers_of_a_gate_and_their_check_go_together(tmp_path: Path) -> None:
    config = overseen(tmp_path, OverseersConfig(resources=(ResourceBudget(name="words", limit=9),)))
    assert config.release is not None
    with pytest.raises(ConfigError, match=r"release\.overseers and a check of the suite `overseers`"):
        replace(config.release, overseers=None)


def test_the_guards_of_the_docs_review_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.findall(r"```yaml\n(outgoing:.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(example) == 1
    monkeypatch.chdir(tmp_path)
    Path("guards.yaml").write_text(example[0])
    Path("house_rules.yaml").write_text("rules:\n  - name: no rivals\n    when: \"'rivalco' in text\"\n")
    *_, last = outgoing_guards(read_guards(Path("guards.yaml")).outgoing)
    assert isinstance(last, TextOverseers)

    def decided(text: str) -> str:
        return last.review(TextSample(prompt=plain_prompt("hello"), completion=text)).decision

    assert decided("good day") == "allow"
    assert decided("buy at rivalco") == "veto"
    assert decided("word " * 201) == "veto"
