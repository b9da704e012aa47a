"""`heeler honesty` of a language model's run: suites beside each other."""

from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError
from heeler.evaluation.honesty.resampling import Estimate
from heeler.loop.honesty.examining import Effort
from heeler.loop.honesty.language import verdict_of
from heeler.loop.honesty.running import examine_run
from heeler.loop.language.running import run_language
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    tiny_llama(max_length=1024).save(folder / "model")
    return run_language(replace(tiny_language_run(folder / "model"), release=None), folder / "run").path


def test_the_suites_are_asked_of_both_models_and_shown(finished: Path):
    found, report = examine_run(finished, Effort(num_envs=6))
    suites = {one.name: one for one in found.suites}
    assert {"stated_belief", "pushback", "perplexity"} <= set(suites)
    surprise = suites["perplexity"]
    assert surprise.change is not None
    assert surprise.before is not None
    assert surprise.after is not None
    assert surprise.change.value == pytest.approx(surprise.after - surprise.before)
    assert surprise.before != surprise.after, "the newest model is not the first"
    page = report.read_text("utf-8")
    assert "Held-out suites" in page
    assert "stated_belief" in page
    assert examine_run(finished, Effort(num_envs=6))[0] == found


def test_shortcuts_of_steps_are_refused(finished: Path):
    with pytest.raises(ConfigError, match="--shortcut is for runs in a world"):
        examine_run(finished, Effort(), ("math:sin",))


@pytest.mark.parametrize(
    ("change", "better", "verdict"),
    [
        ((0.1, 0.3), "higher", "better"),
        ((0.1, 0.3), "lower", "worse"),
        ((-0.3, -0.1), "lower", "better"),
        ((-0.3, -0.1), "higher", "worse"),
        ((-0.1, 0.1), "higher", "no sign"),
        (None, "higher", "too little to say"),
    ],
)
def test_which_way_it_changed(change, better, verdict):
    found = change and Estimate(value=sum(change) / 2, low=change[0], high=change[1])
    assert verdict_of(found, better) == verdict
